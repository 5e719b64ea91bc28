-- The plug-in of `editors/neovim`: seeing, deciding and taking back hunks in the ordinary buffer.

local driver = require('driver')
local equal = driver.equal

local old_greeting, new_greeting = '  echo "Hello!"', '  echo "Hello, $1!"'
local new_leave = '  echo "See you, $1."'

local nvim = driver.start(100, 26)
nvim:lua([[
  vim.opt.rtp:prepend(vim.env.TEST_PLUGIN)
  vim.cmd.runtime('plugin/ralph.lua')
  require('ralph').setup({ cmd = vim.env.TEST_PROGRAM, maps = true })
  vim.o.signcolumn = 'yes'
  vim.diagnostic.config({ virtual_text = false, signs = false, underline = false })
  person.users = {}
  vim.api.nvim_create_autocmd('User', { pattern = 'Ralph*', callback = function(event)
    person.users[event.match] = (person.users[event.match] or 0) + 1
  end })
]])

local function places(lines)
  nvim:wait(('hunks at lines [%s]'):format(table.concat(lines, ' ')), function()
    local found = nvim:lua([[
      local at = {}
      for _, place in ipairs(require('ralph.marks').places(0)) do table.insert(at, place.first + 1) end
      return at
    ]])
    return vim.deep_equal(found, lines)
  end)
end

local function line_is(number, text)
  nvim:wait(('line %d: %s'):format(number, text), 'return vim.fn.getline((...)) == select(2, ...)', number, text)
end

local function sees(text)
  nvim:wait('on the screen: ' .. text, function() return nvim:screen():find(text, 1, true) end)
end

-- What would stand there is shown below what stands there; the text itself is untouched.
nvim:open('talk.sh')
places({ 5, 10 })
sees(new_greeting)
sees(new_leave)
sees(vim.env.TEST_TASK .. ' 1/2')
equal(nvim:lua('return { vim.bo.modified, vim.api.nvim_buf_line_count(0) }'), { false, 14 }, 'the buffer')
nvim:keep_screen('neovim-plugin-review.txt')

-- From hunk to hunk, and no further than the last.
nvim:keys('gg]h')
nvim:wait('the first hunk', 'return vim.fn.line(".") == 5')
nvim:keys(']h')
nvim:wait('the second hunk', 'return vim.fn.line(".") == 10')
nvim:keys(']h')
nvim:wait('that there are no more', 'return vim.tbl_contains(person.notes, "ralph: no more hunks that way")')
nvim:keys('[h')
nvim:wait('the first hunk again', 'return vim.fn.line(".") == 5')

-- The text object is the hunk's lines.
nvim:keys('"ayih')
nvim:wait('the lines of the hunk', 'return vim.fn.getreg("a") == ... .. "\\n"', old_greeting)

-- A sign per hunk, and the words that differ on both sides of it.
local marks = nvim:lua([[
  local found = { signs = {}, old = {}, new = {} }
  local namespace = vim.api.nvim_get_namespaces()['ralph.review']
  for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true })) do
    local row, column, details = mark[2], mark[3], mark[4]
    if details.sign_text then table.insert(found.signs, ('%d %s'):format(row + 1, details.sign_text)) end
    if details.hl_group == 'RalphDeleteText' then
      table.insert(found.old, vim.api.nvim_buf_get_text(0, row, column, row, details.end_col, {})[1])
    end
    for _, line in ipairs(details.virt_lines or {}) do
      for _, chunk in ipairs(line) do
        if chunk[2] == 'RalphAddText' then table.insert(found.new, chunk[1]) end
      end
    end
  end
  return found
]])
equal(marks, { signs = { '5 ~ ', '10 ~ ' }, old = { 'Bye' }, new = { ', $1', 'See you, $1.' } }, 'signs and words')

-- In a narrow window what would stand there is broken as other lines are, and put together again when there is room.
local function rows(count)
  nvim:wait(('%d rows of the second hunk'):format(count), [[
    local namespace = vim.api.nvim_get_namespaces()['ralph.review']
    for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, namespace, { 8, 0 }, { 10, -1 }, { details = true })) do
      if mark[4].virt_lines then return #mark[4].virt_lines == ... end
    end
  ]], count)
end
rows(1)
nvim:keys(':vsplit<CR>:vertical resize 22<CR>')
rows(2)
nvim:keys(':only<CR>')
rows(1)

-- Counts, the wider text object, and both in Visual mode.
nvim:keys('gg2]h')
nvim:wait('two hunks on', 'return vim.fn.line(".") == 10')
nvim:keys('G2[h')
nvim:wait('two hunks back', 'return vim.fn.line(".") == 5')
nvim:keys('<Cmd>call append(5, ["", ""])<CR>"ayah')
nvim:wait('a hunk with the empty lines after it', 'return vim.fn.getreg("a") == ... .. "\\n\\n\\n"', old_greeting)
nvim:keys('vih"ay')
nvim:wait('a hunk selected', 'return vim.fn.getreg("a") == ... .. "\\n"', old_greeting)
nvim:keys('u')
nvim:wait('that `u` is what it always was', 'return vim.api.nvim_buf_line_count(0) == 14')

-- Operators take a text object or a selection, and both decisions are repeated by a dot.
nvim:lua([[
  vim.keymap.set({ 'n', 'x' }, 'gA', '<Plug>(ralph-accept)')
  vim.keymap.set({ 'n', 'x' }, 'gR', '<Plug>(ralph-reject)')
]])
nvim:keys('5GgAih')
places({ 10 })
line_is(5, new_greeting)
nvim:keys('u')
places({ 5, 10 })
nvim:keys('5GV5jgA')
places({})
line_is(10, new_leave)
nvim:keys('u')
places({ 5, 10 })
nvim:keys('5GgRih')
places({ 10 })
nvim:keys('10G.')
places({})
nvim:keys('u')
places({ 10 })
nvim:keys('u')
places({ 5, 10 })
nvim:keys('5G<BS>')
places({ 10 })
nvim:wait('the cursor on the next hunk', 'return vim.fn.line(".") == 10')
nvim:keys('.')
places({})
nvim:keys('u')
places({ 10 })
nvim:keys('u')
places({ 5, 10 })
equal(nvim:lua('return { vim.fn.getline(5), vim.fn.getline(10) }'), { old_greeting, '  echo "Bye"' }, 'the text')

-- Accept, take back with undo, accept again, and the next one by repeating that. The buffer is dirty meanwhile.
nvim:keys('<Cmd>call append(line("$"), "# mine")<CR>')
places({ 5, 10 })
nvim:keys('<Plug>(ralph-accept-hunk)')
places({ 10 })
line_is(5, new_greeting)
nvim:wait('the cursor on the next hunk', 'return vim.fn.line(".") == 10')
nvim:keys('u')
places({ 5, 10 })
equal({ nvim:line(5), nvim:line(15) }, { old_greeting, '# mine' }, 'what undo brings back')
nvim:keys('5G<Plug>(ralph-accept-hunk)')
places({ 10 })
line_is(5, new_greeting)
nvim:wait('the hunk that is left', 'return vim.fn.line(".") == 10')
nvim:keys('.')
places({})
line_is(10, new_leave)

-- Reject with a reason: that leaves the text alone.
nvim:keys('u')
places({ 10 })
nvim:lua([[vim.ui.input = function(opts, done)
  table.insert(person.asked, { prompt = opts.prompt })
  vim.schedule(function() done('too familiar') end)
end]])
nvim:keys('10G<Plug>(ralph-reject-hunk-why)')
places({})
equal(nvim:line(10), '  echo "Bye"', 'line 10 after rejecting')
nvim:lua([[
  local asked = person.asked[#person.asked].prompt
  assert(asked:lower():find('why'), asked)
]])

-- The review as a list, the statusline, what others can listen to, and the check of the set-up.
nvim:keys('<Esc>:write<CR>')
nvim:wait('what was accepted on disk', function() return driver.read('talk.sh'):find(new_greeting, 1, true) end)
nvim:wait('a statusline', 'return require("ralph").statusline() ~= ""')
assert(nvim:lua('return (person.users.RalphStatus or 0) > 0 and (person.users.RalphProposalChanged or 0) > 0'))
equal(nvim:lua([[return vim.fn.getcompletion('Ralph rev', 'cmdline')]]), { 'review', 'revise' }, 'completion')
nvim:keys('<Esc>:checkhealth ralph<CR>')
sees('ralph-sidecar')
nvim:wait('the findings of the doctor', 'return vim.fn.search("doctor", "nw") > 0')
equal(nvim:lua('return vim.fn.search("ERROR", "nw")'), 0, 'errors of the check')
nvim:keep_screen('neovim-plugin-health.txt')
nvim:keys(':bwipeout!<CR>')
nvim:leave()

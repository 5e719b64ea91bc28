-- The main job with Neovim 0.12 and its built-in client: from a selection to the accepted, saved file.

local driver = require('driver')
local equal = driver.equal

local task = vim.env.TEST_TASK
local queue = '.ralph/queue.json'
local old_greeting, new_greeting = '  echo "Hello!"', '  echo "Hello, $1!"'
local old_leave, new_leave = '  echo "Bye"', '  echo "See you, $1."'

local nvim = driver.start(110, 24)
nvim:lua([[
  vim.lsp.config('ralph', { cmd = { vim.env.TEST_PROGRAM, 'lsp' }, root_markers = { '.git' } })
  vim.lsp.enable('ralph')
  vim.lsp.codelens.enable(true)
  vim.diagnostic.config({ virtual_text = true })
]])

-- Plan: the greeting is selected, and a code action makes tasks of it.
nvim:open('talk.sh')
nvim:keys('4GV2j')
nvim:code_action('Plan from selection', { 'Trust and plan' })
nvim:keys('<Esc>')
nvim:wait('the draft on disk', function()
  local text = driver.read(queue)
  return text and text:find('"draft"', 1, true)
end)

-- Approve: by the lens above the task, after the check was shown.
nvim:open(queue)
local at = nvim:wait('the lens of the task', [[
  for _, item in ipairs(vim.lsp.codelens.get({ bufnr = 0 })) do
    local lens = item.lens
    if lens.command.title == 'Approve' then return lens.range.start.line + 1 end
  end
]])
nvim:keys(at .. 'G')
nvim:choose('<Cmd>lua vim.lsp.codelens.run()<CR>', 'Approve', { 'Trust and approve' })
nvim:wait('the approval on disk', function()
  return driver.read(queue):find('"todo"', 1, true)
end)
local trusted = nvim:lua('return person.chosen[#person.chosen]')
equal(trusted.label, 'Trust and approve', 'what was chosen last')
assert(trusted.prompt:find("grep 'Hello, Ada!'", 1, true), 'the check is shown: ' .. trusted.prompt)
-- The buffer follows when the person comes back to the window.
nvim:lua('vim.cmd.checktime()')
nvim:wait('the approval in the buffer', function()
  return nvim:lua('return vim.fn.search([["todo"]], "nw")') > 0
end)
equal(nvim:lua('return vim.bo.modified'), false, 'unsaved text in the queue')

-- Start: the run is shown as progress. The agent goes on when the test has seen it.
nvim:code_action('Start the loop', { 'Trust and start' })
nvim:wait('progress that names the task', [[
  for _, value in ipairs(person.progress) do
    if value.kind == 'report' and value.message:find(..., 1, true) then return true end
  end
]], task)
assert(io.open(vim.env.TEST_GATE, 'w')):close()

-- Answer: the question is on the task and at the line it is about.
local questions = nvim:wait_diagnostics('decision', { at + 1 })
assert(questions[1].message:find('How should it take leave?', 1, true), questions[1].message)
nvim:keys(':buffer talk.sh<CR>')
questions = nvim:wait_diagnostics('decision', { 10 })
equal(questions[1].severity, vim.diagnostic.severity.WARN, 'severity of a question')
nvim:keys('10G')
nvim:code_action('Answer: See you')

-- Review: the hunks are diagnostics in the buffer, which itself is untouched, and the question is gone.
local hunks = nvim:wait_diagnostics('pending', { 5, 10 })
equal(hunks[1].severity, vim.diagnostic.severity.INFO, 'severity of a hunk')
nvim:wait_diagnostics('decision', {})
nvim:wait('the end of the progress', [[
  local last = person.progress[#person.progress]
  return last and last.kind == 'end'
]])
equal({ nvim:line(5), nvim:line(10) }, { old_greeting, old_leave }, 'lines before anything is accepted')
nvim:keys('5G')
nvim:lua('vim.lsp.buf.hover()')
local hover = nvim:wait('the hunk as a diff in a hover', [[
  for _, window in ipairs(vim.api.nvim_list_wins()) do
    if vim.api.nvim_win_get_config(window).relative ~= '' then
      return table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, false), '\n')
    end
  end
]])
assert(hover:find(task .. ': Talk by name', 1, true), 'a hover is read as it is: ' .. hover)
assert(hover:find('-' .. old_greeting, 1, true) and hover:find('+' .. new_greeting, 1, true), hover)
nvim:keep_screen('neovim-review.txt')
nvim:keys('h')

-- Accept, undo, accept again: the editor's own undo brings the hunk back.
nvim:code_action('Accept this change')
nvim:wait_diagnostics('pending', { 10 })
equal(nvim:line(5), new_greeting, 'line 5 after accepting')
nvim:keys('u')
nvim:wait_diagnostics('pending', { 5, 10 })
equal(nvim:line(5), old_greeting, 'line 5 after undo')
nvim:code_action('Accept this change')
nvim:wait_diagnostics('pending', { 10 })
nvim:keys('10G')
nvim:code_action('Accept this change')
nvim:wait_diagnostics('pending', {})
equal({ nvim:line(5), nvim:line(10) }, { new_greeting, new_leave }, 'lines after all is accepted')

-- Save: disk has it, and the task is done.
assert(not driver.read('talk.sh'):find(new_greeting, 1, true), 'nothing is written before the person saves')
nvim:keys(':write<CR>')
nvim:wait('the task to be done', function()
  return driver.read(queue):find('"done"', 1, true)
end)

-- Nothing took the focus or opened a window meanwhile.
nvim:lua([[
  vim.cmd.checktime()
  for _, window in ipairs(vim.api.nvim_list_wins()) do
    assert(vim.api.nvim_win_get_config(window).relative ~= '' or window == vim.api.nvim_get_current_win())
  end
  assert(vim.endswith(vim.api.nvim_buf_get_name(0), 'talk.sh'), vim.api.nvim_buf_get_name(0))
]])
nvim:quit()

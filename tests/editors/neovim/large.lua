-- Reviews a proposal that is far larger than usual and prints what it takes, in milliseconds.

local reviewer = require('reviewer')

local nvim = reviewer.start(100, 30)
reviewer.time(nvim)

local function say(what, times)
  table.sort(times)
  print(('  %-48s %6.0f, at most %.0f'):format(what, times[math.ceil(#times / 2)], times[#times]))
end

-- Asks the server and returns the milliseconds until the answer was there, read, and its size in kilobytes.
local function asked(method, params)
  nvim:lua([[
    answer = nil
    local started = vim.uv.hrtime()
    require('ralph.client').request((...), select(2, ...), function(result)
      answer = { (vim.uv.hrtime() - started) / 1e6, #vim.json.encode(result) / 1024 }
    end)
  ]], method, params or vim.empty_dict())
  local found = nvim:wait('an answer to ' .. method, 'return answer')
  print(('  %-48s %6.0f, %d KB'):format(method, found[1], found[2]))
end

nvim:open('one.txt')
nvim:wait('all that waits', [[return #require('ralph.proposals').pending() > 0]])
local total = nvim:lua([[return #require('ralph.proposals').pending()]])
print(('  %d hunks'):format(total))
nvim:lua('vim.cmd.enew()')
asked('ralph/status')
asked('ralph/proposal', { task = reviewer.task })

local here = [[
  local line = vim.fn.line('.')
  return vim.fn.expand('%:e') == 'txt' and vim.list_contains(hunks(), line)
]]
say('review: the first hunk', { reviewer.press(nvim, 'the first hunk', '<F5>', here) })
nvim:wait('the list', 'return #vim.fn.getqflist() == ...', total)

-- Moves on until another hunk is at the cursor; the text that was accepted is in its buffer.
local moved = [[
  local name, line, accepts = ...
  if vim.api.nvim_buf_get_name(0) == name and vim.fn.line('.') == line then return false end
  if not vim.list_contains(hunks(), vim.fn.line('.')) then return false end
  return not accepts or vim.startswith(vim.fn.getbufline(vim.fn.bufnr(name), line)[1], 'tidy ')
]]
local function step(key, accepts)
  local name, line = unpack(nvim:lua("return { vim.api.nvim_buf_get_name(0), vim.fn.line('.') }"))
  local took = reviewer.press(nvim, key .. ' at line ' .. line, key, moved, name, line, accepts)
  return took, nvim:lua('return vim.api.nvim_buf_get_name(0)') == name
end
local function steps(what, key, count, accepts)
  local same, other = {}, {}
  for _ = 1, count do
    local took, is_same = step(key, accepts)
    table.insert(is_same and same or other, took)
  end
  for where, times in pairs({ ['same file'] = same, ['another file'] = other }) do
    if #times > 0 then say(what .. ', ' .. where, times) end
  end
end
steps('next hunk', ']h', 16, false)
steps('accept and go on', '<CR>', 24, true)

-- Undo in the file of a hunk that was just accepted.
local took, is_same, line
repeat
  line = nvim:lua('return vim.fn.line(".")')
  took, is_same = step('<CR>', true)
until is_same
say('undo brings a hunk back', { reviewer.press(nvim, 'the hunk back', 'u', 'return vim.list_contains(hunks(), ...)', line) })

-- Typing stays quick: each letter is a picture of its own.
local times = {}
nvim:keys('Gox')
for index = 1, 10 do
  table.insert(times, reviewer.press(nvim, 'a letter', 'y', [[return vim.fn.getline('.') == 'x' .. ('y'):rep((...))]], index))
end
say('a letter typed', times)
nvim:keys('<Esc>')
asked('ralph/status')
nvim:leave()

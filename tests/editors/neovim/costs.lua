-- What reviewing 12 hunks in five files costs a person: keys, and milliseconds from a key to the picture it makes.

local reviewer = require('reviewer')

local nvim = reviewer.start(100, 30, { settings = { land = { to = 'commit' } } })
reviewer.time(nvim)

local keys = 0
-- Presses keys, counts them, and returns what `reviewer.press` does.
local function press(what, pressed, count, shows, ...)
  keys = keys + count
  return reviewer.press(nvim, what, pressed, shows, ...)
end

-- The cursor is on a hunk of a file, which is drawn, and the text that was accepted is in its buffer.
local on_hunk = [[
  local file, line, accepted_file, accepted_line = ...
  if vim.fn.expand('%:t') ~= file or vim.fn.line('.') ~= line or not vim.list_contains(hunks(), line) then
    return false
  end
  if not accepted_file then return true end
  local text = vim.fn.getbufline(vim.fn.bufnr(accepted_file .. '$'), accepted_line)[1]
  return text == ('tidy %s %d'):format(accepted_file, accepted_line)
]]

local places = {
  { 'five.txt', 6 }, { 'five.txt', 22 }, { 'five.txt', 44 }, { 'four.txt', 12 }, { 'one.txt', 5 }, { 'one.txt', 20 },
  { 'one.txt', 35 }, { 'three.txt', 3 }, { 'three.txt', 18 }, { 'three.txt', 40 }, { 'two.txt', 8 }, { 'two.txt', 30 },
}

nvim:open('one.txt')
nvim:lua('vim.cmd.enew()')
nvim:wait('what waits', [[return #require('ralph.proposals').pending() == 12]])
local costs = {}
local function row(step, count, times)
  table.sort(times)
  local middle = times[math.ceil(#times / 2)]
  local words = #times == 1 and ('%.0f'):format(middle) or ('%.0f, at most %.0f'):format(middle, times[#times])
  table.insert(costs, ('COST %s | %d | %s'):format(step, count, words))
end

row('from “to review” to the first hunk on the screen', 1,
  { press('the first hunk', '<F5>', 1, on_hunk, places[1][1], places[1][2]) })
nvim:keep_screen('neovim-costs-first.txt')

local same, other = {}, {}
for index = 1, #places - 1 do
  local file, line = places[index][1], places[index][2]
  local next_file, next_line = places[index + 1][1], places[index + 1][2]
  local took = press('the hunk after ' .. file .. ':' .. line, '<CR>', 1, on_hunk, next_file, next_line, file, line)
  table.insert(next_file == file and same or other, took)
end
row('accept, next hunk in the same file', 1, same)
row('accept, next hunk in another file', 1, other)
local last = places[#places]
press('nothing left', '<CR>', 1, [[return #hunks() == 0 and vim.fn.getline(30) == 'tidy two.txt 30']])
table.insert(costs, ('COST all twelve hunks accepted, from “to review” on | %d | '):format(keys))
nvim:keep_screen('neovim-costs-decided.txt')

-- What was decided is taken back by the undo of the editor; nothing of that counts for the way to the landing.
local counted = keys
row('take back an acceptance', 1, { press('the hunk back', 'u', 1, [[return vim.deep_equal(hunks(), { 30 })]]) })
row('reject', 1, { press('no hunk', '<BS>', 1, 'return #hunks() == 0') })
nvim:wait('the rejection', [[return vim.iter(person.notes):any(function(note) return note:find('1 rejected', 1, true) ~= nil end)]])
row('take back a rejection', 1, { press('the hunk back', 'u', 1, [[return vim.deep_equal(hunks(), { 30 })]]) })
press('nothing left', '<CR>', 1, [[return #hunks() == 0 and vim.fn.getline(30) == 'tidy two.txt 30']])
keys = counted

-- Landing writes the files and commits.
row('from the last decision to landed', 1, { press('the commit', '<F6>', 1, [[
  return vim.iter(person.notes):any(function(note) return note:find(' on main', 1, true) ~= nil end)
]]) })
table.insert(costs, ('COST everything, from “to review” to landed | %d | '):format(keys))
print(table.concat(costs, '\n'))
nvim:leave()

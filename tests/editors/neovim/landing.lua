-- What was left is said once; a review of 12 hunks by one key each, a rejection taken back, and the landing as a commit; short enough for 0.10.

local reviewer = require('reviewer')
local at = reviewer.at

-- The run ended before there was an editor: the first one says what it left, with what begins the review.
local function start()
  local nvim = reviewer.start(100, 30)
  nvim:open('one.txt')
  nvim:lua('vim.cmd.enew()')
  nvim:wait('what waits', [[return #require('ralph.proposals').pending() == 12]])
  return nvim
end
local first = start()
local said = first:lua('return person.notes')
assert(#said == 1 and said[1]:find('^Ralph: after the last run: 1 to review, 0 need you, 0 failed.*; `:Ralph review` begins$'),
  vim.inspect(said))
first:quit()
local nvim = start()
require('driver').equal(nvim:lua('return person.notes'), {}, 'what is said again')
reviewer.command(nvim, 'review')
at(nvim, 'five.txt', 6, { 6, 22, 44 })
reviewer.sees(nvim, '  tidy five.txt 6')
nvim:keys('<BS>')
at(nvim, 'five.txt', 22, { 22, 44 })
nvim:keys('u')
at(nvim, 'five.txt', 6, { 6, 22, 44 })
nvim:keys(('<CR>'):rep(12))
nvim:wait('nothing that waits', [[return #require('ralph.proposals').pending() == 0]])
reviewer.told(nvim, 'is decided: 12 accepted')
reviewer.command(nvim, '! land commit -m Tidy everything')
reviewer.told(nvim, ' on main')
nvim:quit()

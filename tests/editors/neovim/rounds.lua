-- The main job by commands and keys, with two rounds of a review: plan, approve, start, answer, review three files, accept
-- one hunk, reject one with a comment, send back, accept the rest, undo, land.

local driver = require('driver')
local reviewer = require('reviewer')
local equal, at = driver.equal, reviewer.at

local nvim = reviewer.start(100, 34)
-- What others can listen to, each with the names of what it brings.
nvim:lua([[
  person.events = {}
  vim.api.nvim_create_autocmd('User', { pattern = 'Ralph*', callback = function(event)
    local names = vim.tbl_keys(event.data or {})
    for _, name in ipairs(names) do
      person.events[event.match .. ' ' .. name] = true
    end
    person.events[event.match] = true
  end })
]])
local function command(line, wants) reviewer.command(nvim, line, wants) end
local function told(text) reviewer.told(nvim, text) end
local function sees(text) reviewer.sees(nvim, text) end
local function has_one(state)
  nvim:wait('one task that is ' .. state, [[
    local status = require('ralph').status()
    return status and status.states[...] == 1
  ]], state)
end

nvim:open('one.txt')
command('plan Tidy three files', { 'Trust and plan' })
has_one('draft')
command('approve', { 'Trust and approve' })
has_one('ready')
command('start', { 'Trust and start' })
told('`:Ralph answer` asks')
command('answer', { 'Lines' })
told('; `:Ralph review` begins')

-- What would stand there is below what stands there, in three files; the cursor goes from hunk to hunk.
nvim:lua('vim.cmd.enew()')
command('review')
at(nvim, 'one.txt', 5, { 5, 20 })
sees('~ one.txt: line 5   ' .. reviewer.task .. ' 1/6')
sees('  tidy one.txt 5')
nvim:keep_screen('neovim-rounds-first.txt')
nvim:keys(']h')
at(nvim, 'one.txt', 20, { 5, 20 })
nvim:keys(']h')
at(nvim, 'three.txt', 5, { 5, 20 })
sees('  tidy three.txt 5')
nvim:keys(']h]h]h')
at(nvim, 'two.txt', 20, { 5, 20 })

-- A comment stands below its hunk; the hunk is rejected, and the cursor goes on to what is left.
nvim:keys(':Ralph comment make it shorter<CR>')
told('it goes with the next send back')
sees('  ▎you: make it shorter')
nvim:keys(':Ralph comment of no use<CR>')
sees('  ▎you: of no use')
nvim:keys(':Ralph! comment<CR>')
nvim:wait('that the comment is gone', function() return not nvim:screen():find('of no use', 1, true) end)
nvim:keep_screen('neovim-rounds-comment.txt')
nvim:keys('<BS>')
at(nvim, 'one.txt', 5, { 5, 20 })
nvim:keys('<CR>')
at(nvim, 'one.txt', 20, { 20 })
nvim:wait('the accepted line', [[return vim.fn.getline(5) == 'tidy one.txt 5']])
nvim:keys(':wall<CR>')

-- The second round: what was accepted stays, and what changed is marked.
nvim:lua('person.notes = {}')
command('sendback')
told('sent back')
command('start')
told('; `:Ralph review` begins')
nvim:wait('the second round', [[
  local proposal = require('ralph.proposals').of(vim.env.TEST_TASK)
  return proposal and proposal.round == 2
]])
equal(nvim:lua('return vim.fn.getbufline("one.txt", 5)'), { 'tidy one.txt 5' }, 'what was accepted in the first round')
nvim:lua('vim.cmd.enew()')
command('review')
told('round 2')
-- The file in which something changed comes first.
at(nvim, 'two.txt', 5, { 5, 20 })
nvim:keys(']h')
at(nvim, 'two.txt', 20, { 5, 20 })
sees('· round 2, changed')
sees('  short 20')
nvim:keep_screen('neovim-rounds-second.txt')

-- The rest, one key each; the last one is taken back and decided again.
nvim:keys('<CR>')
at(nvim, 'one.txt', 20, { 20 })
nvim:keys('<CR>')
at(nvim, 'three.txt', 5, { 5, 20 })
nvim:keys('<CR><CR>')
at(nvim, 'two.txt', 5, { 5 })
nvim:keys('<CR>')
local decided = [[
  return #require('ralph.proposals').pending() == 0 and vim.fn.getline(5) == 'tidy two.txt 5'
    and vim.fn.getline(20) == 'short 20'
]]
nvim:wait('nothing that waits', decided)
nvim:keys('u')
at(nvim, 'two.txt', 5, { 5 })
equal(nvim:line(5), 'two.txt: line 5', 'what undo brings back')
nvim:keys('<CR>')
nvim:wait('nothing that waits', decided)
told('is decided: ')
command('! land commit')
told(' on main')
has_one('done')

-- Everything that the help names was to be heard.
local help = driver.read(vim.env.TEST_PLUGIN .. '/doc/ralph.txt')
local events = {}
for name in help:match('%*ralph%-events%*(.-)\n===='):gmatch('\n  (Ralph%w+) ') do
  table.insert(events, name)
end
equal(#events, 8, 'events in the help')
local heard = nvim:lua('return person.events')
local expected = vim.list_extend(events, { 'RalphStatus pending', 'RalphAttempt text', 'RalphProposalChanged total',
  'RalphQueueChanged root', 'RalphDecisionRequested decision', 'RalphDecisionResolved id', 'RalphRunEnded message' })
for _, name in ipairs(expected) do
  assert(heard[name], ('%s was not to be heard:\n%s'):format(name, vim.inspect(heard)))
end
nvim:quit()

-- What a person decides beside one hunk at a time: keeping what was accepted, dropping the rest, asking for another base,
-- comments on lines, and `:Ralph undo` of a rejection, of files that were written and of a landing.

local driver = require('driver')
local reviewer = require('reviewer')
local equal, at = driver.equal, reviewer.at

local nvim = reviewer.start(100, 34)
local function command(line) reviewer.command(nvim, line) end
local function told(text) reviewer.told(nvim, text) end
local function sees(text) reviewer.sees(nvim, text) end

-- Runs the command and waits for what is said of it.
local function says(line, text)
  nvim:lua('person.notes = {}')
  command(line)
  told(text)
end

-- Waits until the server says that the task is done.
local function is_done(task)
  nvim:wait(task .. ' to be done', [[
    local task = ...
    person.states = person.states or {}
    require('ralph.client').request('ralph/status', {}, function(status)
      for _, found in ipairs(status.tasks) do person.states[found.id] = found.state end
    end)
    return person.states[task] == 'done'
  ]], task)
  nvim:wait(task .. ' to be done in the queue', function()
    local queue = vim.json.decode(driver.read('.ralph/queue.json'))
    return vim.iter(queue.tasks):any(function(found) return found.id == task and found.status == 'done' end)
  end)
end

local function waits(count)
  nvim:wait(count .. ' hunks that wait', [[return #require('ralph.proposals').pending() == ...]], count)
end

local function git(...)
  local result = vim.system({ 'git', ... }, { text = true }):wait()
  assert(result.code == 0, result.stderr)
  return vim.trim(result.stdout)
end

-- A task whose file is not open: it is written, and undo restores it.
nvim:open('one.txt')
at(nvim, 'one.txt', 1, { 5, 20 })
waits(6)
local before = driver.read('two.txt')
says('accept drop-5e1f0a', 'drop-5e1f0a: 2 accepted')
nvim:wait('two.txt on disk', function() return driver.read('two.txt'):find('tidy two.txt 20', 1, true) end)
is_done('drop-5e1f0a')
says('undo', 'restored 1 file; 2 changes wait again')
nvim:wait('two.txt as before', function() return driver.read('two.txt') == before end)
waits(6)

-- A rejection is taken back by a command as well.
nvim:keys('20G')
command('reject too long')
waits(5)
-- The cursor went on to the next, in another file.
at(nvim, 'two.txt', 5, { 5, 20 })
equal(nvim:lua([[return vim.fn.bufname('%')]]), 'two.txt', 'the name of the buffer')
says('undo', '1 change waits again in keep-5e1f0a')
waits(6)

-- Keep the accepted part: its checks run on exactly that, and the task is done.
nvim:keys(':buffer one.txt<CR>5G')
command('accept')
nvim:keys(':buffer one.txt<CR>20G')
command('reject')
waits(4)
nvim:wait('the accepted line', [[return vim.fn.getbufline('one.txt', 5)[1] == 'tidy one.txt 5']])
nvim:keys(':wall<CR>')
nvim:wait('one.txt on disk', function() return driver.read('one.txt'):find('tidy one.txt 5', 1, true) end)
says('keep keep-5e1f0a', 'keep-5e1f0a: kept')
is_done('keep-5e1f0a')
equal(vim.split(driver.read('one.txt'), '\n')[20], 'one.txt: line 20', 'what was rejected of it')

-- Drop the rest: what waits is rejected, what was accepted stays.
nvim:open('two.txt')
nvim:keys('5G')
at(nvim, 'two.txt', 5, { 5, 20 })
command('accept')
nvim:wait('the accepted line', [[return vim.fn.getbufline('two.txt', 5)[1] == 'tidy two.txt 5']])
says('droprest drop-5e1f0a', 'drop-5e1f0a: the rest is dropped')
told('drop-5e1f0a is done as soon as its files are written: `:wall`')
nvim:keys(':wall<CR>')
is_done('drop-5e1f0a')
waits(2)

-- Comments on lines without a hunk stand with the first hunk of their file.
nvim:open('three.txt')
nvim:keys('8G')
at(nvim, 'three.txt', 8, { 5, 20 })
says('comment what about this one?', 'it goes with the next send back')
nvim:keys('30G')
says('comment and the last', 'it goes with the next send back')
sees('  ▎you on line 8: what about this one?')
sees('  ▎you on line 30: and the last')

-- A hunk whose lines the person changed does not fit any more, and says so; the agent is asked for another.
nvim:keys('5Gccmine<Esc>')
sees('does not fit the text as it is now')
equal(nvim:line(5), 'mine', 'what the person wrote')
nvim:keep_screen('neovim-decisions-conflict.txt')
nvim:keys(':write<CR>')
nvim:wait('what the person wrote on disk', function() return driver.read('three.txt'):find('mine', 1, true) end)
git('commit', '-qm', 'Mine', '--only', 'three.txt')
says('rebase base-5e1f0a', 'sent back')
nvim:lua('person.notes = {}')
command('start')
told('; `:Ralph review` begins')
nvim:wait('the second round', [[
  local proposal = require('ralph.proposals').of('base-5e1f0a')
  return proposal and proposal.round == 2
]])
at(nvim, 'three.txt', nvim:lua("return vim.fn.line('.')"), { 5, 20 })
sees('· round 2')
sees('  tidy three.txt 5')
nvim:wait('nothing that does not fit', function() return not nvim:screen():find('does not fit', 1, true) end)
nvim:keys('5G<CR>')
at(nvim, 'three.txt', 20, { 20 })
nvim:keys('<CR>')
waits(0)

-- Landing, and taking the landing back: the commit is gone, the files stay.
local head = git('rev-parse', 'HEAD')
says('! land commit -m Tidy what was kept', ' on main')
assert(git('rev-parse', 'HEAD') ~= head, 'it landed')
equal(git('show', '--name-only', '--format=%s', 'HEAD'), 'Tidy what was kept\n\none.txt\nthree.txt\ntwo.txt', 'what landed')
says('undo', ' off main')
equal(git('rev-parse', 'HEAD'), head, 'HEAD after undo')
equal(vim.split(driver.read('three.txt'), '\n')[20], 'tidy three.txt 20', 'the file after undo')
nvim:quit()

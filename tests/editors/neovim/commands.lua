-- Every subcommand of `:Ralph`, what it completes and what it says, with three drafts: one whose agent waits for the gate,
-- one whose agent is blocked, and one that is dropped.

local driver = require('driver')
local reviewer = require('reviewer')
local equal = driver.equal

local nvim = reviewer.start(100, 30)
nvim:lua([[
  person.heard = {}
  vim.api.nvim_create_autocmd('User', { pattern = 'RalphAttempt', callback = function(event)
    table.insert(person.heard, event.data.text)
  end })
]])

-- Runs the command and waits for what is said of it.
local function says(line, text, wants)
  nvim:lua('person.notes = {}')
  reviewer.command(nvim, line, wants)
  reviewer.told(nvim, text)
end

-- Waits until the task is in the state.
local function is(task, state)
  nvim:wait(('%s to be %s'):format(task, state), [[
    local task, wanted = ...
    person.states = person.states or {}
    require('ralph.client').request('ralph/status', {}, function(status)
      for _, found in ipairs(status.tasks) do person.states[found.id] = found.state end
    end)
    return person.states[task] == wanted
  ]], task, state)
end

-- Waits until the command line completes so; what it offers follows the server.
local tested = {}
local function completes(line, expected)
  tested[vim.split(line, ' ')[1]] = true
  local found
  nvim:wait(('`:Ralph %s` to complete'):format(line), function()
    found = nvim:lua([[return vim.fn.getcompletion('Ralph ' .. ..., 'cmdline')]], line)
    -- Asking for the names fetches what is completed after them.
    nvim:lua([[vim.fn.getcompletion('Ralph ', 'cmdline')]])
    return vim.deep_equal(found, expected)
  end)
end

-- Waits until no run is on.
local function idle()
  nvim:wait('the end of the run', [[return (require('ralph').status().run or vim.NIL) == vim.NIL]])
end

-- Answers the next question for a line of text.
local function types(text)
  nvim:lua([[
    local text = ...
    vim.ui.input = function(options, done)
      table.insert(person.asked, { prompt = options.prompt, labels = {} })
      done(text)
    end
  ]], text)
end

nvim:open('one.txt')
says('nonsense', 'no subcommand `nonsense`; they are: accept, answer, approve')
says('status', 'the queue is empty; `:Ralph plan` fills it')

-- Plan: what is left out is asked for. The drafts go back to the planner, and one of them is dropped.
types('Tidy three files')
says('plan', '3 tasks were planned', { 'Trust and plan' })
is('wait-5e1f0a', 'draft')
says('revise as it is', 'the drafts were revised', { 'Replace' })
completes('approve ', { 'wait-5e1f0a', 'stuck-5e1f0a', 'much-5e1f0a' })
completes('drop m', { 'much-5e1f0a' })
says('drop much-5e1f0a', 'much-5e1f0a')
is('much-5e1f0a', 'dropped')
says('approve wait-5e1f0a stuck-5e1f0a', 'approved', { 'Trust and approve' })
is('wait-5e1f0a', 'ready')
completes('approve ', {})
completes('start ', { 'wait-5e1f0a', 'stuck-5e1f0a' })

-- Run: the agent at work is told something; the run pauses, goes on, and ends after the attempt.
says('start wait-5e1f0a', 'started', { 'Trust and start' })
is('wait-5e1f0a', 'running')
completes('steer w', { 'wait-5e1f0a' })
completes('ask ', { 'wait-5e1f0a' })
nvim:wait('the agent at work', [[return vim.list_contains(person.heard, 'waiting')]])
says('steer wait-5e1f0a keep it short', 'wait-5e1f0a')
says('pause', 'paused')
nvim:wait('the pause in the statusline', [[return require('ralph').statusline():find('paused', 1, true) ~= nil]])
says('resume', 'resumed')
says('stop', 'stop')
says('! stop', 'stop')
idle()

-- What is blocked says why, and is tried again; its question completes and is answered.
says('start stuck-5e1f0a', '`:Ralph answer` asks')
is('stuck-5e1f0a', 'blocked')
completes('answer ', nvim:lua([[
  local ids = {}
  require('ralph.client').request('ralph/status', {}, function(status)
    for _, decision in ipairs(status.decisions) do table.insert(ids, decision.id) end
  end)
  vim.wait(20000, function() return #ids > 0 end)
  return ids
]]))
completes('retry s', { 'stuck-5e1f0a' })
says('retry stuck-5e1f0a', 'stuck-5e1f0a: ')
reviewer.told(nvim, '`:Ralph answer` asks')
idle()
completes('log s', { 'stuck-5e1f0a' })
reviewer.command(nvim, 'log stuck-5e1f0a')
nvim:wait('the transcript', [[return vim.startswith(vim.api.nvim_buf_get_name(0), 'ralph:/transcript/stuck-5e1f0a/')]])
nvim:keys(':bwipeout<CR>')

-- Review: everything by commands.
assert(io.open(vim.env.TEST_GATE, 'w')):close()
nvim:lua('person.notes = {}')
reviewer.command(nvim, 'start wait-5e1f0a')
reviewer.told(nvim, '; `:Ralph review` begins')
for _, name in ipairs({ 'review', 'sendback', 'rebase', 'keep', 'droprest' }) do
  completes(name .. ' ', { 'wait-5e1f0a' })
end
completes('accept ', { 'file', 'wait-5e1f0a' })
completes('land ', { 'branch', 'commit', 'tree', 'wait-5e1f0a' })
reviewer.command(nvim, 'review')
reviewer.at(nvim, 'one.txt', 5, { 5, 20 })
types('too bold')
reviewer.command(nvim, '! reject')
reviewer.at(nvim, 'one.txt', 5, { 20 })
says('undo', '1 change waits again')
reviewer.at(nvim, 'one.txt', 5, { 5, 20 })
nvim:keys('<Esc>:1,10Ralph reject of no use<CR>')
reviewer.at(nvim, 'one.txt', 5, { 20 })
nvim:keys('20G')
reviewer.command(nvim, 'accept file')
nvim:wait('nothing that waits', [[return #require('ralph.proposals').pending() == 0]])
says('comment say more', 'it goes with the next send back')
says('land tree', 'one.txt has unsaved changes')
says('! sendback wait-5e1f0a and again', 'sent back')

-- Look.
says('trust', 'trust')
reviewer.command(nvim, 'doctor')
nvim:wait('what the doctor says', [[return vim.bo.buftype == 'nofile' and vim.fn.search('queue: 3 tasks', 'nw') > 0]])
nvim:keys('q')
says('', 'dropped  much-5e1f0a')

-- What takes nothing completes nothing, and no subcommand was left out.
for _, name in ipairs(nvim:lua([[return require('ralph.commands').names()]])) do
  if not tested[name] then
    equal(nvim:lua([[return vim.fn.getcompletion('Ralph ' .. ... .. ' ', 'cmdline')]], name), {}, 'completion of ' .. name)
  end
end
nvim:leave()

-- The main job with the plug-in, by commands alone: plan, approve, start, answer, review, accept, done.

local driver = require('driver')
local equal = driver.equal

local task = vim.env.TEST_TASK
local queue = '.ralph/queue.json'

local nvim = driver.start(100, 26)
nvim:lua([[
  vim.opt.rtp:prepend(vim.env.TEST_PLUGIN)
  vim.cmd.runtime('plugin/ralph.lua')
  require('ralph').setup({ cmd = vim.env.TEST_PROGRAM })
  person.heard = {}
  vim.api.nvim_create_autocmd('User', { pattern = 'RalphAttempt', callback = function(event)
    table.insert(person.heard, event.data.text)
  end })
]])

local function command(line, wants)
  nvim:lua('person.wants = ...', wants or {})
  nvim:keys('<Esc>:Ralph ' .. line .. '<CR>')
end

-- Waits until something was said that has the text in it.
local function told(text)
  nvim:wait('that it is said: ' .. text, [[
    local text = ...
    return vim.iter(person.notes):any(function(note) return note:find(text, 1, true) ~= nil end)
  ]], text)
end

local function on_disk(word)
  nvim:wait(word .. ' on disk', function()
    local text = driver.read(queue)
    return text and text:find('"' .. word .. '"', 1, true)
  end)
end

nvim:open('talk.sh')
command('plan Talk by name', { 'Trust and plan' })
on_disk('draft')
nvim:wait('the draft to be known', [[return (require('ralph').status() or { states = {} }).states.draft == 1]])
command('approve ' .. task, { 'Trust and approve' })
on_disk('todo')
command('start', { 'Trust and start' })

-- Who is at work can be asked; what was asked stays with the task.
nvim:wait('the agent at work', [[return vim.list_contains(person.heard, 'reading talk.sh')]])
command('ask how far are you?')
told('ralph: asked; the reply comes as a message')
command('status')
told('you asked: how far are you? → no reply yet')
assert(io.open(vim.env.TEST_GATE, 'w')):close()

-- The question waits; it is asked when the person wants it, and not before.
nvim:wait_diagnostics('decision', { 10 })
equal(nvim:lua([[
  return vim.tbl_filter(function(asked) return asked.prompt:find('How should it take leave', 1, true) end, person.asked)
]]), {}, 'what was asked unasked')
told('1 needs you')
told('`:Ralph answer` asks')
command('answer', { 'See you' })
told('; `:Ralph review` begins')
nvim:wait_diagnostics('pending', { 5, 10 })

-- One command begins the review: a list of the hunks, and the first of them at the cursor.
nvim:lua('vim.cmd.enew()')
command('review')
nvim:wait('the first hunk at the cursor', [[
  return vim.endswith(vim.api.nvim_buf_get_name(0), 'talk.sh') and vim.fn.line('.') == 5
]])
equal(nvim:lua([[
  return vim.tbl_map(function(entry) return { entry.lnum, entry.text } end, vim.fn.getqflist())
]]), {
  { 5, task .. ' 1/2: echo "Hello, $1!"' },
  { 10, task .. ' 2/2: echo "See you, $1."' },
}, 'the quickfix list')
command('accept')
nvim:wait_diagnostics('pending', { 10 })
command('accept ' .. task)
nvim:wait_diagnostics('pending', {})
nvim:keys(':write<CR>')
on_disk('done')

-- While a run waits, the statusline counts down by itself.
equal(nvim:lua([[
  local ralph, client = require('ralph'), vim.lsp.get_clients({ name = 'ralph' })[1]
  local status = vim.deepcopy(ralph.status())
  local function shows(change)
    client.handlers['ralph/status'](nil, vim.tbl_extend('force', status, change))
    return (ralph.statusline():gsub('[01]$', '?'))
  end
  local waiting = { paused = false, waitingUntilMs = (os.time() + 751) * 1000 }
  local paused = vim.tbl_extend('force', waiting, { paused = true })
  local shown = { shows({ message = 'it waits', run = waiting }), shows({ message = 'paused', run = paused }) }
  shows({})
  return shown
]]), { 'it waits · 12:3?', 'paused' }, 'the statusline')

-- The documents of the attempt are at hand.
command('log ' .. task)
nvim:wait('the transcript', [[return vim.startswith(vim.api.nvim_buf_get_name(0), 'ralph:/transcript/')]])
equal(nvim:lua('return vim.bo.modifiable'), false, 'whether the transcript can be changed')
nvim:keys(':bwipeout<CR>')
nvim:quit()

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
]])

local function command(line, wants)
  nvim:lua('person.wants = ...', wants or {})
  nvim:keys('<Esc>:Ralph ' .. line .. '<CR>')
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
command('approve ' .. task, { 'Trust and approve' })
on_disk('todo')
command('start', { 'Trust and start' })
assert(io.open(vim.env.TEST_GATE, 'w')):close()

-- The question waits; it is asked when the person wants it, and not before.
nvim:wait_diagnostics('decision', { 10 })
equal(nvim:lua([[
  return vim.tbl_filter(function(asked) return asked.prompt:find('How should it take leave', 1, true) end, person.asked)
]]), {}, 'what was asked unasked')
command('answer', { 'See you' })
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

-- The documents of the attempt are at hand.
command('log ' .. task)
nvim:wait('the transcript', [[return vim.startswith(vim.api.nvim_buf_get_name(0), 'ralph:/transcript/')]])
equal(nvim:lua('return vim.bo.modifiable'), false, 'whether the transcript can be changed')
nvim:keys(':bwipeout<CR>')
nvim:quit()

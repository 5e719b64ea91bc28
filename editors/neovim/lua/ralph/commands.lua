-- `:Ralph`: every subcommand, with its completion.

local client = require('ralph.client')

local M = {}

local function review()
  return require('ralph.review')
end

local function decide()
  return require('ralph.decide')
end

-- States of tasks with a proposal.
local reviewed = { 'review', 'stale' }

-- What completion offers without waiting for the server: the tasks of the last answer.
local known = {}

local function refresh_known()
  if client.get(0) then
    client.request('ralph/status', {}, function(status) known = status end)
  end
end

local function tasks(states)
  local ids = {}
  for _, task in ipairs(known.tasks or {}) do
    if not states or vim.list_contains(states, task.state) then
      table.insert(ids, task.id)
    end
  end
  return ids
end

local function decisions()
  return vim.tbl_map(function(decision) return decision.id end, known.decisions or {})
end

-- Returns the text, or asks for it; an empty answer does nothing.
local function with_text(text, prompt, use)
  if text ~= '' then
    return use(text)
  end
  vim.ui.input({ prompt = prompt .. ' ' }, function(answer)
    if answer and answer ~= '' then
      use(answer)
    end
  end)
end

local function split_first(text)
  local first, rest = text:match('^(%S+)%s*(.*)$')
  return first, rest or ''
end

-- Returns the first word as the task, or the task whose hunk is at the cursor, and the rest of the words.
local function task_of(text, states)
  local first, rest = split_first(text)
  if first and vim.list_contains(tasks(), first) then
    return first, rest
  end
  local place = review().at_cursor()
  if place then
    return place.item.proposal.task, text
  end
  local only = tasks(states)
  if #only == 1 then
    return only[1], text
  end
  return first, rest
end

local function need_task(text, states, use)
  local task, rest = task_of(text, states)
  if task then
    use(task, rest)
  else
    client.notify('name a task', vim.log.levels.ERROR)
  end
end

local function place_of(call)
  local lines = vim.api.nvim_buf_get_lines(0, call.line1 - 1, call.line2, false)
  return {
    uri = vim.uri_from_bufnr(0),
    startLine = call.line1 - 1,
    endLine = call.line2 - 1,
    text = table.concat(lines, '\n'),
  }
end

local function open_last(task, field)
  client.request('ralph/status', {}, function(status)
    for _, found in ipairs(status.tasks) do
      local last = found.attempts[#found.attempts]
      if found.id == task and last then
        return require('ralph.documents').show(last[field])
      end
    end
    client.notify(('%s has no attempt yet'):format(task))
  end)
end

local function doctor()
  local program, problem = client.program()
  if not program then
    return client.notify(problem, vim.log.levels.ERROR)
  end
  vim.system({ program, 'doctor' }, { text = true }, vim.schedule_wrap(function(result)
    vim.cmd('botright new')
    vim.bo.buftype, vim.bo.bufhidden, vim.bo.swapfile = 'nofile', 'wipe', false
    vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split(vim.trim(result.stdout .. result.stderr), '\n'))
    vim.bo.modifiable = false
    vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = true })
  end))
end

-- Lands what is accepted: `:Ralph[!] land [tree|commit|branch NAME] [TASK…] [-m MESSAGE]`.
local function land(text, call)
  local words, message = text:match('^(.-)%s*%-m%s+(.+)$')
  local list = vim.split(words or text, '%s+', { trimempty = true })
  local params = { message = message }
  if vim.list_contains({ 'tree', 'commit', 'branch' }, list[1]) then
    params.to = table.remove(list, 1)
  end
  if params.to == 'branch' and list[1] and not vim.list_contains(tasks(), list[1]) then
    params.branch = table.remove(list, 1)
  end
  if #list > 0 then
    params.tasks = list
  end
  require('ralph.land').land(params, call.bang)
end

-- Each: `run` gets the words after the subcommand and the call; `complete` returns candidates.
local commands = {
  plan = { run = function(text, call)
    with_text(text, 'What is to be done?', function(goal)
      client.command('ralph/plan', { goal = goal, context = call.range > 0 and { place_of(call) } or {} })
    end)
  end },
  revise = { run = function(text)
    with_text(text, 'What has to be different?', function(words)
      client.command('ralph/revisePlan', { instructions = words })
    end)
  end },
  approve = {
    run = function(text) client.command('ralph/approve', { tasks = vim.split(text, '%s+', { trimempty = true }) }) end,
    complete = function() return tasks({ 'draft' }) end,
  },
  drop = {
    run = function(text)
      local list = vim.split(text, '%s+', { trimempty = true })
      client.command('ralph/drop', { tasks = list }, nil, { task = #list == 1 and list[1] or nil })
    end,
    complete = tasks,
  },
  start = {
    run = function(text) client.command('ralph/start', { tasks = vim.split(text, '%s+', { trimempty = true }) }) end,
    complete = function() return tasks({ 'ready', 'waiting' }) end,
  },
  pause = { run = function() client.command('ralph/pause', {}) end },
  resume = { run = function() client.command('ralph/resume', {}) end },
  stop = { run = function(_, call) client.command('ralph/stop', { kill = call.bang }) end },
  retry = {
    run = function(text, call)
      need_task(text, { 'blocked' }, function(task)
        client.command('ralph/retry', { task = task, clean = call.bang }, nil, { task = task })
      end)
    end,
    complete = tasks,
  },
  steer = {
    run = function(text)
      need_task(text, { 'running' }, function(task, rest)
        with_text(rest, ('What should %s know?'):format(task), function(words)
          client.command('ralph/steer', { task = task, text = words }, nil, { task = task })
        end)
      end)
    end,
    complete = tasks,
  },
  ask = {
    run = function(text)
      -- Not the task whose hunk is at the cursor: only an agent at work can be asked.
      client.request('ralph/status', {}, function(status)
        known = status
        local task, rest = split_first(text)
        if not vim.list_contains(tasks(), task) then
          local running = tasks({ 'running' })
          task, rest = running[1], text
        end
        if not task then
          return client.notify('nobody is at work who could be asked', vim.log.levels.ERROR)
        end
        with_text(rest, ('What do you ask the agent of %s?'):format(task), function(words)
          client.command('ralph/steer', { task = task, text = words, ask = true })
        end)
      end)
    end,
    complete = function() return tasks({ 'running' }) end,
  },
  review = {
    run = function(text) review().begin(text ~= '' and text or nil) end,
    complete = function() return tasks(reviewed) end,
  },
  accept = {
    run = function(text, call)
      if text == 'file' then
        decide().accept_file()
      elseif text ~= '' then
        decide().accept_task(text)
      elseif call.range > 0 then
        decide().accept_lines(call.line1, call.line2)
      else
        decide().accept_at_cursor()
      end
    end,
    complete = function() return vim.list_extend({ 'file' }, tasks(reviewed)) end,
  },
  reject = { run = function(text, call)
    local why = text ~= '' and text or nil
    if call.range > 0 then
      decide().reject_lines(call.line1, call.line2, why)
    else
      decide().reject_at_cursor({ ask = call.bang, why = why })
    end
  end },
  comment = { run = function(text, call)
    if call.bang then
      decide().uncomment()
    else
      decide().comment(text ~= '' and text or nil)
    end
  end },
  sendback = {
    run = function(text, call)
      need_task(text, reviewed, function(task, rest)
        decide().send_back(task, { comments = rest ~= '' and { rest } or {}, all = call.bang })
      end)
    end,
    complete = function() return tasks(reviewed) end,
  },
  rebase = {
    run = function(text)
      need_task(text, reviewed, function(task) decide().send_back(task, { comments = {}, rebase = true }) end)
    end,
    complete = function() return tasks(reviewed) end,
  },
  keep = {
    run = function(text)
      need_task(text, reviewed, function(task) decide().keep(task) end)
    end,
    complete = function() return tasks(reviewed) end,
  },
  droprest = {
    run = function(text)
      need_task(text, reviewed, function(task) decide().drop_rest(task) end)
    end,
    complete = function() return tasks(reviewed) end,
  },
  land = { run = land, complete = function() return vim.list_extend({ 'branch', 'commit', 'tree' }, tasks({ 'review', 'done' })) end },
  undo = { run = function() require('ralph.land').undo() end },
  answer = {
    run = function(text) require('ralph.decisions').answer(text ~= '' and text or nil) end,
    complete = decisions,
  },
  log = {
    run = function(text)
      need_task(text, { 'running' }, function(task) open_last(task, 'transcriptUri') end)
    end,
    complete = tasks,
  },
  trust = { run = function() client.command('ralph/trust', {}) end },
  status = { run = function()
    client.request('ralph/status', {}, function(status)
      local lines = {}
      local idle = status.run == nil or status.run == vim.NIL
      if idle and status.lastRun and status.lastRun ~= vim.NIL then
        table.insert(lines, 'after the last run: ' .. status.lastRun.summary)
      end
      for _, task in ipairs(status.tasks) do
        table.insert(lines, ('%-8s %s: %s (%s)'):format(task.state, task.id, task.title, task.why))
        for _, question in ipairs(task.questions or {}) do
          local answer = question.answer ~= vim.NIL and question.answer or 'no reply yet'
          table.insert(lines, ('         you asked: %s → %s'):format(question.text, answer))
        end
      end
      for _, decision in ipairs(status.decisions) do
        table.insert(lines, ('asks     %s: %s'):format(decision.id, decision.question))
      end
      for _, text in ipairs(require('ralph.tell').cut_short()) do
        table.insert(lines, 'said     ' .. text)
      end
      client.notify(#lines > 0 and '\n' .. table.concat(lines, '\n') or 'the queue is empty; `:Ralph plan` fills it')
    end)
  end },
  doctor = { run = doctor },
}

--- Runs `:Ralph SUBCOMMAND …`.
---@param call table as `nvim_create_user_command` gives it
function M.run(call)
  local name, text = split_first(call.args)
  local command = commands[name or 'status']
  if not command then
    client.notify(('no subcommand `%s`; they are: %s'):format(name, table.concat(M.names(), ', ')), vim.log.levels.ERROR)
    return
  end
  require('ralph.highlight').define()
  if name ~= 'doctor' and not client.get(0) then
    client.attach(vim.api.nvim_get_current_buf())
  end
  command.run(text or '', call)
  refresh_known()
end

--- Returns the names of all subcommands, sorted.
---@return string[]
function M.names()
  local names = vim.tbl_keys(commands)
  table.sort(names)
  return names
end

--- Completes the last word of the command line.
---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
  local words = vim.split(line, '%s+')
  local candidates
  -- The range may come before the name of the command.
  if #words <= 2 then
    candidates = M.names()
    refresh_known()
  else
    local command = commands[words[2]]
    candidates = command and command.complete and command.complete() or {}
  end
  return vim.tbl_filter(function(candidate) return vim.startswith(candidate, lead) end, candidates)
end

return M

-- Deciding hunks: accepting, rejecting, commenting. What a key decides shows at once; the server does it in the order in
-- which the keys came, and what it refuses waits again.

local client = require('ralph.client')
local history = require('ralph.history')
local proposals = require('ralph.proposals')
local review = require('ralph.review')

local M = {}

local marks_of = { ['ralph/accept'] = 'accepted', ['ralph/reject'] = 'rejected' }

-- What was decided and not sent: one request at a time, since the places of the second depend on the edit of the first.
local queue, busy = {}, false

-- Tasks whose last hunk a key decided and of which this was not said yet. An answer of the server that is older than the
-- last decision may come after it; then it is said as soon as a newer one is there.
local unsaid = {}

local function plural(count, word)
  return ('%d %s'):format(count, word)
end

-- Says how a task stands when its last hunk was decided, and what comes next.
local function tell_decided(task)
  local counts = proposals.counts(task)
  if counts.pending > 0 or counts.accepted + counts.rejected == 0 then
    return
  end
  unsaid[task] = nil
  local parts = {}
  for _, mark in ipairs({ 'accepted', 'rejected' }) do
    if counts[mark] > 0 then
      table.insert(parts, plural(counts[mark], mark))
    end
  end
  local next_step = proposals.is_unsaved(task) and '`:wall` writes it, `:Ralph! land commit` commits it too'
    or '`:Ralph land commit` commits it'
  if counts.rejected > 0 then
    next_step = counts.accepted > 0 and '`:Ralph sendback`, `:Ralph keep` or `:Ralph droprest`' or '`:Ralph sendback` or `:Ralph drop`'
  end
  client.notify(('%s is decided: %s; %s'):format(task, table.concat(parts, ', '), next_step))
end

local next_in_queue

local function finish(job, decided, failure)
  busy = false
  proposals.settle(job.items, decided)
  history.done(job.entry, #decided > 0)
  if #decided < #job.items then
    unsaid[job.params.task] = nil
  end
  if failure then
    client.notify(failure, vim.log.levels.ERROR)
  elseif #queue == 0 then
    tell_decided(job.params.task)
  end
  next_in_queue()
end

proposals.on_change(function()
  if next(unsaid) and not busy and #queue == 0 then
    vim.schedule(function()
      for _, task in ipairs(busy and {} or vim.tbl_keys(unsaid)) do
        tell_decided(task)
      end
    end)
  end
end)

next_in_queue = function()
  if busy or #queue == 0 then
    return
  end
  local job = table.remove(queue, 1)
  busy = true
  if job.run then
    return job.run(function()
      busy = false
      next_in_queue()
    end)
  end
  client.request(job.method, job.params, function(result)
    for _, conflict in ipairs(result.conflicts or {}) do
      client.notify(conflict.reason, vim.log.levels.WARN)
    end
    -- Rejecting names no hunks where the person was asked for the reason and gave none.
    if not job.at_once then
      proposals.decide(job.items, marks_of[job.method])
    end
    finish(job, result.hunks or {})
  end, { buffer = job.buffer, failed = function(message) finish(job, {}, message) end })
end

-- Decides the items, each task by itself. Where the person is asked first, nothing shows before the answer.
local function decide(method, items, more)
  if #items == 0 then
    client.notify('no hunk waits here')
    return
  end
  local by_task, tasks = {}, {}
  for _, item in ipairs(items) do
    local task = item.proposal.task
    if not by_task[task] then
      by_task[task] = {}
      table.insert(tasks, task)
    end
    table.insert(by_task[task], item)
  end
  local asks = more and more.askWhy
  if not asks then
    proposals.decide(items, marks_of[method])
  end
  for _, task in ipairs(tasks) do
    local ids = vim.tbl_map(function(item) return item.hunk.id end, by_task[task])
    unsaid[task] = not asks and proposals.counts(task).pending == 0 or nil
    table.insert(queue, {
      method = method,
      entry = history.note(marks_of[method], by_task[task]),
      items = by_task[task],
      at_once = not asks,
      buffer = vim.api.nvim_get_current_buf(),
      params = vim.tbl_extend('force', { task = task, hunks = ids }, more or {}),
    })
  end
  next_in_queue()
end

-- Decides the hunk at the cursor and goes on to the next one.
local function decide_at_cursor(method, more)
  local place = review.at_cursor()
  local all = proposals.pending()
  decide(method, place and { place.item } or {}, more)
  if place and require('ralph').options.advance and not (more and more.askWhy) then
    review.go_on(place.item, all)
  end
end

--- Takes back what a key decided last, after what is on its way; `u` as ever where that is not what was done last.
function M.take_back()
  unsaid = {}
  table.insert(queue, { run = history.take_back })
  next_in_queue()
end

--- Calls the function when the server knows what keys decided so far; at once where nothing is on its way.
---@param action fun()
function M.afterwards(action)
  table.insert(queue, { run = function(done)
    done()
    action()
  end })
  next_in_queue()
end

local function operated()
  return review.in_rows(vim.api.nvim_buf_get_mark(0, '[')[1] - 1, vim.api.nvim_buf_get_mark(0, ']')[1] - 1)
end

--- For `operatorfunc`: accept or reject the hunks of the motion, or the one at the cursor and go on.
function M.operator_accept()
  decide('ralph/accept', operated())
end

function M.operator_reject()
  decide('ralph/reject', operated())
end

function M.operator_accept_hunk()
  decide_at_cursor('ralph/accept')
end

function M.operator_reject_hunk()
  decide_at_cursor('ralph/reject')
end

--- Accepts what waits in the lines, 1-based and inclusive.
---@param first integer
---@param last integer
function M.accept_lines(first, last)
  decide('ralph/accept', review.in_rows(first - 1, last - 1))
end

--- Rejects what waits in the lines, 1-based and inclusive.
---@param first integer
---@param last integer
---@param why string?
function M.reject_lines(first, last, why)
  decide('ralph/reject', review.in_rows(first - 1, last - 1), { why = why })
end

--- Rejects the hunk at the cursor, with a reason for the next attempt.
---@param options { ask: boolean?, why: string? }
function M.reject_at_cursor(options)
  decide_at_cursor('ralph/reject', { askWhy = options.ask or nil, why = options.why })
end

--- Accepts the hunk at the cursor.
function M.accept_at_cursor()
  decide_at_cursor('ralph/accept')
end

--- Accepts everything that waits in the file.
function M.accept_file()
  decide('ralph/accept', proposals.pending_in(vim.api.nvim_get_current_buf()))
end

--- Accepts everything of a task, in all its files; those that are not open are written.
---@param task string
function M.accept_task(task)
  M.afterwards(function()
    client.request('ralph/accept', { task = task }, function(result)
      for _, conflict in ipairs(result.conflicts or {}) do
        client.notify(conflict.reason, vim.log.levels.WARN)
      end
      client.notify(('%s: %s; files that are not open are written'):format(task, plural(#(result.hunks or {}), 'accepted')))
      vim.cmd('silent! checktime')
      proposals.fetch(task, function() tell_decided(task) end)
    end)
  end)
end

-- Returns the line of the cursor as the file would have it with all that waits above it accepted, 1-based.
local function proposed_line(place)
  local row = vim.api.nvim_win_get_cursor(0)[1]
  for _, other in ipairs(require('ralph.marks').places(0)) do
    local hunk = other.item.hunk
    if hunk.kind == 'text' and other.last < row - 1 and other ~= place then
      row = row + #hunk.newLines - #hunk.oldLines
    end
  end
  return row
end

-- Returns what a comment at the cursor is about, or nil.
local function subject()
  local place = review.at_cursor()
  if place then
    return { task = place.item.proposal.task, hunk = place.item.hunk.id }
  end
  local tasks = proposals.tasks_in(vim.api.nvim_get_current_buf())
  local name = vim.api.nvim_buf_get_name(0)
  for _, file in ipairs(#tasks == 1 and proposals.of(tasks[1]).files or {}) do
    if vim.uri_to_fname(file.uri) == name then
      return { task = tasks[1], path = file.path, line = proposed_line() }
    end
  end
end

--- Says something about the hunk or the line at the cursor to the next attempt.
---@param text string? asked for when nil
function M.comment(text)
  local about = subject()
  if not about then
    client.notify('no proposal is about this line')
    return
  end
  local buffer = vim.api.nvim_get_current_buf()
  local function send(words)
    client.command('ralph/comment', vim.tbl_extend('force', about, { text = words }), function()
      proposals.fetch(about.task)
    end, { buffer = buffer })
  end
  if text then
    return send(text)
  end
  vim.ui.input({ prompt = 'What should the next attempt know about this? ' }, function(words)
    if words and vim.trim(words) ~= '' then
      send(words)
    end
  end)
end

--- Takes back the newest comment on the hunk at the cursor that was not sent.
function M.uncomment()
  local place = review.at_cursor()
  local newest
  for _, comment in ipairs(place and proposals.comments(place.item) or {}) do
    if not comment.sent and comment.id then
      newest = comment
    end
  end
  if not newest then
    client.notify('no comment here waits to be sent')
    return
  end
  local task = place.item.proposal.task
  client.command('ralph/comment', { task = task, drop = newest.id }, function() proposals.fetch(task) end)
end

-- Asks for something about a whole task that rests on what was decided before.
local function command_afterwards(method, params, ends)
  unsaid[params.task] = nil
  M.afterwards(function()
    client.command(method, params, function()
      if ends and proposals.is_unsaved(params.task) then
        client.notify(('%s is done as soon as its files are written: `:wall`'):format(params.task))
      end
      M.refetch(params.task)
    end, { task = params.task })
  end)
end

--- Sends a proposal back to an agent, with all comments and reasons; what was accepted stays, unless all is to be made anew.
---@param task string
---@param options { comments: string[]?, all: boolean?, rebase: boolean? }
function M.send_back(task, options)
  local params = { task = task, comments = options.comments, rebase = options.rebase or nil, rest = not options.all }
  command_afterwards('ralph/sendBack', params)
end

--- Keeps just what was accepted of a task, whose rest was rejected.
---@param task string
function M.keep(task)
  command_afterwards('ralph/accept', { task = task, keepAcceptedPart = true }, true)
end

--- Rejects what waits of a task and keeps what was accepted.
---@param task string
function M.drop_rest(task)
  command_afterwards('ralph/reject', { task = task, rest = true }, true)
end

--- Looks at a task again after something else than a hunk was decided: proposals, and files that were written.
---@param task string?
function M.refetch(task)
  vim.cmd('silent! checktime')
  if task then
    proposals.fetch(task)
  else
    proposals.refresh()
  end
end

return M

-- What waits for review: the proposals of every task, fetched from the server. What the person decides counts here at
-- once; the server's word follows and counts more.

local client = require('ralph.client')

local M = {}

-- By task id: the proposal as the server answers `ralph/proposal`, and its hunks as items in file order.
local known = {}
-- By the name a buffer of the document has: the items of each task in it, by task id.
local by_document = {}
-- Task ids in the order of the queue.
local order = {}
-- Called after something changed.
local listeners = {}
-- Tasks that are being fetched, with what is called afterwards.
local fetching = {}
-- Tasks whose next fetch is put off, with its timer.
local timers = {}
-- The items to review in their order; nil when it has to be made anew.
local pending_cache

-- Milliseconds until a proposal is fetched that does not look as expected, and one that should be as it is known.
local soon, later = 20, 400

local function null(value)
  return value == nil or value == vim.NIL
end

--- Calls the function whenever proposals changed, with the names of the documents they changed in.
---@param listener fun(names: table<string, true>)
function M.on_change(listener)
  table.insert(listeners, listener)
end

local function changed(names)
  pending_cache = nil
  for _, listener in ipairs(listeners) do
    listener(names)
  end
end

--- Tells whether the hunk waits for the person.
---@param hunk table
---@return boolean
function M.is_pending(hunk)
  return hunk.mark == 'pending' and hunk.state ~= 'accepted'
end

-- Programs escape names in URIs in different ways, so documents are told apart by the name their buffers have.
local function name_of(uri)
  return vim.startswith(uri, 'file:') and vim.uri_to_fname(uri) or uri
end

-- Returns the name of the buffer that a file's hunks are decided in: the old one until a rename is accepted.
local function name_of_file(file)
  local name = name_of(file.uri)
  local is_renamed = vim.iter(file.hunks):any(function(hunk) return hunk.kind == 'rename' and hunk.mark ~= 'accepted' end)
  if is_renamed and not null(file.oldPath) and vim.endswith(name, file.path) then
    return name:sub(1, #name - #file.path) .. file.oldPath
  end
  return name
end

local function names_of(items)
  local names = {}
  for _, item in ipairs(items) do
    names[item.name], names[item.file.proposalUri] = true, true
  end
  return names
end

-- Puts a record in the place of what is known of a task.
local function put(task, record)
  local names = names_of(known[task] and known[task].items or {})
  for name in pairs(names) do
    by_document[name][task] = nil
  end
  known[task] = record
  for _, item in ipairs(record and record.items or {}) do
    for _, name in ipairs({ item.name, item.file.proposalUri }) do
      names[name] = true
      by_document[name] = by_document[name] or {}
      by_document[name][task] = by_document[name][task] or {}
      table.insert(by_document[name][task], item)
    end
  end
  changed(names)
end

-- Returns the files in the order to look at them, which is the server's when the round begins and stays so: what is decided
-- meanwhile moves nothing. Also returns the number before that of each file's first hunk, counted by path.
local function arrange(proposal, before)
  local same = before and before.proposal.attempt == proposal.attempt and before.proposal.round == proposal.round
  local rank, numbers, count = {}, {}, 0
  for index, file in ipairs(proposal.files) do
    rank[file.path] = same and before.rank[file.path] or index + (same and #proposal.files or 0)
  end
  local files = vim.list_extend({}, proposal.files)
  table.sort(files, function(a, b) return a.path < b.path end)
  for _, file in ipairs(files) do
    numbers[file.path] = count
    count = count + #file.hunks
  end
  table.sort(files, function(a, b) return rank[a.path] < rank[b.path] end)
  return files, rank, numbers
end

-- Makes items of a proposal. `ticks` has the state of each open document when it was asked for: places are exact where
-- nobody typed since.
local function record_of(proposal, ticks)
  local before = known[proposal.task]
  local files, rank, numbers = arrange(proposal, before)
  local record = { proposal = proposal, items = {}, by_id = {}, rank = rank }
  for _, file in ipairs(files) do
    local name = name_of_file(file)
    local buffer = ticks[name] and ticks[name].buffer
    local exact = buffer and vim.api.nvim_buf_is_loaded(buffer)
      and vim.api.nvim_buf_get_changedtick(buffer) == ticks[name].tick or false
    for index, hunk in ipairs(file.hunks) do
      local number = numbers[file.path] + index
      local item = { proposal = proposal, file = file, hunk = hunk, name = name, number = number, exact = exact }
      local earlier = before and before.by_id[hunk.id]
      if earlier and earlier.deciding then
        -- What was decided meanwhile is still on its way.
        hunk.mark, item.deciding, item.settling = earlier.hunk.mark, true, true
      end
      table.insert(record.items, item)
      record.by_id[hunk.id] = item
    end
  end
  return record
end

local function ticks_of_buffers()
  local ticks = {}
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(buffer) and vim.b[buffer].ralph_review then
      ticks[vim.api.nvim_buf_get_name(buffer)] = { buffer = buffer, tick = vim.api.nvim_buf_get_changedtick(buffer) }
    end
  end
  return ticks
end

local function stop_timer(task)
  if timers[task] then
    timers[task]:stop()
    timers[task]:close()
    timers[task] = nil
  end
end

--- Fetches the proposal of one task; calls at the same time end in one more fetch.
---@param task string
---@param done fun()?
function M.fetch(task, done)
  stop_timer(task)
  local under_way = fetching[task]
  if under_way then
    under_way.again = under_way.again or {}
    table.insert(under_way.again, done or function() end)
    return
  end
  fetching[task] = {}
  local ticks = ticks_of_buffers()
  local function ended(record)
    local again = fetching[task].again
    fetching[task] = nil
    if record or known[task] then
      put(task, record)
    end
    if again then
      M.fetch(task, function()
        for _, waiting in ipairs(again) do waiting() end
      end)
    end
    if done then
      done()
    end
  end
  client.request('ralph/proposal', { task = task }, function(proposal)
    ended(record_of(proposal, ticks))
  end, {
    -- There is none any more, or the server is gone; either way nothing of it can be decided.
    failed = function() ended(nil) end,
  })
end

local function fetch_after(task, milliseconds)
  stop_timer(task)
  timers[task] = vim.defer_fn(function()
    timers[task] = nil
    M.fetch(task)
  end, milliseconds)
end

--- Takes a proposal away that is not there any more.
---@param task string
function M.forget(task)
  stop_timer(task)
  if known[task] then
    put(task, nil)
  end
end

--- Fetches everything that waits; calls `done` when all of it is there.
---@param done fun()?
function M.refresh(done)
  client.request('ralph/status', {}, function(status)
    require('ralph.after').arrived(status)
    local waiting = {}
    order = {}
    for _, task in ipairs(status.tasks) do
      table.insert(order, task.id)
      if #(task.hunks or {}) > 0 and not vim.list_contains({ 'done', 'dropped' }, task.state) then
        table.insert(waiting, task.id)
      else
        M.forget(task.id)
      end
    end
    pending_cache = nil
    local left = #waiting
    local function one_less()
      left = left - 1
      if left <= 0 and done then
        done()
      end
    end
    if left == 0 then
      one_less()
    end
    for _, task in ipairs(waiting) do
      M.fetch(task, one_less)
    end
  end)
end

--- Takes what the server says about a task by itself: how many hunks it has and how many of them wait.
---@param params { task: string, pending: integer, total: integer }
function M.told(params)
  local task = params.task
  if params.total == 0 then
    return M.forget(task)
  end
  if not vim.list_contains(order, task) then
    return M.refresh()
  end
  local record = known[task]
  local pending, is_settling = 0, false
  for _, item in ipairs(record and record.items or {}) do
    pending = pending + (item.hunk.mark == 'pending' and 1 or 0)
    is_settling = is_settling or item.settling
  end
  local expected = record and #record.items == params.total and pending == params.pending
  -- As expected, or while the person decides, it is looked at in the next pause: a comment or a new round may have come.
  fetch_after(task, (expected or is_settling) and later or soon)
end

--- Tells whether anything is known of a task.
---@param task string
---@return boolean
function M.is_known(task)
  return known[task] ~= nil
end

--- Takes the hunks that the server's diagnostics show in a buffer, by id, with their lines.
---@param buffer integer
---@param found table<string, { task: string, state: string, first: integer, last: integer }>
function M.sync(buffer, found)
  local name = vim.api.nvim_buf_get_name(buffer)
  local differs, unknown = false, {}
  for id, place in pairs(found) do
    if not (known[place.task] and known[place.task].by_id[id]) then
      unknown[place.task] = true
    end
  end
  for task, items in pairs(by_document[name] or {}) do
    local missing = {}
    for _, item in ipairs(items) do
      local hunk, place = item.hunk, found[item.hunk.id]
      local waits = M.is_pending(hunk)
      if place and not item.settling and (not waits or hunk.state ~= place.state) then
        hunk.startLine, hunk.endLine = place.first, #hunk.oldLines > 0 and place.last + 1 or place.first
        hunk.mark, hunk.state, differs = 'pending', place.state, true
      elseif not place and waits and hunk.kind == 'text' then
        table.insert(missing, hunk.id)
      elseif not place then
        item.settling = nil
      end
    end
    -- The same twice: the person silenced these diagnostics.
    local key = #missing > 0 and table.concat(missing, ' ') or nil
    local record = known[task]
    if key and record.missing ~= key then
      fetch_after(task, soon)
    end
    record.missing = key
  end
  for task in pairs(unknown) do
    fetch_after(task, soon)
  end
  if differs then
    changed({ [name] = true })
  end
end

--- Counts the items as decided from now on, before the server has done it.
---@param items table[]
---@param mark string `accepted` or `rejected`
function M.decide(items, mark)
  for _, item in ipairs(items) do
    item.hunk.mark, item.deciding, item.settling = mark, true, true
  end
  changed(names_of(items))
end

--- Takes the server's answer: the items whose ids are not in `decided` wait after all.
---@param items table[]
---@param decided string[]
function M.settle(items, decided)
  local back, is_decided = {}, {}
  for _, id in ipairs(decided) do
    is_decided[id] = true
  end
  for _, item in ipairs(items) do
    -- A fetch may have put another item in its place.
    local record = known[item.proposal.task]
    for _, current in ipairs({ item, record and record.by_id[item.hunk.id] }) do
      current.deciding = nil
      if not is_decided[item.hunk.id] then
        current.hunk.mark, current.settling = 'pending', nil
        table.insert(back, current)
      end
    end
    fetch_after(item.proposal.task, later)
  end
  if #back > 0 then
    changed(names_of(back))
  end
end

--- Counts items as pending again whose rejection the server took back.
---@param items table[]
function M.reopen(items)
  for _, item in ipairs(items) do
    local record = known[item.proposal.task]
    local current = record and record.by_id[item.hunk.id] or item
    current.hunk.mark, current.deciding, current.settling = 'pending', nil, nil
  end
  changed(names_of(items))
end

--- Returns the pending hunks of all tasks in the order to review them: by task, by file with those that need to be looked
--- at most first, and by place.
---@return { proposal: table, file: table, hunk: table, number: integer }[]
function M.pending()
  if pending_cache then
    return pending_cache
  end
  local found, seen = {}, {}
  local function add(task)
    local record = known[task]
    if record and not seen[task] then
      seen[task] = true
      vim.list_extend(found, vim.tbl_filter(function(item) return M.is_pending(item.hunk) end, record.items))
    end
  end
  vim.tbl_map(add, order)
  local others = vim.tbl_keys(known)
  table.sort(others)
  vim.tbl_map(add, others)
  pending_cache = found
  return found
end

local function items_in(buffer)
  return by_document[vim.api.nvim_buf_get_name(buffer)] or {}
end

--- Returns the pending hunks whose file, or virtual new side, is shown in the buffer.
---@param buffer integer
---@return { proposal: table, file: table, hunk: table, number: integer }[]
function M.pending_in(buffer)
  local found, name = {}, vim.api.nvim_buf_get_name(buffer)
  for _, items in pairs(items_in(buffer)) do
    for _, item in ipairs(items) do
      -- The new side has only what is decided on the file as a whole: its lines are there already.
      if M.is_pending(item.hunk) and (item.name == name or item.hunk.kind ~= 'text') then
        table.insert(found, item)
      end
    end
  end
  return found
end

--- Tells whether the name is that of a document with hunks.
---@param name string
---@return boolean
function M.has_document(name)
  return by_document[name] ~= nil
end

--- Returns the tasks that propose something for the file in the buffer, decided or not.
---@param buffer integer
---@return string[]
function M.tasks_in(buffer)
  return vim.tbl_keys(items_in(buffer))
end

--- Returns a task's proposal, as the server answered, or nil.
---@param task string
---@return table?
function M.of(task)
  return known[task] and known[task].proposal
end

--- Returns how many hunks of a task are pending, accepted and rejected.
---@param task string
---@return { pending: integer, accepted: integer, rejected: integer }
function M.counts(task)
  local counts = { pending = 0, accepted = 0, rejected = 0 }
  for _, item in ipairs(known[task] and known[task].items or {}) do
    local mark = item.hunk.mark == 'pending' and item.hunk.state == 'accepted' and 'accepted' or item.hunk.mark
    counts[mark] = (counts[mark] or 0) + 1
  end
  return counts
end

--- Tells whether a file of the task's proposal is open with text that is not written.
---@param task string
---@return boolean
function M.is_unsaved(task)
  return vim.iter(vim.api.nvim_list_bufs()):any(function(buffer)
    return vim.bo[buffer].modified and vim.list_contains(M.tasks_in(buffer), task)
  end)
end

--- Returns where the hunk is in a list of all hunks of its task, as `2/5`.
---@param item { proposal: table, number: integer }
---@return string
function M.place(item)
  local record = known[item.proposal.task]
  return ('%d/%d'):format(item.number, record and #record.items or item.number)
end

--- Returns the comments on a hunk, unsent ones first; those on its file without a hunk go with the file's first one.
---@param item table
---@return { id: string?, text: string, round: integer?, sent: boolean }[]
function M.comments(item)
  local proposal, hunk = item.proposal, item.hunk
  local found = {}
  for _, comment in ipairs(null(proposal.comments) and {} or proposal.comments) do
    local own = comment.hunk == hunk.id
    local of_file = null(comment.hunk) and comment.path == item.file.path and item.file.hunks[1].id == hunk.id
    if own or of_file then
      table.insert(found, comment)
    end
  end
  if #found == 0 then
    found = vim.tbl_map(function(text) return { text = text, sent = false } end, null(hunk.comments) and {} or hunk.comments)
  end
  local sorted = vim.tbl_filter(function(comment) return not comment.sent end, found)
  return vim.list_extend(sorted, vim.tbl_filter(function(comment) return comment.sent end, found))
end

--- Returns why the hunk deserves a second look, with what a reviewer found in it, or nil.
---@param hunk table
---@return string?
function M.warning(hunk)
  local reasons = {}
  if not null(hunk.waitsFor) then
    table.insert(reasons, ('waits for %s'):format(hunk.waitsFor))
  elseif hunk.state == 'conflict' then
    table.insert(reasons, 'does not fit the text as it is now')
  elseif not null(hunk.weakensTest) then
    table.insert(reasons, hunk.weakensTest)
  end
  for _, finding in ipairs(null(hunk.findings) and {} or hunk.findings) do
    table.insert(reasons, 'the reviewer: ' .. vim.trim((finding:gsub('%s+', ' '))))
  end
  return #reasons > 0 and table.concat(reasons, '; ') or nil
end

return M

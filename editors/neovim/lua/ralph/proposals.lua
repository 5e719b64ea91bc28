-- What waits for review: the proposals of every task, fetched from the server and kept until it says that they changed.

local client = require('ralph.client')

local M = {}

-- Proposals by task id, as the server answers `ralph/proposal`.
local proposals = {}
-- Task ids in the order of the queue.
local order = {}
-- Called after something changed.
local listeners = {}
-- Tasks that are being fetched; true where they have to be fetched again.
local fetching = {}

local function null(value)
  return value == nil or value == vim.NIL
end

--- Calls the function whenever proposals changed.
---@param listener fun()
function M.on_change(listener)
  table.insert(listeners, listener)
end

local function changed()
  for _, listener in ipairs(listeners) do
    listener()
  end
end

--- Tells whether the hunk waits for the person.
---@param hunk table
---@return boolean
function M.is_pending(hunk)
  return hunk.mark == 'pending' and hunk.state ~= 'accepted'
end

local function has_pending(proposal)
  for _, file in ipairs(proposal.files) do
    for _, hunk in ipairs(file.hunks) do
      if M.is_pending(hunk) then return true end
    end
  end
  return false
end

--- Fetches the proposal of one task; calls at the same time end in one more fetch.
---@param task string
---@param done fun()?
function M.fetch(task, done)
  if fetching[task] then
    fetching[task] = 'again'
    return
  end
  fetching[task] = 'once'
  client.request('ralph/proposal', { task = task }, function(proposal)
    local again = fetching[task] == 'again'
    fetching[task] = nil
    proposals[task] = has_pending(proposal) and proposal or nil
    changed()
    if again then
      M.fetch(task)
    end
    if done then
      done()
    end
  end)
end

--- Takes a proposal away that is not there any more.
---@param task string
function M.forget(task)
  if proposals[task] then
    proposals[task] = nil
    changed()
  end
end

--- Fetches everything that waits; calls `done` when all of it is there.
---@param done fun()?
function M.refresh(done)
  client.request('ralph/status', {}, function(status)
    local waiting = {}
    order = {}
    for _, task in ipairs(status.tasks) do
      table.insert(order, task.id)
      local pending = vim.tbl_filter(function(hunk) return hunk.mark == 'pending' end, task.hunks or {})
      if #pending > 0 then
        table.insert(waiting, task.id)
      else
        M.forget(task.id)
      end
    end
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
      fetching[task] = nil
      M.fetch(task, one_less)
    end
  end)
end

--- Returns the pending hunks of all tasks in the order to review them: by task, file and place.
---@return { proposal: table, file: table, hunk: table }[]
function M.pending()
  local found, seen = {}, {}
  local function add(task)
    local proposal = proposals[task]
    if not proposal or seen[task] then
      return
    end
    seen[task] = true
    for _, file in ipairs(proposal.files) do
      for _, hunk in ipairs(file.hunks) do
        if M.is_pending(hunk) then
          table.insert(found, { proposal = proposal, file = file, hunk = hunk })
        end
      end
    end
  end
  vim.tbl_map(add, order)
  vim.tbl_map(add, vim.tbl_keys(proposals))
  return found
end

--- Returns the pending hunks whose file, or virtual new side, is shown in the buffer.
---@param buffer integer
---@return { proposal: table, file: table, hunk: table }[]
function M.pending_in(buffer)
  local path = vim.api.nvim_buf_get_name(buffer)
  local uri = path:match('^ralph:') and path or vim.uri_from_fname(path)
  return vim.tbl_filter(function(item)
    return item.file.uri == uri or item.file.proposalUri == uri
  end, M.pending())
end

--- Returns the tasks that have hunks in the buffer.
---@param buffer integer
---@return string[]
function M.tasks_in(buffer)
  local tasks = {}
  for _, item in ipairs(M.pending_in(buffer)) do
    tasks[item.proposal.task] = true
  end
  return vim.tbl_keys(tasks)
end

--- Returns where the hunk is in a list of all hunks of its task, as `2/5`.
---@param item { proposal: table, hunk: table }
---@return string
function M.place(item)
  local number, all = 0, 0
  for _, file in ipairs(item.proposal.files) do
    for _, hunk in ipairs(file.hunks) do
      all = all + 1
      if hunk.id == item.hunk.id then
        number = all
      end
    end
  end
  return ('%d/%d'):format(number, all)
end

--- Returns why the hunk deserves a second look, with what a reviewer found in it, or nil.
---@param hunk table
---@return string?
function M.warning(hunk)
  local reasons = {}
  if hunk.state == 'conflict' then
    table.insert(reasons, 'does not fit the text as it is now')
  elseif not null(hunk.weakensTest) then
    table.insert(reasons, hunk.weakensTest)
  end
  for _, finding in ipairs(null(hunk.findings) and {} or hunk.findings) do
    table.insert(reasons, 'the reviewer: ' .. vim.trim(finding:gsub('%s+', ' ')))
  end
  return #reasons > 0 and table.concat(reasons, '; ') or nil
end

return M

-- Landing what was accepted, and taking back what was done last.

local client = require('ralph.client')
local decide = require('ralph.decide')
local proposals = require('ralph.proposals')

local M = {}

-- Milliseconds that what was written may take to be known; landing says what is missing after that.
local patience = 3000

local function unsaved()
  return vim.tbl_filter(function(buffer)
    return vim.bo[buffer].modified and #proposals.tasks_in(buffer) > 0
  end, vim.api.nvim_list_bufs())
end

-- Writes the files that hold what was accepted; returns whether all could be.
local function write(buffers)
  for _, buffer in ipairs(buffers) do
    local written, problem = pcall(vim.api.nvim_buf_call, buffer, function() vim.cmd('silent write') end)
    if not written then
      client.notify(('failed to write %s: %s'):format(vim.api.nvim_buf_get_name(buffer), problem), vim.log.levels.ERROR)
      return false
    end
  end
  return true
end

-- Returns the tasks that are done as soon as their files are written.
local function decided_in(buffers)
  local tasks = {}
  for _, buffer in ipairs(buffers) do
    for _, task in ipairs(proposals.tasks_in(buffer)) do
      local counts = proposals.counts(task)
      if counts.pending == 0 and counts.rejected == 0 then
        tasks[task] = true
      end
    end
  end
  return tasks
end

-- Calls `use` when the server knows that the tasks are done, which it tells by a change of its status.
local function when_done(tasks, use)
  if next(tasks) == nil then
    return use()
  end
  local group = vim.api.nvim_create_augroup('ralph.land', {})
  local is_over = false
  local function over()
    if not is_over then
      is_over = true
      vim.api.nvim_clear_autocmds({ group = group })
      use()
    end
  end
  local function look()
    client.request('ralph/status', {}, function(status)
      local left = vim.iter(status.tasks):any(function(task) return tasks[task.id] and task.state ~= 'done' end)
      if not left then
        over()
      end
    end, { failed = over })
  end
  vim.api.nvim_create_autocmd('User', { group = group, pattern = 'RalphStatus', callback = look })
  look()
  vim.defer_fn(over, patience)
end

local function land(params, writes)
  local buffers = unsaved()
  local tasks = writes and decided_in(buffers) or {}
  if writes and not write(buffers) then
    return
  end
  when_done(tasks, function()
    client.command('ralph/land', params, function()
      decide.refetch()
      if not writes and #buffers > 0 then
        client.notify('what is not written has not landed: `:Ralph! land` writes it first', vim.log.levels.WARN)
      end
    end)
  end)
end

--- Lands what is accepted and on disk.
---@param params table as `ralph/land` takes them
---@param writes boolean? write the files of proposals first
function M.land(params, writes)
  decide.afterwards(function() land(params, writes) end)
end

--- Takes back what was rejected, written or landed last.
function M.undo()
  decide.afterwards(function()
    client.command('ralph/undo', {}, function() decide.refetch() end)
  end)
end

return M

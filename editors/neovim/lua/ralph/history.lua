-- What was decided by keys, newest last, so that `u` takes it back: an acceptance by the undo of its buffer, wherever the
-- cursor went on to, and a rejection by the server.

local client = require('ralph.client')
local proposals = require('ralph.proposals')
local review = require('ralph.review')

local M = {}

-- Each: `mark`, `items`, and `ticks`, the states of the buffers when it was done.
local entries = {}
local kept = 200

local function note_ticks(entry, buffer)
  if buffer > 0 and vim.api.nvim_buf_is_loaded(buffer) then
    entry.ticks[buffer] = vim.api.nvim_buf_get_changedtick(buffer)
  end
end

--- Notes what is being decided.
---@param mark string
---@param items table[]
---@return table entry for `done`
function M.note(mark, items)
  local entry = { mark = mark, items = items, ticks = {} }
  table.insert(entries, entry)
  if #entries > kept then
    table.remove(entries, 1)
  end
  return entry
end

--- Notes that the server has done it, or that it did nothing.
---@param entry table
---@param is_decided boolean
function M.done(entry, is_decided)
  if not is_decided then
    entries = vim.tbl_filter(function(other) return other ~= entry end, entries)
    return
  end
  for _, item in ipairs(entry.items) do
    note_ticks(entry, vim.fn.bufnr(item.name))
  end
  note_ticks(entry, vim.api.nvim_get_current_buf())
end

-- Tells whether the buffer is as it was when the entry was done.
local function is_untouched(entry, buffer)
  return entry.ticks[buffer] == vim.api.nvim_buf_get_changedtick(buffer)
end

local function take_back_rejection(entry, done)
  local item = entry.items[1]
  local ids = vim.tbl_map(function(rejected) return rejected.hunk.id end, entry.items)
  client.request('ralph/reject', { task = item.proposal.task, hunks = ids, undo = true }, function()
    proposals.reopen(entry.items)
    review.go_to(item)
    done()
  end, { failed = function(message)
    client.notify(message, vim.log.levels.ERROR)
    done()
  end })
end

local function take_back_acceptance(entry, buffer)
  if vim.api.nvim_get_current_buf() ~= buffer then
    vim.cmd('hide buffer ' .. buffer)
  end
  vim.cmd('silent normal! u')
  if entries[#entries] then
    note_ticks(entries[#entries], buffer)
  end
end

--- Takes the newest decision back, unless the person has changed the current buffer since: then it is `u` as ever.
---@param done fun() called when it is done
function M.take_back(done)
  local entry = entries[#entries]
  if not entry or not is_untouched(entry, vim.api.nvim_get_current_buf()) then
    vim.cmd('normal! u')
    return done()
  end
  if entry.mark == 'rejected' then
    table.remove(entries)
    return take_back_rejection(entry, done)
  end
  local buffer = vim.fn.bufnr(entry.items[1].name)
  if buffer > 0 and vim.api.nvim_buf_is_loaded(buffer) and is_untouched(entry, buffer) then
    table.remove(entries)
    take_back_acceptance(entry, buffer)
    return done()
  end
  vim.cmd('normal! u')
  done()
end

return M

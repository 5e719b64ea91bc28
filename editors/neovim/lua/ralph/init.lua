-- What a configuration calls: `setup`, and what a statusline shows.

local M = {}

--- Settings and their defaults; `:help ralph-setup`.
M.options = {
  -- The program, or nil: the one on PATH, or the one beside the plug-in.
  cmd = nil,
  -- Sets the maps of `:help ralph-maps` in buffers that have hunks: true, or a table of keys and names.
  maps = false,
  -- Goes on to the next hunk when a key decided one.
  advance = true,
  -- Shows proposals in buffers.
  inline = true,
  -- What the server gets as settings; the form is that of `.ralph/config.json`.
  settings = {},
}

--- Starts the server for every file of a git repository. Calling it again only changes the options.
---@param options table?
function M.setup(options)
  M.options = vim.tbl_deep_extend('force', M.options, options or {})
  -- A table of keys is the person's own, not one to be mixed.
  M.options.maps = options and options.maps ~= nil and options.maps or M.options.maps
  require('ralph.highlight').define()
  require('ralph.client').enable()
end

-- A time left, as `12:31` or `1:02:03`; never below nothing.
local function clock(milliseconds)
  local seconds = math.max(math.ceil(milliseconds / 1000), 0)
  local hours, minutes = math.floor(seconds / 3600), math.floor(seconds / 60) % 60
  if hours > 0 then
    return ('%d:%02d:%02d'):format(hours, minutes, seconds % 60)
  end
  return ('%d:%02d'):format(minutes, seconds % 60)
end

local function now()
  local seconds, microseconds = vim.uv.gettimeofday()
  return seconds * 1000 + microseconds / 1000
end

--- Returns a few words for a statusline: what runs in the repository of the current buffer, with the time left while its
--- run waits for an agent. Empty when nothing is known.
---@return string
function M.statusline()
  local status = require('ralph.client').status_of(0)
  if not status then
    return ''
  end
  local left = require('ralph.client').waiting_until(status)
  return left and ('%s · %s'):format(status.message, clock(left - now())) or status.message
end

--- Returns the last status of the repository of the buffer as the server sent it, or nil; `:help ralph-statusline`.
---@param buffer integer? 0 or nil is the current one
---@return table?
function M.status(buffer)
  return require('ralph.client').status_of(buffer or 0)
end

return M

-- What a configuration calls: `setup`, and what a statusline shows.

local M = {}

--- Settings and their defaults; `:help ralph-setup`.
M.options = {
  -- The program, or nil: the one on PATH, or the one beside the plug-in.
  cmd = nil,
  -- Sets the maps of `:help ralph-maps` in buffers that have hunks.
  maps = false,
  -- Shows proposals in buffers.
  inline = true,
  -- What the server gets as settings; the form is that of `.ralph/config.json`.
  settings = {},
}

--- Starts the server for every file of a git repository. Calling it again only changes the options.
---@param options table?
function M.setup(options)
  M.options = vim.tbl_deep_extend('force', M.options, options or {})
  require('ralph.highlight').define()
  require('ralph.client').enable()
end

--- Returns a few words for a statusline: what runs in the repository of the current buffer. Empty when nothing is known.
---@return string
function M.statusline()
  local status = require('ralph.client').status_of(0)
  return status and status.message or ''
end

--- Returns the last status of the repository of the buffer as the server sent it, or nil; `:help ralph-statusline`.
---@param buffer integer? 0 or nil is the current one
---@return table?
function M.status(buffer)
  return require('ralph.client').status_of(buffer or 0)
end

return M

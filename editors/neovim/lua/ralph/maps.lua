-- The maps of buffers that have hunks, for those who asked for them by the option `maps`.

local M = {}

-- Bare keys decide a hunk at the cursor and go on; elsewhere they do what they always did.
local defaults = {
  ['<CR>'] = 'accept-hunk',
  ['<BS>'] = 'reject-hunk',
  ['u'] = 'take-back',
  [']h'] = 'next-hunk',
  ['[h'] = 'prev-hunk',
  ['ih'] = 'inner-hunk',
  ['ah'] = 'around-hunk',
  ['<LocalLeader>a'] = 'accept-hunk',
  ['<LocalLeader>r'] = 'reject-hunk',
  ['<LocalLeader>w'] = 'reject-hunk-why',
  ['<LocalLeader>c'] = 'comment',
  ['<LocalLeader>A'] = 'accept-file',
}

local modes = { ['inner-hunk'] = { 'o', 'x' }, ['around-hunk'] = { 'o', 'x' } }

-- What decides the hunk at the cursor and may thus stand on a key that means something else where no hunk is.
local deciding = { ['accept-hunk'] = true, ['reject-hunk'] = true, ['reject-hunk-why'] = true }

-- Returns the map's keys where the cursor is on a hunk, else those of the key by itself.
local function on_hunk(plug, plain)
  return function()
    return require('ralph.review').at_cursor() and plug or plain
  end
end

--- Sets the maps in the buffer, once.
---@param buffer integer
function M.set(buffer)
  local wanted = require('ralph').options.maps
  if not wanted or vim.b[buffer].ralph_maps then
    return
  end
  vim.b[buffer].ralph_maps = true
  for key, name in pairs(type(wanted) == 'table' and wanted or defaults) do
    local plug = ('<Plug>(ralph-%s)'):format(name)
    local options = { buffer = buffer, remap = true, desc = 'Ralph: ' .. name }
    if deciding[name] and (#key == 1 or key:match('^<[%w-]+>$')) then
      local plain = ('<Plug>(ralph-plain-%s)'):format(key:gsub('[<>]', ''))
      vim.keymap.set('n', plain, key, { buffer = buffer })
      vim.keymap.set('n', key, on_hunk(plug, plain), vim.tbl_extend('force', options, { expr = true }))
    else
      vim.keymap.set(modes[name] or 'n', key, plug, options)
    end
  end
end

return M

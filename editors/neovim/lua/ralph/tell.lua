-- Says something in one line. What is longer than the line below would have to be confirmed by a key, in the middle of
-- whatever the person types, so it is cut there, and `:Ralph status` has the whole.

local M = {}

-- The newest texts that were shown in part, oldest first, and how many of them are kept.
local cut_short, kept = {}, 3

local groups = { [vim.log.levels.WARN] = 'WarningMsg', [vim.log.levels.ERROR] = 'ErrorMsg' }

-- Tells whether nobody has put another `vim.notify` in the place of Neovim's, which has a line only.
local function has_one_line()
  local source = debug.getinfo(vim.notify, 'S').source
  -- 0.12 has no names for what is built in.
  return source:find('^@vim/') ~= nil or source:find('^=?%?$') ~= nil
end

-- Returns as much of the text as fits into so many cells, with a mark where something is missing.
local function cut(text, cells)
  local count = vim.fn.strchars(text)
  while count > 0 and vim.fn.strdisplaywidth(vim.fn.strcharpart(text, 0, count)) >= cells do
    count = count - 1
  end
  return vim.fn.strcharpart(text, 0, count) .. '…'
end

--- Says the text. Several lines are shown as they are.
---@param text string
---@param level integer? of `vim.log.levels`
---@param short string? what is shown instead where the line is too narrow for the text
function M.say(text, level, short)
  local room = vim.v.echospace
  if not has_one_line() or text:find('\n', 1, true) or vim.fn.strdisplaywidth(text) <= room then
    return vim.notify(text, level or vim.log.levels.INFO)
  end
  table.insert(cut_short, text)
  if #cut_short > kept then
    table.remove(cut_short, 1)
  end
  short = short or text
  vim.api.nvim_echo({ { vim.fn.strdisplaywidth(short) > room and cut(short, room) or short, groups[level] } }, false, {})
end

--- Returns the newest texts that were shown in part, as a whole, oldest first.
---@return string[]
function M.cut_short()
  return cut_short
end

return M

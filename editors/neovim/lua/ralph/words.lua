-- What differs within a pair of lines, word by word.

local M = {}

local diff = vim.text and vim.text.diff or vim.diff

-- Cuts a line into words, runs of blanks and single other characters; returns them and the byte each begins at.
local function tokens(line)
  local list, starts, at = {}, {}, 1
  while at <= #line do
    local token = line:match('^[%w_\128-\255]+', at) or line:match('^%s+', at) or line:sub(at, at)
    table.insert(list, token)
    table.insert(starts, at - 1)
    at = at + #token
  end
  table.insert(starts, #line)
  return list, starts
end

local function add(ranges, starts, from, count)
  if count > 0 then
    table.insert(ranges, { starts[from], starts[from + count] })
  end
end

--- Returns the parts of both lines that the other does not have, as 0-based half-open byte ranges in order. Lines that
--- share less than a third have none: marking everything says nothing.
---@param old string
---@param new string
---@return integer[][] old_ranges, integer[][] new_ranges
function M.changes(old, new)
  local old_tokens, old_starts = tokens(old)
  local new_tokens, new_starts = tokens(new)
  local joined = function(list) return table.concat(list, '\n') .. '\n' end
  local old_ranges, new_ranges, changed = {}, {}, 0
  for _, hunk in ipairs(diff(joined(old_tokens), joined(new_tokens), { result_type = 'indices' })) do
    -- Without lines on a side, the place is the line before.
    add(old_ranges, old_starts, hunk[1], hunk[2])
    add(new_ranges, new_starts, hunk[3], hunk[4])
  end
  for _, range in ipairs(old_ranges) do
    changed = changed + range[2] - range[1]
  end
  if #old > 0 and changed * 3 > #old * 2 then
    return {}, {}
  end
  return old_ranges, new_ranges
end

--- Cuts the text into pieces with a highlight group each, `emphasis` within the ranges and `plain` elsewhere.
---@param text string
---@param ranges integer[][]
---@param plain string
---@param emphasis string
---@return string[][]
function M.chunks(text, ranges, plain, emphasis)
  local chunks, at = {}, 0
  local function piece(to, group)
    if to > at then
      table.insert(chunks, { text:sub(at + 1, to), group })
      at = to
    end
  end
  for _, range in ipairs(ranges) do
    piece(range[1], plain)
    piece(range[2], emphasis)
  end
  piece(#text, plain)
  return chunks
end

return M

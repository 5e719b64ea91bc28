-- Proposals drawn into ordinary buffers: the lines a hunk replaces are marked, and what would stand there instead is
-- shown below them. The text itself stays as it is.

local proposals = require('ralph.proposals')
local words = require('ralph.words')

local M = {}

local namespace = vim.api.nvim_create_namespace('ralph.review')
-- By buffer: the extmark of each hunk, which moves with the text, and the hunk.
local drawn = {}

local function without_end(line)
  return (line:gsub('\r?\n$', ''))
end

-- Virtual text shows a tab as one cell.
local function expand(text, buffer)
  local width = vim.bo[buffer].tabstop
  local column = 0
  return (text:gsub('[^\t]*\t?', function(part)
    local plain = part:gsub('\t$', '')
    column = column + vim.fn.strdisplaywidth(plain)
    if plain == part then
      return part
    end
    local blanks = width - column % width
    column = column + blanks
    return plain .. (' '):rep(blanks)
  end))
end

-- Pads a virtual line, so that its colour reaches over the window.
local function padded(chunks, group)
  local width = 0
  for _, chunk in ipairs(chunks) do
    width = width + vim.fn.strdisplaywidth(chunk[1])
  end
  table.insert(chunks, { (' '):rep(math.max(vim.o.columns - width, 1)), group })
  return chunks
end

local function mark(buffer, row, column, options)
  return vim.api.nvim_buf_set_extmark(buffer, namespace, row, column, vim.tbl_extend('keep', options, { strict = false }))
end

local function draw_text(buffer, hunk, first, last)
  local virtual = {}
  for index, line in ipairs(hunk.newLines) do
    local new = without_end(line)
    local ranges = {}
    local old = hunk.oldLines[index]
    if old then
      local old_ranges
      old_ranges, ranges = words.changes(without_end(old), new)
      for _, range in ipairs(old_ranges) do
        mark(buffer, first + index - 1, range[1], { end_col = range[2], hl_group = 'RalphDeleteText', priority = 201 })
      end
    end
    local chunks = words.chunks(new, ranges, 'RalphAdd', 'RalphAddText')
    for _, chunk in ipairs(chunks) do
      chunk[1] = expand(chunk[1], buffer)
    end
    table.insert(virtual, padded(chunks, 'RalphAdd'))
  end
  for row = first, last - 1 do
    mark(buffer, row, 0, { end_row = row + 1, hl_group = 'RalphDelete', hl_eol = true, priority = 200 })
  end
  if #virtual == 0 then
    return
  end
  local count = vim.api.nvim_buf_line_count(buffer)
  if last > first then
    mark(buffer, last - 1, 0, { virt_lines = virtual })
  elseif first < count then
    mark(buffer, first, 0, { virt_lines = virtual, virt_lines_above = true })
    if first == 0 then
      -- Lines above the first one are off the screen until the window is told to make room.
      for _, window in ipairs(vim.fn.win_findbuf(buffer)) do
        vim.api.nvim_win_call(window, function()
          if vim.fn.line('w0') == 1 then
            vim.fn.winrestview({ topfill = #virtual })
          end
        end)
      end
    end
  else
    mark(buffer, count - 1, 0, { virt_lines = virtual })
  end
end

local verbs = { create = 'makes this file', delete = 'deletes this file', rename = 'renames this file',
  mode = 'changes the mode of this file', binary = 'changes this binary file' }

local function draw(buffer, item)
  local hunk, count = item.hunk, vim.api.nvim_buf_line_count(buffer)
  local whole = hunk.kind ~= 'text'
  local first = whole and 0 or math.min(hunk.startLine, count)
  local last = whole and 0 or math.min(hunk.endLine, count)
  local warning = proposals.warning(hunk)
  local conflict = hunk.state == 'conflict'
  if not whole and not conflict then
    draw_text(buffer, hunk, first, last)
  end
  local title = ('  %s %s'):format(item.proposal.task, proposals.place(item))
  if whole then
    title = ('%s %s'):format(title, verbs[hunk.kind] or hunk.kind)
  end
  local text = { { title, 'RalphTitle' } }
  if warning then
    table.insert(text, { '  ' .. warning, 'RalphConflict' })
  end
  local at = math.min(first, math.max(count - 1, 0))
  mark(buffer, at, 0, {
    sign_text = conflict and '!' or (whole and '*' or (last == first and '+' or (#hunk.newLines == 0 and '_' or '~'))),
    sign_hl_group = conflict and 'RalphSignConflict' or 'RalphSign',
    virt_text = text,
    virt_text_pos = 'eol',
  })
  local id = mark(buffer, at, 0, { end_row = math.max(last, at), end_col = 0, right_gravity = false, end_right_gravity = true })
  table.insert(drawn[buffer], { id = id, item = item, empty = last == first })
end

--- Draws the pending hunks of the buffer anew.
---@param buffer integer
function M.draw(buffer)
  if not vim.api.nvim_buf_is_loaded(buffer) then
    return
  end
  vim.api.nvim_buf_clear_namespace(buffer, namespace, 0, -1)
  drawn[buffer] = {}
  if require('ralph').options.inline and vim.api.nvim_buf_get_name(buffer) ~= '' then
    for _, item in ipairs(proposals.pending_in(buffer)) do
      draw(buffer, item)
    end
  end
end

--- Returns the drawn hunks of the buffer in the order of their places: first and last row, 0-based and inclusive.
---@param buffer integer
---@return { first: integer, last: integer, item: table }[]
function M.places(buffer)
  buffer = buffer == 0 and vim.api.nvim_get_current_buf() or buffer
  local found = {}
  for _, place in ipairs(drawn[buffer] or {}) do
    local position = vim.api.nvim_buf_get_extmark_by_id(buffer, namespace, place.id, { details = true })
    if position[1] then
      local last = place.empty and position[1] or math.max((position[3].end_row or position[1]) - 1, position[1])
      table.insert(found, { first = position[1], last = last, item = place.item, empty = place.empty })
    end
  end
  table.sort(found, function(a, b) return a.first < b.first end)
  return found
end

return M

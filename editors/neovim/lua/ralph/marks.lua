-- Proposals drawn into ordinary buffers: the lines a hunk replaces are marked, and what would stand there instead is
-- shown below them. The text itself stays as it is.

local proposals = require('ralph.proposals')
local words = require('ralph.words')

local M = {}

local namespace = vim.api.nvim_create_namespace('ralph.review')
-- By buffer and id of a hunk: what is drawn of it. `anchor` is the extmark that moves with its lines.
local drawn = {}

-- Lines of a hunk beyond which words are not compared, and the longest line they are compared in.
local max_lines, max_width = 200, 2000
-- Rows that one line of a proposal may have on the screen.
local max_rows = 40

local function without_end(line)
  return (line:gsub('\r?\n$', ''))
end

-- Virtual text shows a tab as one cell.
local function expand(text, buffer)
  if not text:find('\t', 1, true) then
    return text
  end
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

-- Returns how many cells a line has in the window that shows the buffer, or nil where its lines are not broken.
local function line_width(buffer)
  local window = vim.fn.bufwinid(buffer)
  if window < 0 or not vim.wo[window].wrap then
    return nil
  end
  return math.max(vim.api.nvim_win_get_width(window) - vim.fn.getwininfo(window)[1].textoff, 20)
end

-- Returns the beginning of the text that fits into so many cells.
local function fitting(text, cells)
  local count = math.min(vim.fn.strchars(text), cells)
  local piece = vim.fn.strcharpart(text, 0, count)
  while count > 0 and vim.fn.strdisplaywidth(piece) > cells do
    count = count - 1
    piece = vim.fn.strcharpart(text, 0, count)
  end
  return piece
end

-- Breaks a virtual line as the window breaks others: Neovim would cut it.
local function broken(chunks, width)
  local rows, row, used = {}, {}, 0
  for _, chunk in ipairs(chunks) do
    local rest = chunk[1]
    while rest ~= '' and #rows < max_rows do
      local piece = fitting(rest, width - used)
      if piece == '' then
        table.insert(rows, row)
        row, used = {}, 0
      else
        table.insert(row, { piece, chunk[2] })
        rest, used = rest:sub(#piece + 1), used + vim.fn.strdisplaywidth(piece)
      end
    end
  end
  if #rows < max_rows then
    table.insert(rows, row)
  end
  return rows
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

local function mark(buffer, shown, row, column, options)
  options.strict = false
  local id = vim.api.nvim_buf_set_extmark(buffer, namespace, row, column, options)
  table.insert(shown.ids, id)
  return id
end

-- Returns what would stand there, as virtual lines, and marks the words that go.
local function new_lines(buffer, shown, hunk, first)
  local virtual = {}
  local compare, width = #hunk.newLines <= max_lines, line_width(buffer)
  for index, line in ipairs(hunk.newLines) do
    local new = without_end(line)
    local ranges = {}
    local old = compare and hunk.oldLines[index]
    if old and #old <= max_width and #new <= max_width then
      local old_ranges
      old_ranges, ranges = words.changes(without_end(old), new)
      for _, range in ipairs(old_ranges) do
        mark(buffer, shown, first + index - 1, range[1], { end_col = range[2], hl_group = 'RalphDeleteText', priority = 201 })
      end
    end
    local chunks = words.chunks(new, ranges, 'RalphAdd', 'RalphAddText')
    for _, chunk in ipairs(chunks) do
      chunk[1] = expand(chunk[1], buffer)
    end
    for _, row in ipairs(width and broken(chunks, width) or { chunks }) do
      table.insert(virtual, padded(row, 'RalphAdd'))
    end
  end
  return virtual
end

local function comment_lines(buffer, item)
  local virtual, width = {}, line_width(buffer)
  for _, comment in ipairs(proposals.comments(item)) do
    local where = type(comment.line) == 'number' and type(comment.hunk) ~= 'string' and (' on line %d'):format(comment.line) or ''
    local when = comment.sent and (', sent in round %s'):format(comment.round or '?') or ''
    for index, text in ipairs(vim.split(comment.text, '\n', { plain = true })) do
      local lead = index == 1 and ('  ▎you%s%s: '):format(where, when) or '  ▎  '
      local line = { { lead .. text, comment.sent and 'RalphCommentSent' or 'RalphComment' } }
      vim.list_extend(virtual, width and broken(line, width) or { line })
    end
  end
  return virtual
end

-- Lines above the first one are off the screen until the window is told to make room.
local function make_room(buffer, lines)
  for _, window in ipairs(vim.fn.win_findbuf(buffer)) do
    vim.api.nvim_win_call(window, function()
      if vim.fn.line('w0') == 1 then
        vim.fn.winrestview({ topfill = lines })
      end
    end)
  end
end

-- Puts virtual lines behind the lines from first to last, or where lines would go in.
local function put_lines(buffer, shown, virtual, first, last)
  local count = vim.api.nvim_buf_line_count(buffer)
  if #virtual == 0 then
    return
  elseif last > first or first >= count then
    mark(buffer, shown, math.min(math.max(last, 1), count) - 1, 0, { virt_lines = virtual })
  else
    mark(buffer, shown, first, 0, { virt_lines = virtual, virt_lines_above = true })
    if first == 0 then
      make_room(buffer, #virtual)
    end
  end
end

local verbs = { create = 'makes this file', delete = 'deletes this file', rename = 'renames this file',
  mode = 'changes the mode of this file', binary = 'changes this binary file' }

local function title_of(item)
  local hunk, proposal = item.hunk, item.proposal
  local parts = { ('%s %s'):format(proposal.task, proposals.place(item)) }
  if verbs[hunk.kind] then
    table.insert(parts, verbs[hunk.kind])
  end
  local round = type(proposal.round) == 'number' and proposal.round or 1
  if round > 1 then
    table.insert(parts, ('· round %d%s'):format(round, hunk.changed == true and ', changed' or ''))
  end
  if hunk.again == true then
    table.insert(parts, '· rejected before')
  end
  return '  ' .. table.concat(parts, ' ')
end

local function sign_of(item, empty)
  local hunk = item.hunk
  if hunk.state == 'conflict' then
    return '!', 'RalphSignConflict'
  end
  local sign = hunk.kind ~= 'text' and '*' or empty and '+' or #hunk.newLines == 0 and '_' or '~'
  return sign, hunk.changed == true and 'RalphSignChanged' or 'RalphSign'
end

-- What decides about the look of a hunk; equal ones are not drawn again.
local function look_of(item)
  local parts = { title_of(item), item.hunk.state == 'conflict' and '!' or '', proposals.warning(item.hunk) or '' }
  for _, comment in ipairs(proposals.comments(item)) do
    table.insert(parts, (comment.sent and 's' or 'n') .. comment.text)
  end
  return table.concat(parts, '\n')
end

-- Returns the lines of the hunk as the server told them, 0-based and half open.
local function told_rows(buffer, item)
  local count = vim.api.nvim_buf_line_count(buffer)
  if item.hunk.kind ~= 'text' then
    return 0, 0
  end
  return math.min(item.hunk.startLine, count), math.min(item.hunk.endLine, count)
end

local function draw_item(buffer, item, look, first, last)
  local hunk, count = item.hunk, vim.api.nvim_buf_line_count(buffer)
  local shown = { ids = {}, item = item, look = look, empty = last == first }
  local virtual = {}
  if hunk.kind == 'text' and hunk.state ~= 'conflict' then
    virtual = new_lines(buffer, shown, hunk, first)
    if last > first then
      mark(buffer, shown, first, 0, { end_row = last, hl_group = 'RalphDelete', hl_eol = true, priority = 200 })
    end
  end
  vim.list_extend(virtual, comment_lines(buffer, item))
  put_lines(buffer, shown, virtual, first, last)
  local text = { { title_of(item), 'RalphTitle' } }
  local warning = proposals.warning(hunk)
  if warning then
    table.insert(text, { '  ' .. warning, 'RalphConflict' })
  end
  local at = math.min(first, math.max(count - 1, 0))
  local sign, group = sign_of(item, shown.empty)
  mark(buffer, shown, at, 0, { sign_text = sign, sign_hl_group = group, virt_text = text, virt_text_pos = 'eol' })
  -- Lines that somebody puts in above or below are none of the hunk's.
  shown.anchor = mark(buffer, shown, at, 0,
    { end_row = math.max(last, at), end_col = 0, right_gravity = not shown.empty, end_right_gravity = false })
  return shown
end

local function erase(buffer, shown)
  for _, id in ipairs(shown.ids) do
    vim.api.nvim_buf_del_extmark(buffer, namespace, id)
  end
end

-- Returns the rows of what is drawn, 0-based and half open as in the hunk, or nil when it is gone.
local function rows_of(buffer, shown)
  local position = vim.api.nvim_buf_get_extmark_by_id(buffer, namespace, shown.anchor, { details = true })
  if not position[1] then
    return nil
  end
  return position[1], shown.empty and position[1] or math.max(position[3].end_row or position[1], position[1] + 1)
end

-- Returns where the hunk has to be drawn: where it was drawn before and moved with the text, else where the server says,
-- which is exact only for texts that nobody changed since.
local function rows_to_draw(buffer, item, shown)
  local first, last = told_rows(buffer, item)
  if shown and not item.exact then
    local at, to = rows_of(buffer, shown)
    if at then
      return at, to
    end
  end
  return first, last
end

-- Draws the item where it does not look so already.
local function draw(buffer, item, shown)
  local look = look_of(item)
  local first, last = rows_to_draw(buffer, item, shown)
  item.exact = false
  if shown then
    local at, to = rows_of(buffer, shown)
    local is_there = at == math.min(first, math.max(vim.api.nvim_buf_line_count(buffer) - 1, 0)) and (shown.empty or to == last)
    if is_there and shown.look == look and shown.empty == (first == last) then
      shown.item = item
      return shown
    end
    erase(buffer, shown)
  end
  return draw_item(buffer, item, look, first, last)
end

--- Forgets what is drawn in the buffer, whose text was read anew.
---@param buffer integer
function M.forget(buffer)
  drawn[buffer] = nil
  if vim.api.nvim_buf_is_valid(buffer) then
    vim.api.nvim_buf_clear_namespace(buffer, namespace, 0, -1)
  end
end

--- Draws the pending hunks of the buffer where they are not drawn yet, and takes away the others.
---@param buffer integer
function M.draw(buffer)
  if not vim.api.nvim_buf_is_loaded(buffer) then
    return
  end
  local before, now = drawn[buffer] or {}, {}
  if require('ralph').options.inline and vim.api.nvim_buf_get_name(buffer) ~= '' then
    for _, item in ipairs(proposals.pending_in(buffer)) do
      now[item.hunk.id] = draw(buffer, item, before[item.hunk.id])
    end
  end
  for id, shown in pairs(before) do
    if not now[id] then
      erase(buffer, shown)
    end
  end
  drawn[buffer] = now
end

--- Tells whether hunks are drawn in the buffer.
---@param buffer integer
---@return boolean
function M.any(buffer)
  return next(drawn[buffer] or {}) ~= nil
end

--- Returns the drawn hunks of the buffer in the order of their places: first and last row, 0-based and inclusive.
---@param buffer integer
---@return { first: integer, last: integer, item: table, empty: boolean }[]
function M.places(buffer)
  buffer = buffer == 0 and vim.api.nvim_get_current_buf() or buffer
  local found = {}
  for _, shown in pairs(drawn[buffer] or {}) do
    local first, last = rows_of(buffer, shown)
    if first then
      table.insert(found, { first = first, last = shown.empty and first or last - 1, item = shown.item, empty = shown.empty })
    end
  end
  table.sort(found, function(a, b)
    if a.first ~= b.first then
      return a.first < b.first
    end
    return a.item.number < b.item.number
  end)
  return found
end

return M

-- Seeing what is proposed and going through it.

local client = require('ralph.client')
local marks = require('ralph.marks')
local proposals = require('ralph.proposals')

local M = {}

-- Drawing is put off to the next turn of the loop, so that many changes cost one drawing.
local to_draw
local function draw_soon(names)
  if to_draw then
    to_draw = vim.tbl_extend('force', to_draw, names)
    return
  end
  to_draw = vim.tbl_extend('force', {}, names)
  vim.schedule(function()
    names, to_draw = to_draw, nil
    for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
      if vim.api.nvim_buf_is_loaded(buffer) and names[vim.api.nvim_buf_get_name(buffer)] then
        M.draw(buffer)
      end
    end
    M.list_soon()
    vim.api.nvim_exec_autocmds('User', { pattern = 'RalphReviewChanged', modeline = false })
  end)
end
proposals.on_change(draw_soon)

--- Draws the hunks of a buffer, and gives it its maps when it has any.
---@param buffer integer
function M.draw(buffer)
  marks.draw(buffer)
  if marks.any(buffer) then
    require('ralph.maps').set(buffer)
  end
end

-- Lines are broken at the width of the window, so what is drawn in it is drawn anew.
vim.api.nvim_create_autocmd('WinResized', {
  group = vim.api.nvim_create_augroup('ralph.review', {}),
  callback = function()
    for _, window in ipairs(vim.v.event.windows) do
      local buffer = vim.api.nvim_win_is_valid(window) and vim.api.nvim_win_get_buf(window)
      if buffer and marks.any(buffer) then
        marks.forget(buffer)
        M.draw(buffer)
      end
    end
  end,
})

-- Returns the hunks that diagnostics show, by id.
local function hunks_in(diagnostics)
  local found = {}
  for _, diagnostic in ipairs(diagnostics) do
    local data = diagnostic.source == 'ralph' and vim.tbl_get(diagnostic, 'user_data', 'lsp', 'data')
    if type(data) == 'table' and data.hunk then
      found[data.hunk] = { task = data.task, state = diagnostic.code, first = diagnostic.lnum, last = diagnostic.end_lnum }
    end
  end
  return found
end

--- Begins to show proposals in a buffer that the server got to know.
---@param buffer integer
function M.attach(buffer)
  if vim.b[buffer].ralph_review then
    return
  end
  vim.b[buffer].ralph_review = true
  local group = vim.api.nvim_create_augroup('ralph.review.' .. buffer, {})
  -- The server publishes the hunks anew after each change of the text.
  vim.api.nvim_create_autocmd('DiagnosticChanged', { group = group, buffer = buffer, callback = function(event)
    proposals.sync(event.buf, hunks_in(event.data.diagnostics or {}))
  end })
  vim.api.nvim_create_autocmd('BufReadPost', { group = group, buffer = buffer, callback = function(event)
    marks.forget(event.buf)
    M.draw(event.buf)
  end })
  if proposals.has_document(vim.api.nvim_buf_get_name(buffer)) then
    M.draw(buffer)
  else
    M.refresh_soon()
  end
end

-- Many files that are opened together ask once.
local refreshing = false
--- Fetches what waits in the next turn of the loop.
function M.refresh_soon()
  if refreshing then
    return
  end
  refreshing = true
  vim.schedule(function()
    refreshing = false
    if client.get(0) then
      proposals.refresh()
    end
  end)
end

--- The server says that a task's proposal changed.
---@param params table
function M.changed(params)
  vim.schedule(function()
    if client.get(0) then
      proposals.told(params)
    end
  end)
end

-- Returns the hunk at a row: the one whose lines hold it, else an insertion before or after it.
local function at_row(row)
  local near
  for _, place in ipairs(marks.places(vim.api.nvim_get_current_buf())) do
    if place.first <= row and row <= place.last then
      return place
    elseif place.empty and place.first == row + 1 then
      near = near or place
    end
  end
  return near
end

--- Returns the hunk at the cursor, or nil. A document of the server that shows a new file is one hunk.
---@return table?
function M.at_cursor()
  if vim.startswith(vim.api.nvim_buf_get_name(0), 'ralph:') then
    return marks.places(0)[1]
  end
  return at_row(vim.api.nvim_win_get_cursor(0)[1] - 1)
end

--- Returns the items of the rows, first to last, 0-based and inclusive.
---@param first integer
---@param last integer
---@return table[]
function M.in_rows(first, last)
  local items = {}
  for _, place in ipairs(marks.places(0)) do
    if place.first <= last and place.last >= first then
      table.insert(items, place.item)
    end
  end
  if #items == 0 and first == last then
    local place = at_row(first)
    items = place and { place.item } or {}
  end
  return items
end

--- Selects the lines of the hunk at the cursor.
---@param around boolean with the empty lines after it
function M.select_hunk(around)
  local place = M.at_cursor()
  if not place then
    return
  end
  local last, count = place.last + 1, vim.api.nvim_buf_line_count(0)
  while around and last < count and vim.fn.getline(last + 1):match('^%s*$') do
    last = last + 1
  end
  vim.cmd(('normal! %dGV%dG'):format(place.first + 1, last))
end

-- Puts the cursor on the hunk, which is drawn in the current buffer where its place is known.
local function to_hunk(item)
  for _, place in ipairs(marks.places(0)) do
    if place.item.hunk.id == item.hunk.id then
      vim.api.nvim_win_set_cursor(0, { math.min(place.first + 1, vim.api.nvim_buf_line_count(0)), 0 })
      return
    end
  end
  vim.api.nvim_win_set_cursor(0, { math.min(item.hunk.startLine + 1, vim.api.nvim_buf_line_count(0)), 0 })
end

--- Shows the hunk: its file, or where there is none yet what the file would be. The buffer before stays, also unsaved.
---@param item table
function M.go_to(item)
  vim.cmd("normal! m'")
  local path = item.name
  if vim.fn.bufloaded(path) == 0 and vim.fn.filereadable(path) == 0 then
    return require('ralph.documents').show(item.file.proposalUri)
  end
  if vim.api.nvim_buf_get_name(0) ~= path then
    vim.cmd('hide edit ' .. vim.fn.fnameescape(vim.fn.fnamemodify(path, ':.')))
    -- A buffer that the client made for diagnostics has a whole path; names are shortened where the folder is entered.
    if vim.fn.bufname('%') == path and vim.fn.fnamemodify(path, ':.') ~= path then
      vim.fn.chdir(vim.fn.getcwd())
    end
  end
  to_hunk(item)
  vim.cmd('normal! zv')
end

-- Returns the hunk of the current buffer after (1) or before (-1) the cursor.
local function beside_cursor(direction)
  local row, wanted = vim.api.nvim_win_get_cursor(0)[1] - 1, nil
  for _, place in ipairs(marks.places(0)) do
    if direction > 0 and place.first > row then
      return place
    elseif direction < 0 and place.first < row then
      wanted = place
    end
  end
  return wanted
end

-- Returns the number of the pending hunk that the buffer's last (1) or first (-1) one is, or nil.
local function edge_of_buffer(all, direction)
  local places = marks.places(0)
  local edge = direction > 0 and places[#places] or places[1]
  for index, item in ipairs(all) do
    if edge and item.hunk.id == edge.item.hunk.id then
      return index
    end
  end
end

--- Goes to the next hunk (1) or the one before (-1), through all files and tasks.
---@param direction integer
function M.jump(direction)
  for _ = 1, vim.v.count1 do
    local beside = beside_cursor(direction)
    if beside then
      vim.cmd("normal! m'")
      vim.api.nvim_win_set_cursor(0, { beside.first + 1, 0 })
    else
      local all = proposals.pending()
      local here = edge_of_buffer(all, direction) or (direction > 0 and 0 or #all + 1)
      local next_item = all[here + direction]
      if not next_item then
        return client.notify(#all == 0 and 'nothing waits for review' or 'no more hunks that way')
      end
      M.go_to(next_item)
    end
  end
end

--- Goes on to what is to be decided after the item, which was: the next one, else the first that is left.
---@param item table
---@param all table[] what was pending with it
function M.go_on(item, all)
  local here = 0
  for index, other in ipairs(all) do
    if other.hunk.id == item.hunk.id then
      here = index
      break
    end
  end
  for step = 1, #all - 1 do
    local other = all[(here + step - 1) % #all + 1]
    if proposals.is_pending(other.hunk) then
      M.draw(vim.api.nvim_get_current_buf())
      return M.go_to(other)
    end
  end
end

local title = 'Ralph: review'

local function entry(item)
  local hunk = item.hunk
  local words = hunk.kind == 'text' and vim.trim((hunk.newLines[1] or hunk.oldLines[1] or ''):gsub('\r?\n$', '')) or hunk.kind
  local warning = proposals.warning(hunk)
  return {
    filename = item.name,
    lnum = hunk.startLine + 1,
    type = warning and 'W' or 'I',
    text = ('%s %s: %s%s'):format(item.proposal.task, proposals.place(item), words, warning and ' (' .. warning .. ')' or ''),
  }
end

local listing
--- Brings the quickfix list up to date when it is that of a review; not at every key.
function M.list_soon()
  if listing then
    listing:stop()
    listing:close()
  end
  listing = vim.defer_fn(function()
    listing = nil
    local list = vim.fn.getqflist({ title = 0, idx = 0, id = 0, context = 0 })
    if list.title ~= title then
      return
    end
    local wanted = type(list.context) == 'string' and list.context or ''
    local items = vim.tbl_filter(function(item) return wanted == '' or item.proposal.task == wanted end, proposals.pending())
    vim.fn.setqflist({}, 'r', { id = list.id, items = vim.tbl_map(entry, items), idx = math.max(math.min(list.idx, #items), 1) })
  end, 300)
end

--- Puts every pending hunk into the quickfix list and goes to the first, of all tasks or of one.
---@param task string?
function M.begin(task)
  proposals.refresh(function()
    local items = vim.tbl_filter(function(item) return not task or item.proposal.task == task end, proposals.pending())
    if #items == 0 then
      client.notify(task and ('nothing of %s waits for review'):format(task) or 'nothing waits for review')
      return
    end
    M.go_to(items[1])
    vim.fn.setqflist({}, ' ', { title = title, context = task or '', items = vim.tbl_map(entry, items) })
    local proposal = items[1].proposal
    local proofs = #vim.tbl_filter(function(check) return check.proof end, proposal.checks)
    local round = type(proposal.round) == 'number' and proposal.round > 1 and (', round %d'):format(proposal.round) or ''
    client.notify(('%d to review; %s: %s%s%s'):format(#items, proposal.task, proposal.title, round,
      proofs > 0 and ('; %d of %d checks failed before and pass now'):format(proofs, #proposal.checks) or ''))
  end)
end

return M

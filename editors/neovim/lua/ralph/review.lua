-- Going through hunks and deciding them.

local client = require('ralph.client')
local marks = require('ralph.marks')
local proposals = require('ralph.proposals')

local M = {}

-- Drawing is put off to the next turn of the loop, so that many changes cost one drawing.
local pending_draw = false
local function draw_soon()
  if pending_draw then
    return
  end
  pending_draw = true
  vim.schedule(function()
    pending_draw = false
    for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
      if vim.api.nvim_buf_is_loaded(buffer) and #vim.lsp.get_clients({ name = 'ralph', bufnr = buffer }) > 0 then
        marks.draw(buffer)
        M.map(buffer)
      end
    end
    vim.api.nvim_exec_autocmds('User', { pattern = 'RalphReviewChanged', modeline = false })
  end)
end
proposals.on_change(draw_soon)

local maps = {
  { 'n', ']h', 'next-hunk' },
  { 'n', '[h', 'prev-hunk' },
  { { 'o', 'x' }, 'ih', 'inner-hunk' },
  { { 'o', 'x' }, 'ah', 'around-hunk' },
  { 'n', '<localleader>a', 'accept-hunk' },
  { 'n', '<localleader>r', 'reject-hunk' },
  { 'n', '<localleader>w', 'reject-hunk-why' },
  { 'n', '<localleader>A', 'accept-file' },
}

--- Sets the maps in the buffer where it has hunks and the person asked for maps.
---@param buffer integer
function M.map(buffer)
  if not require('ralph').options.maps or vim.b[buffer].ralph_maps or #marks.places(buffer) == 0 then
    return
  end
  vim.b[buffer].ralph_maps = true
  for _, map in ipairs(maps) do
    vim.keymap.set(map[1], map[2], ('<Plug>(ralph-%s)'):format(map[3]), { buffer = buffer, remap = true })
  end
end

--- Begins to show proposals in a buffer that the server got to know.
---@param buffer integer
function M.attach(buffer)
  if vim.b[buffer].ralph_review then
    return
  end
  vim.b[buffer].ralph_review = true
  local group = vim.api.nvim_create_augroup('ralph.review.' .. buffer, {})
  -- The server publishes the hunks anew after each change of the text: their places are fetched then.
  vim.api.nvim_create_autocmd('DiagnosticChanged', { group = group, buffer = buffer, callback = function(event)
    local ours = vim.tbl_filter(function(found) return found.source == 'ralph' end, event.data.diagnostics or {})
    if #ours == 0 and #marks.places(event.buf) == 0 then
      return
    end
    local tasks = proposals.tasks_in(event.buf)
    for _, task in ipairs(tasks) do
      proposals.fetch(task)
    end
    if #tasks == 0 then
      proposals.refresh()
    end
  end })
  proposals.refresh()
end

--- The server says that a task's proposal changed.
---@param task string
function M.changed(task)
  vim.schedule(function()
    if not client.get(0) then
      return
    end
    proposals.refresh()
    proposals.fetch(task)
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

--- Returns the hunk at the cursor, or nil.
---@return table?
function M.at_cursor()
  return at_row(vim.api.nvim_win_get_cursor(0)[1] - 1)
end

-- Returns the items of the rows, first to last, 0-based and inclusive.
local function in_rows(first, last)
  local items = {}
  for _, place in ipairs(marks.places(vim.api.nvim_get_current_buf())) do
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

local function ids(items)
  return vim.tbl_map(function(item) return item.hunk.id end, items)
end

local function decide(method, items, more)
  if #items == 0 then
    client.notify('no hunk waits here')
    return
  end
  -- Each task by itself: a hunk belongs to one.
  local by_task = {}
  for _, item in ipairs(items) do
    local task = item.proposal.task
    by_task[task] = by_task[task] or {}
    table.insert(by_task[task], item)
  end
  for task, of_task in pairs(by_task) do
    client.command(method, vim.tbl_extend('force', { task = task, hunks = ids(of_task) }, more or {}))
  end
end

local function operated()
  return in_rows(vim.api.nvim_buf_get_mark(0, '[')[1] - 1, vim.api.nvim_buf_get_mark(0, ']')[1] - 1)
end

--- Accepts the hunks of the motion; for `operatorfunc`.
function M.operator_accept()
  decide('ralph/accept', operated())
end

--- Rejects the hunks of the motion; for `operatorfunc`.
function M.operator_reject()
  decide('ralph/reject', operated())
end

--- Rejects the hunk at the cursor, with a reason for the next attempt.
---@param options { ask: boolean?, why: string? }
function M.reject_at_cursor(options)
  local place = M.at_cursor()
  decide('ralph/reject', place and { place.item } or {}, { askWhy = options.ask or nil, why = options.why })
end

--- Accepts the hunk at the cursor.
function M.accept_at_cursor()
  local place = M.at_cursor()
  decide('ralph/accept', place and { place.item } or {})
end

--- Accepts everything that waits in the file.
function M.accept_file()
  decide('ralph/accept', vim.tbl_map(function(place) return place.item end, marks.places(vim.api.nvim_get_current_buf())))
end

--- Accepts everything of a task, in all its files.
---@param task string
function M.accept_task(task)
  client.command('ralph/accept', { task = task })
end

--- Says something about the hunk at the cursor to the next attempt.
---@param text string?
function M.comment(text)
  local place = M.at_cursor()
  if not place then
    client.notify('no hunk waits here')
    return
  end
  client.command('ralph/comment', { task = place.item.proposal.task, hunk = place.item.hunk.id, text = text })
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

-- Shows the hunk: its file, or where there is none yet what the file would be.
local function go_to(item)
  local path = vim.uri_to_fname(item.file.uri)
  local exists = vim.fn.filereadable(path) == 1
  vim.cmd("normal! m'")
  if exists then
    if vim.api.nvim_buf_get_name(0) ~= path then
      vim.cmd.edit(vim.fn.fnameescape(path))
    end
    local row = math.min(item.hunk.startLine + 1, vim.api.nvim_buf_line_count(0))
    vim.api.nvim_win_set_cursor(0, { row, 0 })
    vim.cmd('normal! zv')
  else
    require('ralph.documents').show(item.file.proposalUri)
  end
end

--- Goes to the next hunk (1) or the one before (-1), through all files and tasks.
---@param direction integer
function M.jump(direction)
  local buffer, row = vim.api.nvim_get_current_buf(), vim.api.nvim_win_get_cursor(0)[1] - 1
  local places = marks.places(buffer)
  local wanted
  for _, place in ipairs(places) do
    if direction > 0 and place.first > row then
      wanted = wanted or place
    elseif direction < 0 and place.first < row then
      wanted = place
    end
  end
  if wanted then
    vim.cmd("normal! m'")
    vim.api.nvim_win_set_cursor(0, { wanted.first + 1, 0 })
    return
  end
  local all = proposals.pending()
  local here = direction > 0 and 0 or #all + 1
  local edge = direction > 0 and places[#places] or places[1]
  for index, item in ipairs(all) do
    if edge and item.hunk.id == edge.item.hunk.id then
      here = index
    end
  end
  local next_item = all[here + direction]
  if not next_item then
    client.notify(#all == 0 and 'nothing waits for review' or 'no more hunks that way')
  elseif not edge or next_item.file.uri ~= edge.item.file.uri then
    go_to(next_item)
  end
end

local function entry(item)
  local hunk = item.hunk
  local words = hunk.kind == 'text' and vim.trim((hunk.newLines[1] or hunk.oldLines[1] or ''):gsub('\r?\n$', '')) or hunk.kind
  local warning = proposals.warning(hunk)
  return {
    filename = vim.uri_to_fname(item.file.uri),
    lnum = hunk.startLine + 1,
    type = warning and 'W' or 'I',
    text = ('%s %s: %s%s'):format(item.proposal.task, proposals.place(item), words, warning and ' (' .. warning .. ')' or ''),
  }
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
    vim.fn.setqflist({}, ' ', { title = 'Ralph: review', items = vim.tbl_map(entry, items) })
    go_to(items[1])
    local proposal = items[1].proposal
    local proofs = #vim.tbl_filter(function(check) return check.proof end, proposal.checks)
    client.notify(('%d to review; %s: %s%s'):format(#items, proposal.task, proposal.title,
      proofs > 0 and ('; %d of %d checks failed before and pass now'):format(proofs, #proposal.checks) or ''))
  end)
end

return M

-- Shows a proposal as a person sees it: the file with its hunks above, the queue below, one hunk as a diff.

vim.o.termguicolors = true
vim.o.laststatus = 2
vim.o.number = true
vim.o.showmode = false
vim.o.ruler = false
vim.o.signcolumn = 'yes'
vim.diagnostic.config({ virtual_text = true })
vim.lsp.config('ralph', { cmd = { 'ralph-sidecar', 'lsp' }, root_markers = { '.git' } })
vim.lsp.enable('ralph')
vim.lsp.codelens.enable(true)

-- Goes on when the condition holds. The editor does its work between two looks, so this is no loop.
local show
local function wait(condition)
  while not condition() do
    vim.defer_fn(function() assert(coroutine.resume(show)) end, 20)
    coroutine.yield()
  end
end

show = coroutine.create(function()
  local source = vim.api.nvim_get_current_win()
  local file = vim.api.nvim_get_current_buf()
  wait(function() return #vim.diagnostic.get(file) >= 3 end)
  vim.cmd('belowright 18split .ralph/queue.json')
  local queue = vim.api.nvim_get_current_buf()
  wait(function() return #vim.diagnostic.get(queue) > 0 end)
  wait(function() return #vim.lsp.codelens.get({ bufnr = queue }) > 0 end)
  -- The name was the server's, an absolute one.
  vim.cmd.cd('.')
  vim.fn.search('"tasks"')
  vim.cmd('normal! zt')
  vim.api.nvim_set_current_win(source)
  vim.fn.search('let (number')
  local moved = false
  vim.api.nvim_create_autocmd('CursorMoved', { once = true, callback = function() moved = true end })
  -- The hover leaves when the cursor moves, so the move must be over before.
  wait(function() return moved end)
  vim.lsp.buf.hover({ border = 'rounded' })
  wait(function()
    return vim.iter(vim.api.nvim_list_wins()):any(function(window)
      return vim.api.nvim_win_get_config(window).relative ~= ''
    end)
  end)
  vim.cmd('redraw! | echo')
  io.open(vim.env.READY, 'w'):close()
end)
vim.api.nvim_create_autocmd('VimEnter', { callback = function() assert(coroutine.resume(show)) end })

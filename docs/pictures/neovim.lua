-- Shows a proposal as a person sees it: the file with its hunks above, the queue below, one hunk as a diff.

vim.o.termguicolors = true
vim.o.laststatus = 2
vim.o.number = true
vim.o.showmode = false
vim.o.ruler = false
vim.o.signcolumn = 'yes'
vim.diagnostic.config({ virtual_text = false, signs = false, underline = false })
vim.opt.rtp:prepend(vim.env.PLUGIN)
vim.cmd.runtime('plugin/ralph.lua')
require('ralph').setup()
vim.o.statusline = " %f %m%=%{v:lua.require'ralph'.statusline()} "
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
  wait(function() return #require('ralph.marks').places(file) >= 2 end)
  vim.cmd('belowright 12split .ralph/queue.json')
  local queue = vim.api.nvim_get_current_buf()
  wait(function() return #vim.lsp.codelens.get({ bufnr = queue }) > 0 end)
  -- The name was the server's, an absolute one.
  vim.cmd.cd('.')
  vim.fn.search('"tasks"')
  vim.cmd('normal! zt')
  vim.api.nvim_set_current_win(source)
  vim.fn.search('let (number')
  wait(function() return require('ralph').statusline() ~= '' end)
  vim.cmd('redraw! | echo')
  io.open(vim.env.READY, 'w'):close()
end)
vim.api.nvim_create_autocmd('VimEnter', { callback = function() assert(coroutine.resume(show)) end })

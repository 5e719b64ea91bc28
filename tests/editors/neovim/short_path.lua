-- Neovim 0.10: a proposal that waits is seen, accepted by a code action and saved.

local driver = require('driver')
local equal = driver.equal

local nvim = driver.start(110, 24)
nvim:lua([[
  vim.api.nvim_create_autocmd('FileType', { callback = function()
    local root = vim.fs.root(0, '.git')
    if root then
      vim.lsp.start({ name = 'ralph', cmd = { vim.env.TEST_PROGRAM, 'lsp' }, root_dir = root })
    end
  end })
]])
nvim:open('talk.sh')
nvim:wait_diagnostics('pending', { 5, 10 })
nvim:keep_screen('neovim-0.10-review.txt')
nvim:keys('5G')
nvim:code_action('Accept this change')
nvim:wait_diagnostics('pending', { 10 })
equal(nvim:line(5), '  echo "Hello, $1!"', 'line 5 after accepting')
nvim:keys('u')
nvim:wait_diagnostics('pending', { 5, 10 })
nvim:code_action('Accept all in this file')
nvim:wait_diagnostics('pending', {})
nvim:keys(':write<CR>')
nvim:wait('the task to be done', function()
  return driver.read('.ralph/queue.json'):find('"done"', 1, true)
end)
nvim:quit()

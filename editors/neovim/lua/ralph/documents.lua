-- The virtual documents of the server: proposals, transcripts, prompts, what checks said.

local M = {}

local filetypes = { diff = 'diff', md = 'markdown' }

--- Fills the buffer with the text of the document.
---@param buffer integer
---@param uri string
function M.read(buffer, uri)
  vim.bo[buffer].buftype = 'nofile'
  vim.bo[buffer].swapfile = false
  vim.bo[buffer].modifiable = false
  require('ralph.client').request('ralph/content', { uri = uri }, function(result)
    if not vim.api.nvim_buf_is_valid(buffer) then
      return
    end
    vim.bo[buffer].modifiable = true
    local lines = vim.split(result.text, '\n', { plain = true })
    if lines[#lines] == '' then
      table.remove(lines)
    end
    vim.api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
    vim.bo[buffer].modifiable = false
    vim.bo[buffer].modified = false
    local path = uri:gsub('[?#].*$', '')
    vim.bo[buffer].filetype = filetypes[path:match('%.(%w+)$') or ''] or vim.filetype.match({ filename = path }) or ''
  end)
end

--- Shows the document in the current window.
---@param uri string
function M.show(uri)
  vim.cmd.edit(vim.fn.fnameescape(uri))
end

return M

-- Highlight groups. A colour scheme or a person can define any of them; these are only what is used otherwise.

local M = {}

-- Backgrounds alone, so that the colours of the file's language stay readable. `DiffText` and its like differ too much
-- between colour schemes: some of them hide the text.
local colours = {
  dark = {
    RalphDelete = { bg = '#3c1f23', ctermbg = 52 },
    RalphDeleteText = { bg = '#7a2e35', ctermbg = 88 },
    RalphAdd = { bg = '#17351f', ctermbg = 22 },
    RalphAddText = { bg = '#2b6a3a', ctermbg = 28 },
  },
  light = {
    RalphDelete = { bg = '#ffe3e3', ctermbg = 224 },
    RalphDeleteText = { bg = '#ffb8b8', ctermbg = 217 },
    RalphAdd = { bg = '#def5df', ctermbg = 194 },
    RalphAddText = { bg = '#a8e3ae', ctermbg = 157 },
  },
}

local links = {
  RalphComment = 'DiagnosticVirtualTextInfo',
  RalphCommentSent = 'Comment',
  RalphConflict = 'DiagnosticVirtualTextWarn',
  RalphSign = 'DiagnosticSignInfo',
  RalphSignChanged = 'DiagnosticSignHint',
  RalphSignConflict = 'DiagnosticSignWarn',
  RalphTitle = 'Comment',
}

--- Defines the groups that are not defined yet, and again after a change of the colour scheme.
function M.define()
  for name, colour in pairs(colours[vim.o.background] or colours.dark) do
    vim.api.nvim_set_hl(0, name, vim.tbl_extend('force', colour, { default = true }))
  end
  for name, target in pairs(links) do
    vim.api.nvim_set_hl(0, name, { link = target, default = true })
  end
  vim.api.nvim_create_autocmd('ColorScheme', {
    group = vim.api.nvim_create_augroup('ralph.highlight', {}),
    callback = M.define,
  })
end

return M

-- Defines `:Ralph` and the `<Plug>` maps. Nothing of the plug-in is loaded before the first of them is used.

if vim.g.loaded_ralph then
  return
end
vim.g.loaded_ralph = true

vim.api.nvim_create_user_command('Ralph', function(call)
  require('ralph.commands').run(call)
end, {
  nargs = '*',
  range = true,
  bang = true,
  desc = 'Plan, run and review with ralph-sidecar',
  complete = function(lead, line)
    return require('ralph.commands').complete(lead, line)
  end,
})

local function plug(modes, name, action, desc)
  vim.keymap.set(modes, ('<Plug>(ralph-%s)'):format(name), action, { desc = 'Ralph: ' .. desc })
end

-- Sets the operator function and returns the keys that start the operator, so that `.` repeats it.
local function operator(name, keys)
  return function()
    vim.o.operatorfunc = ("v:lua.require'ralph.decide'.operator_%s"):format(name)
    return keys
  end
end

local function plug_operator(name, keys, modes, action, desc)
  vim.keymap.set(modes, ('<Plug>(ralph-%s)'):format(name), operator(action, keys), { expr = true, desc = 'Ralph: ' .. desc })
end

plug_operator('accept', 'g@', { 'n', 'x' }, 'accept', 'accept the hunks of a motion')
plug_operator('reject', 'g@', { 'n', 'x' }, 'reject', 'reject the hunks of a motion')
-- A motion over the whole line: others fail on empty ones.
plug_operator('accept-hunk', 'g@_', 'n', 'accept_hunk', 'accept the hunk at the cursor and go on')
plug_operator('reject-hunk', 'g@_', 'n', 'reject_hunk', 'reject the hunk at the cursor and go on')
plug('n', 'reject-hunk-why', function() require('ralph.decide').reject_at_cursor({ ask = true }) end, 'reject and say why')
plug('n', 'take-back', function() require('ralph.decide').take_back() end, 'take back what a key decided last, else undo')
plug('n', 'comment', function() require('ralph.decide').comment() end, 'comment on the hunk or the line')
plug('n', 'accept-file', function() require('ralph.decide').accept_file() end, 'accept all hunks of the file')
plug('n', 'next-hunk', function() require('ralph.review').jump(1) end, 'next hunk, across files')
plug('n', 'prev-hunk', function() require('ralph.review').jump(-1) end, 'previous hunk, across files')
plug('n', 'answer', function() require('ralph.decisions').answer() end, 'answer the oldest question')
plug('n', 'review', function() require('ralph.review').begin() end, 'review what waits')
plug({ 'o', 'x' }, 'inner-hunk', ":<C-u>lua require('ralph.review').select_hunk(false)<CR>", 'the lines of a hunk')
plug({ 'o', 'x' }, 'around-hunk', ":<C-u>lua require('ralph.review').select_hunk(true)<CR>", 'a hunk with empty lines after it')
plug('n', 'land', function() require('ralph.land').land({}, true) end, 'write what was accepted and land it')
plug('n', 'undo', function() require('ralph.land').undo() end, 'take back what was rejected, written or landed last')

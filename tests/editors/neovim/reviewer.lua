-- A person who reviews with the plug-in: what the scripts about reviewing have in common.

local driver = require('driver')

local reviewer = { task = vim.env.TEST_TASK }

-- Starts an editor with the plug-in, set up as the README says, with one key to begin and one to land.
function reviewer.start(width, height, options)
  local nvim = driver.start(width, height)
  nvim:lua([[
    vim.opt.rtp:prepend(vim.env.TEST_PLUGIN)
    vim.cmd.runtime('plugin/ralph.lua')
    require('ralph').setup(vim.tbl_extend('force', { cmd = vim.env.TEST_PROGRAM, maps = true }, ...))
    vim.keymap.set('n', '<F5>', '<Plug>(ralph-review)')
    vim.keymap.set('n', '<F6>', '<Plug>(ralph-land)')
    vim.o.signcolumn = 'yes'
    vim.diagnostic.config({ virtual_text = false, signs = false, underline = false })
  ]], options or vim.empty_dict())
  return nvim
end

-- Runs `:Ralph LINE`; what is asked meanwhile is chosen from `wants`.
function reviewer.command(nvim, line, wants)
  nvim:lua('person.wants = ...', wants or {})
  nvim:keys('<Esc>:Ralph' .. (vim.startswith(line, '!') and '' or ' ') .. line .. '<CR>')
end

-- Waits until something was said that has the text in it.
function reviewer.told(nvim, text)
  nvim:wait('that it is said: ' .. text, [[
    local text = ...
    return vim.iter(person.notes):any(function(note) return note:find(text, 1, true) ~= nil end)
  ]], text)
end

-- Waits until the text is on the screen.
function reviewer.sees(nvim, text)
  nvim:wait('on the screen: ' .. text, function() return nvim:screen():find(text, 1, true) end)
end

-- Waits until the cursor is on a line of a file, and exactly these lines of it have hunks.
function reviewer.at(nvim, file, line, hunks)
  nvim:wait(('line %d of %s, with hunks at [%s]'):format(line, file, table.concat(hunks, ' ')), [[
    local file, line, hunks = ...
    local found = {}
    for _, place in ipairs(require('ralph.marks').places(0)) do table.insert(found, place.first + 1) end
    return vim.fn.expand('%:t') == file and vim.fn.line('.') == line and vim.deep_equal(found, hunks)
  ]], file, line, hunks)
end

-- Prepares for `press`: a key begins the time, and the first picture that shows what is waited for ends it.
function reviewer.time(nvim)
  nvim:lua([[
    timing = {}
    vim.on_key(function()
      timing.key = timing.key or vim.uv.hrtime()
    end)
    local function look()
      if timing.key and not timing.picture and timing.shows and timing.shows() then
        timing.picture = vim.uv.hrtime()
      end
    end
    vim.api.nvim_set_decoration_provider(vim.api.nvim_create_namespace('timing'), { on_end = look })
    -- What is said is a picture as well; in this test it is noted and not drawn.
    local notify = vim.notify
    vim.notify = function(...)
      notify(...)
      look()
    end
    function hunks()
      return vim.tbl_map(function(place) return place.first + 1 end, require('ralph.marks').places(0))
    end
  ]])
end

-- Presses the keys and returns the milliseconds until the picture is there: `shows` is Lua that tells so.
function reviewer.press(nvim, what, pressed, shows, ...)
  nvim:lua([[
    local arguments = { select(2, ...) }
    local shows = assert(loadstring((...)))
    timing = { shows = function() return shows(unpack(arguments)) end }
  ]], shows, ...)
  nvim:keys(pressed)
  nvim:wait(what, 'return timing.picture')
  return nvim:lua('return (timing.picture - timing.key) / 1e6')
end

return reviewer

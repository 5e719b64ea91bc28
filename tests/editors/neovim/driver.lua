-- Drives a second Neovim as a person would: keys go in, the screen and the state come out.
--
-- The driver runs in a parent (`nvim -l`); the child is a whole editor (`--embed`), since 0.10 draws no screen in a
-- script. Nothing here waits for a time: every step waits for what it brings about, and `patience` is only the time after
-- which that will not come any more. Works with Neovim 0.10 and later.

local driver = {}

-- Milliseconds after which something that was waited for counts as missing.
local patience = tonumber(vim.env.TEST_PATIENCE) or 60000

local Editor = {}
Editor.__index = Editor

-- What the person in the child does and sees. Choices are made by title from `wants`, in that order; a menu that holds none
-- of them is left with Escape. Everything that was asked and said is kept.
local person = [[
vim.g.loaded_python3_provider = 0
person = { wants = {}, asked = {}, chosen = {}, notes = {}, progress = {}, notify = vim.notify }
local function find(labels, wanted)
  for index, label in ipairs(labels) do
    if label == wanted then return index end
  end
  for index, label in ipairs(labels) do
    if vim.startswith(label, wanted) then return index end
  end
end
vim.ui.select = function(items, opts, on_choice)
  local labels = {}
  for index, item in ipairs(items) do
    labels[index] = opts.format_item and opts.format_item(item) or tostring(item)
  end
  table.insert(person.asked, { prompt = opts.prompt, labels = labels })
  for position, wanted in ipairs(person.wants) do
    local index = find(labels, wanted)
    if index then
      table.remove(person.wants, position)
      table.insert(person.chosen, { prompt = opts.prompt, label = labels[index] })
      return on_choice(items[index], index)
    end
  end
  on_choice(nil, nil)
end
-- Shown in the real thing as well, but there a long one waits for a key.
vim.notify = function(message) table.insert(person.notes, message) end
vim.lsp.handlers['window/showMessage'] = function(_, params)
  table.insert(person.notes, params.message)
  return vim.NIL
end
vim.api.nvim_create_autocmd('LspProgress', { callback = function(event)
  table.insert(person.progress, event.data.params and event.data.params.value or event.data.result.value)
end })
]]

-- Starts an editor with nothing but what Neovim ships, `width` columns by `height` lines large.
function driver.start(width, height)
  local self = setmetatable({}, Editor)
  local command = { vim.v.progpath, '--clean', '-n', '-i', 'NONE', '--embed', '--headless' }
  self.channel = vim.fn.jobstart(command, { rpc = true })
  assert(self.channel > 0, 'failed to start ' .. vim.v.progpath)
  self:lua('vim.o.columns, vim.o.lines = ...', width, height)
  self:lua(person)
  return self
end

-- Runs Lua in the child and returns what it returns. `...` are its arguments.
function Editor:lua(code, ...)
  return vim.rpcrequest(self.channel, 'nvim_exec_lua', code, { ... })
end

-- Types keys.
function Editor:keys(keys)
  vim.rpcrequest(self.channel, 'nvim_input', keys)
end

-- Waits until `condition`, a function or a piece of Lua for the child, returns something; returns that.
function Editor:wait(what, condition, ...)
  local arguments = { ... }
  local found
  local function holds()
    if type(condition) == 'string' then
      found = self:lua(condition, unpack(arguments))
    else
      found = condition()
    end
    return found ~= nil and found ~= false and found ~= vim.NIL
  end
  if not vim.wait(patience, holds, 20) then
    error('waited in vain for ' .. what .. '\n' .. self:report(), 2)
  end
  return found
end

-- Opens a file and waits until the server is there for it.
function Editor:open(path)
  self:keys('<Esc>:edit ' .. path .. '<CR>')
  self:wait('the server to attach to ' .. path, [[
    local path = ...
    return vim.endswith(vim.api.nvim_buf_get_name(0), path) and #vim.lsp.get_clients({ bufnr = 0 }) == 1
  ]], path)
end

-- Returns our diagnostics of the current buffer, first line first, with 1-based lines. `code` restricts them.
function Editor:diagnostics(code)
  return self:lua([[
    local found = {}
    for _, diagnostic in ipairs(vim.diagnostic.get(0)) do
      if diagnostic.source == 'ralph' and (... == vim.NIL or ... == diagnostic.code) then
        table.insert(found, {
          line = diagnostic.lnum + 1, code = diagnostic.code, severity = diagnostic.severity, message = diagnostic.message,
        })
      end
    end
    table.sort(found, function(a, b) return a.line < b.line end)
    return found
  ]], code == nil and vim.NIL or code)
end

-- Waits until exactly these lines of the current buffer have a diagnostic with the code; returns them.
function Editor:wait_diagnostics(code, lines)
  local found
  self:wait(('%s at lines [%s]'):format(code, table.concat(lines, ' ')), function()
    found = self:diagnostics(code)
    local at = vim.tbl_map(function(diagnostic) return diagnostic.line end, found)
    return vim.deep_equal(at, lines)
  end)
  return found
end

-- Opens a menu by keys and chooses by title, where the menu may not hold it yet: what it holds follows the engine.
-- Each of `follow_ups` is chosen where it is asked for afterwards.
function Editor:choose(keys, title, follow_ups)
  self:wait(('"%s" in the menu of %s'):format(title, keys), function()
    local seen = self:lua([[
      local title, follow_ups = ...
      person.wants = vim.list_extend({ title }, follow_ups)
      return { #person.asked + #person.notes, #person.chosen }
    ]], title, follow_ups or {})
    self:keys(keys)
    self:wait('an answer to ' .. keys, 'return #person.asked + #person.notes > ...', seen[1])
    return self:lua('return #person.chosen > ...', seen[2])
  end)
end

-- Chooses a code action at the cursor or for the selection.
function Editor:code_action(title, follow_ups)
  self:choose('<Cmd>lua vim.lsp.buf.code_action()<CR>', title, follow_ups)
end

-- Returns a line of the current buffer, counted from 1.
function Editor:line(number)
  return self:lua('return vim.api.nvim_buf_get_lines(0, ... - 1, ..., false)[1]', number)
end

-- Returns the screen as one text.
function Editor:screen()
  return self:lua([[
    vim.cmd('redraw!')
    local rows = {}
    for row = 1, vim.o.lines do
      local cells = {}
      for column = 1, vim.o.columns do
        cells[column] = vim.fn.screenstring(row, column)
      end
      rows[row] = (table.concat(cells):gsub('%s+$', ''))
    end
    return table.concat(rows, '\n') .. '\n'
  ]])
end

-- Keeps the screen as a file of the run's artefacts, where there are any.
function Editor:keep_screen(name)
  local folder = vim.env.TEST_ARTEFACTS
  if folder then
    local file = assert(io.open(folder .. '/' .. name, 'w'))
    file:write(self:screen())
    file:close()
  end
end

-- Returns everything that helps to see why something did not come.
function Editor:report()
  local parts = {}
  local function add(name, value)
    table.insert(parts, ('---- %s\n%s'):format(name, type(value) == 'string' and value or vim.inspect(value)))
  end
  local mode = vim.rpcrequest(self.channel, 'nvim_get_mode')
  if mode.blocking then
    return 'the editor waits for a key, in mode ' .. mode.mode
  end
  add('screen', self:screen())
  add('diagnostics', self:diagnostics())
  add('asked, chosen and said', self:lua('return { person.asked, person.chosen, person.wants, person.notes }'))
  add('progress', self:lua('return person.progress'))
  add('log of the client', self:lua([[
    local file = io.open(vim.lsp.log and vim.lsp.log.get_filename() or vim.lsp.get_log_path())
    return file and file:read('*a'):sub(-4000) or 'none'
  ]]))
  return table.concat(parts, '\n')
end

-- Leaves the editor by the command and waits until it is gone.
local function leave(self, command)
  -- As a notification: an editor that leaves at once has no time to answer.
  vim.rpcnotify(self.channel, 'nvim_input', '<Esc>:' .. command .. '<CR>')
  local code = vim.fn.jobwait({ self.channel }, patience)[1]
  assert(code == 0, 'the editor ended with ' .. code)
end

-- Leaves the editor as a person does; unsaved text makes that fail.
function Editor:quit()
  leave(self, 'qa')
end

-- Leaves the editor, whatever is not saved.
function Editor:leave()
  leave(self, 'qa!')
end

-- Fails unless both are equal.
function driver.equal(actual, expected, what)
  if not vim.deep_equal(actual, expected) then
    error(('%s: expected\n%s\nbut it is\n%s'):format(what, vim.inspect(expected), vim.inspect(actual)), 2)
  end
end

-- Returns the text of a file, or nothing.
function driver.read(path)
  local file = io.open(path)
  if not file then
    return nil
  end
  local text = file:read('*a')
  file:close()
  return text
end

return driver

-- The connection to the server: finding the program, starting the client, asking it, and what it says by itself.

local tell = require('ralph.tell')

local M = {}

local name = 'ralph'
-- Last status by root URI.
local statuses = {}

local function notify(message, level)
  tell.say('ralph: ' .. message, level)
end
M.notify = notify

--- Returns the program, or nil and what to do about that.
---@return string?, string?
function M.program()
  local wanted = require('ralph').options.cmd
  if wanted then
    if vim.fn.executable(wanted) == 1 then
      return wanted
    end
    return nil, ('`%s`, which the option `cmd` names, cannot be executed'):format(wanted)
  end
  if vim.fn.executable('ralph-sidecar') == 1 then
    return 'ralph-sidecar'
  end
  -- A clone of the whole repository that was built in place.
  local here = vim.fs.dirname(debug.getinfo(1, 'S').source:sub(2))
  for _, profile in ipairs({ 'release', 'debug' }) do
    local built = vim.fs.normalize(here .. '/../../../../target/' .. profile .. '/ralph-sidecar')
    if vim.fn.executable(built) == 1 then
      return built
    end
  end
  return nil, 'ralph-sidecar is not on PATH; `cargo install --path .` in its repository puts it there'
end

-- Modes in which a question would take what the person is typing.
local function is_typing()
  return vim.api.nvim_get_mode().mode:match('^[iRctv\22sS]') ~= nil
end

--- Calls the function when the person is not typing: at once, or when they are back in normal mode.
---@param ask fun()
function M.when_calm(ask)
  if not is_typing() then
    return ask()
  end
  vim.api.nvim_create_autocmd('ModeChanged', {
    pattern = '*:n*',
    once = true,
    callback = function() vim.schedule(function() M.when_calm(ask) end) end,
  })
end

-- As `when_calm`, for a handler: it runs in a coroutine, which waits.
local function wait_until_calm()
  local waiting = coroutine.running()
  if is_typing() and waiting then
    M.when_calm(function() coroutine.resume(waiting) end)
    coroutine.yield()
  end
end

-- Asks for a line of text on behalf of the server. Handlers run in a coroutine, which waits for the person.
local function input(_, params)
  wait_until_calm()
  local waiting = coroutine.running()
  local answered, text = false, nil
  vim.ui.input({ prompt = params.prompt .. ' ', default = '' }, function(value)
    if answered then return end
    answered, text = true, value
    if coroutine.status(waiting) == 'suspended' then
      coroutine.resume(waiting)
    end
  end)
  if not answered then
    coroutine.yield()
  end
  return { text = text == nil and vim.NIL or text }
end

-- Takes focus only where the person asked for the document.
local function show_document(_, params)
  if params.external or params.takeFocus == false then
    return { success = false }
  end
  vim.cmd.edit(vim.fn.fnameescape(vim.startswith(params.uri, 'file:') and vim.uri_to_fname(params.uri) or params.uri))
  if params.selection then
    pcall(vim.api.nvim_win_set_cursor, 0, { params.selection.start.line + 1, params.selection.start.character })
  end
  return { success = true }
end

local function announce(pattern, data)
  vim.api.nvim_exec_autocmds('User', { pattern = pattern, modeline = false, data = data })
end

--- Returns until when the run of a status waits for an agent, in milliseconds since the epoch, or nil.
---@param status table
---@return number?
function M.waiting_until(status)
  local run = status.run
  if status.health == 'error' or not run or run == vim.NIL or run.paused then
    return nil
  end
  local waiting = run.waitingUntilMs
  return waiting ~= vim.NIL and waiting or nil
end

local clock

-- Draws the statusline each second while a run waits: the time left moves although nothing is sent.
local function tick()
  local waiting = vim.iter(statuses):any(function(_, status) return M.waiting_until(status) ~= nil end)
  if waiting and not clock then
    clock = vim.uv.new_timer()
    clock:start(1000, 1000, vim.schedule_wrap(function() vim.cmd('redrawstatus') end))
  elseif clock and not waiting then
    clock:close()
    clock = nil
  end
end

-- Asks to choose as Neovim does, but never while the person types something else.
local function message_request(...)
  wait_until_calm()
  return vim.lsp.handlers['window/showMessageRequest'](...)
end

-- What the answer to the last command said; the server may tell it once more to those who did not ask.
local last_said

-- By `MessageType` of the protocol.
local levels = { vim.log.levels.ERROR, vim.log.levels.WARN, vim.log.levels.INFO, vim.log.levels.DEBUG }

-- Says what the server says by itself, but not what was said a moment ago.
local function message(_, params)
  if last_said and params.message == 'Ralph: ' .. last_said then
    last_said = nil
  else
    tell.say(params.message, levels[params.type])
  end
  return vim.NIL
end

local handlers = {
  ['window/showMessageRequest'] = message_request,
  ['window/showMessage'] = message,
  ['ralph/input'] = input,
  ['window/showDocument'] = show_document,
  ['ralph/status'] = function(_, params)
    statuses[params.root] = params
    tick()
    announce('RalphStatus', params)
    vim.schedule(function() vim.cmd('redrawstatus') end)
  end,
  ['ralph/runEnded'] = function(_, params)
    require('ralph.after').ended(params)
    announce('RalphRunEnded', params)
  end,
  ['ralph/attempt'] = function(_, params) announce('RalphAttempt', params) end,
  ['ralph/queueChanged'] = function(_, params) announce('RalphQueueChanged', params) end,
  ['ralph/decisionRequested'] = function(_, params) announce('RalphDecisionRequested', params) end,
  ['ralph/decisionResolved'] = function(_, params) announce('RalphDecisionResolved', params) end,
  ['ralph/proposalChanged'] = function(_, params)
    announce('RalphProposalChanged', params)
    require('ralph.review').changed(params)
  end,
}

--- Returns the folder of the repository, where the file is in one and the server has something to do with it.
---@param buffer integer
---@return string?
function M.root_of(buffer)
  local file = vim.api.nvim_buf_get_name(buffer)
  if vim.bo[buffer].buftype ~= '' or file:match('^%a[%w+.-]+:') then
    return nil
  end
  return vim.fs.root(file ~= '' and file or vim.fn.getcwd(), { '.ralph', '.git' })
end

--- Starts the client for the buffer where it belongs to a repository; says nothing where it does not.
---@param buffer integer
---@return integer? id of the client
function M.attach(buffer)
  local root = M.root_of(buffer)
  local program = root and M.program()
  if not program then
    return nil
  end
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.experimental = vim.tbl_extend('force', capabilities.experimental or {}, { ralph = { input = true, runEnded = true } })
  return vim.lsp.start({
    name = name,
    cmd = { program, 'lsp' },
    root_dir = root,
    capabilities = capabilities,
    handlers = handlers,
    -- Milliseconds; by default undo would bring a hunk back only after 150.
    flags = { debounce_text_changes = 20 },
    init_options = require('ralph').options.settings,
    settings = { ralph = require('ralph').options.settings },
    on_attach = function(_, attached) require('ralph.review').attach(attached) end,
  }, { bufnr = buffer, reuse_client = function(client, config)
    return client.name == config.name and client.config.root_dir == config.root_dir
  end })
end

--- Starts the client for every file that is opened from now on, and for those that are open.
function M.enable()
  local group = vim.api.nvim_create_augroup('ralph.client', {})
  vim.api.nvim_create_autocmd({ 'BufReadPost', 'BufNewFile' }, {
    group = group,
    callback = function(event) M.attach(event.buf) end,
  })
  vim.api.nvim_create_autocmd('BufReadCmd', {
    group = group,
    pattern = 'ralph:/*',
    callback = function(event) require('ralph.documents').read(event.buf, event.match) end,
  })
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(buffer) then
      M.attach(buffer)
    end
  end
end

--- Returns the client of the buffer, else any, else one that is started for the current folder.
---@param buffer integer?
---@return vim.lsp.Client?
function M.get(buffer)
  local attached = vim.lsp.get_clients({ name = name, bufnr = buffer or 0 })[1]
  return attached or vim.lsp.get_clients({ name = name })[1]
end

local function root_uri(buffer, client)
  local root = M.root_of(buffer) or client.config.root_dir
  return root and vim.uri_from_fname(root) or nil
end

--- Returns the last status of every repository, by its URI.
---@return table<string, table>
function M.statuses()
  return statuses
end

--- Returns the last status of the repository of the buffer.
---@param buffer integer
---@return table?
function M.status_of(buffer)
  local client = M.get(buffer == 0 and vim.api.nvim_get_current_buf() or buffer)
  return client and statuses[root_uri(buffer == 0 and vim.api.nvim_get_current_buf() or buffer, client)]
end

-- What a server of another version says to a name it does not know.
local function explain(method, failure)
  if failure.code == vim.lsp.protocol.ErrorCodes.MethodNotFound then
    return ('this ralph-sidecar is too old for `%s`: update it and start Neovim again'):format(method)
  end
  return failure.message or tostring(failure)
end

--- Asks the server. `callback` gets the result. An error is shown, or given to `failed` instead.
---@param method string such as `ralph/status`
---@param params table
---@param callback fun(result: table)?
---@param options { failed: fun(message: string)?, buffer: integer? }? `buffer` says which repository, else the current one
function M.request(method, params, callback, options)
  options = options or {}
  local buffer = options.buffer or vim.api.nvim_get_current_buf()
  local client = M.get(buffer)
  local failed = options.failed or function(message) notify(message, vim.log.levels.ERROR) end
  if not client then
    local _, problem = M.program()
    return failed(problem or 'no server is on here: open a file of a git repository')
  end
  params = vim.tbl_extend('keep', params, { root = root_uri(buffer, client) })
  local function answered(failure, result)
    if failure then
      failed(explain(method, failure))
    elseif callback then
      callback(result)
    end
  end
  -- 0.10 has functions where later versions have methods.
  if vim.fn.has('nvim-0.11') == 1 then
    client:request(method, params, answered, buffer)
  else
    client.request(method, params, answered, buffer)
  end
end

--- Asks the server for something that answers with what happened, and says that.
---@param method string
---@param params table
---@param callback fun(result: table)?
---@param options table? as in `request`, and `task`: whose name what is said has to have
function M.command(method, params, callback, options)
  M.request(method, params, function(result)
    if type(result) == 'table' then
      if result.message and result.message ~= '' then
        local about = options and options.task
        local is_named = not about or result.message:find(about, 1, true)
        last_said = result.message
        notify(is_named and result.message or ('%s: %s'):format(about, result.message))
      end
      for _, conflict in ipairs(result.conflicts or {}) do
        notify(conflict.reason, vim.log.levels.WARN)
      end
    end
    if callback then
      callback(result)
    end
  end, options)
end

return M

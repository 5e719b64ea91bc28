-- `:checkhealth ralph`: every step from Neovim to a run, and what to do about the first that is missing.

local M = {}

local health = vim.health

local function program()
  local found, problem = require('ralph.client').program()
  if not found then
    health.error(problem, { 'or name the program: require("ralph").setup({ cmd = "/path/to/ralph-sidecar" })' })
    return nil
  end
  local result = vim.system({ found, '--version' }, { text = true }):wait()
  if result.code ~= 0 then
    health.error(('`%s --version` ended with %d'):format(found, result.code), { vim.trim(result.stderr) })
    return nil
  end
  health.ok(('%s: %s'):format(vim.fn.exepath(found), vim.trim(result.stdout)))
  return found
end

local function configuration()
  if vim.fn.exists('#ralph.client') == 1 then
    health.ok("require('ralph').setup() was called")
  else
    health.warn('the server is not started by itself', { "call require('ralph').setup() in your configuration" })
  end
end

local function server()
  local clients = vim.lsp.get_clients({ name = 'ralph' })
  if #clients == 0 then
    health.warn('no server is on', { 'open a file of a git repository' })
    return
  end
  for _, client in ipairs(clients) do
    health.ok(('a server is on for %s'):format(client.config.root_dir))
  end
end

local function doctor(found)
  local result = vim.system({ found, 'doctor' }, { text = true }):wait()
  local said = vim.trim((result.stdout or '') .. (result.stderr or ''))
  for line in vim.gsplit(said, '\n', { trimempty = true }) do
    health.info(line)
  end
  if result.code ~= 0 then
    health.error('`ralph-sidecar doctor` found problems', { 'its lines above say what to do' })
  end
end

--- Called by `:checkhealth ralph`.
function M.check()
  health.start('ralph')
  if vim.fn.has('nvim-0.10') == 1 then
    health.ok(('Neovim %s'):format(tostring(vim.version())))
  else
    health.error('Neovim 0.10 or later is needed')
  end
  local found = program()
  configuration()
  server()
  if found then
    health.start('ralph: doctor')
    doctor(found)
  end
end

return M

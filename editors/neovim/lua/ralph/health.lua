-- `:checkhealth ralph`: every step from Neovim to a review, and what to do about those that are missing.

local M = {}

local health = vim.health

-- The oldest program that has what the plug-in asks for, and the protocol it speaks.
local oldest, protocol = '0.1.0', 1

local get_program = {
  '`cargo install --path .` in a clone of ralph-sidecar puts it into ~/.cargo/bin, which has to be on PATH',
  "or name it: require('ralph').setup({ cmd = '/path/to/ralph-sidecar' })",
}

local function program()
  local found, problem = require('ralph.client').program()
  if not found then
    health.error(problem, get_program)
    return nil
  end
  local result = vim.system({ found, '--version' }, { text = true }):wait()
  local version = result.code == 0 and vim.version.parse(vim.trim(result.stdout):match('%S+$') or '')
  if not version then
    local said = vim.trim((result.stderr or '') .. (result.stdout or ''))
    health.error(('`%s --version` ended with %d and told no version'):format(found, result.code), { said, unpack(get_program) })
    return nil
  end
  if vim.version.lt(version, oldest) then
    health.error(('%s is version %s, and %s or later is needed'):format(found, tostring(version), oldest), get_program)
    return nil
  end
  health.ok(('%s: version %s'):format(vim.fn.exepath(found), tostring(version)))
  return found
end

local function git()
  if vim.fn.executable('git') == 1 then
    health.ok(('git: %s'):format(vim.fn.exepath('git')))
    return true
  end
  health.error('git is not on PATH', { 'install it: worktrees, proposals and landing are made with it' })
  return false
end

local function configuration()
  if vim.fn.exists('#ralph.client') == 1 then
    health.ok("require('ralph').setup() was called")
  else
    health.warn('the server is not started by itself', { "call require('ralph').setup() in your configuration" })
  end
end

-- Returns the repository that the check is about: that of the file before, else that of the current folder.
local function repository()
  local folder = vim.fs.root(vim.fn.getcwd(), { '.git' })
  local before = vim.fn.bufnr('#')
  local root = before > 0 and require('ralph.client').root_of(before) or folder
  if root then
    health.ok(('repository: %s'):format(root))
    return root
  end
  health.error(('%s is in no git repository'):format(vim.fn.getcwd()), {
    'go to the folder of your project, or make it one: `git init`, then a first commit',
  })
end

local function server()
  local clients = vim.lsp.get_clients({ name = 'ralph' })
  if #clients == 0 then
    health.warn('no server is on', { 'open a file of a git repository' })
  end
  for _, client in ipairs(clients) do
    local spoken = vim.tbl_get(client.server_capabilities, 'experimental', 'ralph', 'version')
    if spoken == protocol then
      health.ok(('a server is on for %s'):format(client.config.root_dir))
    else
      health.error(('the server for %s speaks version %s of the protocol, and the plug-in %d'):format(
        client.config.root_dir, tostring(spoken or 'unknown'), protocol),
        { 'update ralph-sidecar and the plug-in together, then start Neovim again' })
    end
  end
  for _, status in pairs(require('ralph.client').statuses()) do
    if status.health == 'error' then
      health.error(status.message, { '`:Ralph doctor` says more' })
    end
  end
end

-- What `ralph-sidecar doctor` says: lines of a word, a thing and what is known of it, each with advice indented below.
local function doctor(found, root)
  local result = vim.system({ found, 'doctor' }, { text = true, cwd = root }):wait()
  local findings = {}
  for line in vim.gsplit(vim.trim((result.stdout or '') .. (result.stderr or '')), '\n', { trimempty = true }) do
    local word, words = line:match('^(%l+)%s+(.*)$')
    if word then
      table.insert(findings, { word = word, words = words, advice = {} })
    elseif #findings > 0 then
      table.insert(findings[#findings].advice, vim.trim(line))
    end
  end
  local no_agent = false
  for _, finding in ipairs(findings) do
    local report = ({ ok = health.ok, note = health.info, problem = health.error })[finding.word] or health.info
    no_agent = no_agent or finding.words:find('^agents: the configuration names none') ~= nil
    if report == health.error and #finding.advice > 0 then
      report(finding.words, finding.advice)
    else
      report(table.concat({ finding.words, unpack(finding.advice) }, '\n'))
    end
  end
  if no_agent then
    health.warn('no agent is configured here', { '`ralph-sidecar init` finds those you have; `:Ralph plan` offers it too' })
  end
  if result.code ~= 0 and not vim.iter(findings):any(function(finding) return finding.word == 'problem' end) then
    health.error(('`ralph-sidecar doctor` ended with %d'):format(result.code), { vim.trim(result.stderr or '') })
  end
end

-- Names the commands that would run here and that the person has not said yes to.
local function trust(found, root)
  local result = vim.system({ found, 'trust', '--list' }, { text = true, cwd = root }):wait()
  local commands = {}
  for line in vim.gsplit(result.stdout or '', '\n', { trimempty = true }) do
    table.insert(commands, vim.trim(line))
  end
  if #commands > 0 then
    local advice = { '`:Ralph trust` shows them and asks; so do plan, approve and start' }
    health.warn('these commands are not trusted here yet, so nothing runs them', vim.list_extend(commands, advice))
  elseif result.code == 0 then
    health.ok('trust: no command waits for it')
  end
end

--- Called by `:checkhealth ralph`.
function M.check()
  health.start('ralph')
  if vim.fn.has('nvim-0.10') == 1 then
    health.ok(('Neovim %s'):format(tostring(vim.version())))
  else
    health.error('Neovim 0.10 or later is needed', { 'https://github.com/neovim/neovim/releases' })
    return
  end
  local found = program()
  local has_git = git()
  configuration()
  local root = repository()
  server()
  if found and has_git and root then
    health.start('ralph: doctor')
    doctor(found, root)
    trust(found, root)
  end
end

return M

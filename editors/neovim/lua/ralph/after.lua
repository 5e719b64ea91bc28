-- The first words after a run, said once: when it ends, or when an editor is started after that.

local M = {}

-- By root URI: until when, in milliseconds since the epoch, runs that ended were spoken of. Read when it is first needed.
local spoken

local function file()
  return vim.fn.stdpath('state') .. '/ralph.json'
end

local function read()
  if not spoken then
    local found, lines = pcall(vim.fn.readfile, file())
    local decoded, known = pcall(vim.json.decode, found and table.concat(lines, '\n') or '{}')
    spoken = decoded and type(known) == 'table' and known or {}
  end
  return spoken
end

-- Remembers for later editors that everything which ended before now was spoken of; one that cannot be written to only
-- means that it is said again.
local function remember(root, milliseconds)
  read()[root] = milliseconds
  pcall(vim.fn.mkdir, vim.fn.stdpath('state'), 'p')
  pcall(vim.fn.writefile, { vim.json.encode(spoken) }, file())
end

-- Says what is left, with what begins to deal with it. Where the line is narrow, what there is none of is left out.
local function say(message, pending, decisions, warning)
  local command = pending > 0 and '`:Ralph review`' or decisions > 0 and '`:Ralph answer`'
  local begins = not command and '' or ('; %s %s'):format(command, pending > 0 and 'begins' or 'asks')
  local short = message:gsub('^Ralph: [^:]*: ', ''):gsub(', 0 need you', ''):gsub(', 0 failed', '')
  local level = warning and vim.log.levels.WARN or vim.log.levels.INFO
  require('ralph.tell').say(message .. begins, level, command and ('%s; %s'):format(short, command) or short)
end

--- A run has ended: takes `ralph/runEnded`.
---@param params table
function M.ended(params)
  local seconds, microseconds = vim.uv.gettimeofday()
  remember(params.root, seconds * 1000 + math.ceil(microseconds / 1000))
  say(params.message, params.pending, params.decisions, params.warning)
end

-- Tells whether the person wants to hear of a run that ended so.
local function is_wanted(status, needs_person)
  local setting = type(status.settings) == 'table' and status.settings.notify or nil
  if setting == 'needs-me' then
    return needs_person
  end
  return setting ~= 'never' and not (setting == 'finished' and needs_person)
end

local function pending_in(status)
  local count = 0
  for _, task in ipairs(status.tasks) do
    for _, hunk in ipairs(task.state ~= 'done' and task.hunks or {}) do
      count = count + (hunk.mark == 'pending' and 1 or 0)
    end
  end
  return count
end

--- Takes the status of a repository: says what the last run left where it ended while no editor was there to say so.
---@param status table as `ralph/status` answers it
function M.arrived(status)
  local last = status.lastRun
  local is_on = status.run and status.run ~= vim.NIL
  if is_on or not last or last == vim.NIL or (read()[status.root] or 0) >= last.endedAtMs then
    return
  end
  remember(status.root, last.endedAtMs)
  local pending, decisions = pending_in(status), #status.decisions
  local needs_person = decisions > 0 or last.reason ~= 'finished'
  if pending + decisions > 0 and is_wanted(status, needs_person) then
    say('Ralph: after the last run: ' .. last.summary, pending, decisions, needs_person)
  end
end

return M

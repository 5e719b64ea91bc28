-- The set-up: the help file knows everything there is, the check names every step that is missing, nothing is asked while
-- the person types.

local driver = require('driver')
local equal = driver.equal

local nvim = driver.start(100, 40)
nvim:lua([[
  vim.opt.rtp:prepend(vim.env.TEST_PLUGIN)
  vim.cmd.runtime('plugin/ralph.lua')
]])
local folder = vim.env.TEST_PLUGIN
local help = driver.read(folder .. '/doc/ralph.txt')

local function missing(names, pattern)
  return vim.tbl_filter(function(name) return not help:find(pattern:format(vim.pesc(name))) end, names)
end

-- No maps but <Plug> ones before the person asks for some.
equal(nvim:lua([[
  local found = {}
  for _, mode in ipairs({ 'n', 'x', 'o', 'i' }) do
    for _, map in ipairs(vim.api.nvim_get_keymap(mode)) do
      if (map.desc or ''):find('^Ralph') and not map.lhs:find('^<Plug>') then table.insert(found, map.lhs) end
    end
  end
  return found
]]), {}, 'maps that nobody asked for')

-- The help file has every command, map, event, highlight group and option, and its tags are those of Neovim.
equal(missing(nvim:lua([[return require('ralph.commands').names()]]), 'Ralph%%[?!?%%]? %s[ \n]'), {}, 'commands without help')
local plugs = nvim:lua([[
  local found = {}
  for _, mode in ipairs({ 'n', 'o' }) do
    for _, map in ipairs(vim.api.nvim_get_keymap(mode)) do
      table.insert(found, map.lhs:match('^<Plug>%(ralph%-([%w-]+)%)$'))
    end
  end
  return found
]])
assert(#plugs > 10, 'the maps were not found')
equal(missing(plugs, '<Plug>%%(ralph%%-%s%%)'), {}, 'maps without help')
for name in help:gmatch('<Plug>%(ralph%-([%w-]+)%)') do
  assert(vim.list_contains(plugs, name), 'there is no map ' .. name)
end
local function in_source(pattern)
  local found = {}
  for name, kind in vim.fs.dir(folder .. '/lua/ralph') do
    for match in (kind == 'file' and driver.read(folder .. '/lua/ralph/' .. name) or ''):gmatch(pattern) do
      found[match] = true
    end
  end
  return vim.tbl_keys(found)
end
local events, groups = in_source("announce%('(Ralph%w+)'"), in_source("\n%s+(Ralph%w+) = ")
table.insert(events, 'RalphReviewChanged')
assert(#events > 6 and #groups > 6, 'events or groups were not found')
equal(missing(events, '%s'), {}, 'events without help')
equal(missing(groups, '%%*%s%%*'), {}, 'highlight groups without help')
equal(missing(nvim:lua([[return vim.tbl_keys(require('ralph').options)]]), '\n    %s = '), {}, 'options without help')
local tags = vim.fn.tempname()
vim.fn.mkdir(tags)
assert(vim.uv.fs_copyfile(folder .. '/doc/ralph.txt', tags .. '/ralph.txt'))
vim.cmd.helptags(tags)
equal(driver.read(folder .. '/doc/tags'), driver.read(tags .. '/tags'), 'doc/tags, which `:helptags` makes')

-- Subcommands complete, and so do what they take.
equal(nvim:lua([[return vim.fn.getcompletion('Ralph l', 'cmdline')]]), { 'land', 'log' }, 'completion')
equal(nvim:lua([[return vim.fn.getcompletion('Ralph land ', 'cmdline')]]), { 'branch', 'commit', 'tree' }, 'places to land')
equal(nvim:lua([[return vim.fn.getcompletion("'<,'>Ralph pla", 'cmdline')]]), { 'plan' }, 'completion behind a range')

-- What is missing is named, with what to do about it.
local function check(prepare)
  return nvim:lua([[
    local prepare = assert(loadstring((...)))
    local path, folder = vim.env.PATH, vim.fn.getcwd()
    prepare()
    vim.cmd('checkhealth ralph')
    local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
    vim.cmd('bwipeout!')
    vim.env.PATH = path
    vim.cmd.cd(folder)
    return text
  ]], prepare)
end
local function says(text, words)
  for _, wanted in ipairs(words) do
    assert(text:find(wanted, 1, true), ('the check does not say "%s":\n%s'):format(wanted, text))
  end
end
says(check([[require('ralph').options.cmd = '/nowhere/ralph-sidecar']]), { 'cannot be executed', 'cargo install',
  'setup() in your configuration', 'no server is on' })
says(check([[
  require('ralph').options.cmd = nil
  vim.env.PATH = vim.fn.tempname()
]]), { 'git is not on PATH' })
says(check([[
  local old = vim.fn.tempname()
  vim.fn.writefile({ '#!/bin/sh', 'echo ralph-sidecar 0.0.9' }, old)
  vim.fn.setfperm(old, 'rwx------')
  require('ralph').options.cmd = old
]]), { 'version 0.0.9, and 0.1.0 or later is needed' })
says(check([[
  require('ralph').options.cmd = vim.env.TEST_PROGRAM
  vim.cmd.cd('/')
]]), { '/ is in no git repository', 'git init' })
says(check([[vim.fn.writefile({ '{ "version": 1 }' }, '.ralph/config.json')]]), { 'no agent is configured here',
  'ralph-sidecar init' })

-- With everything in place it says so, and which server is on.
vim.fn.system({ 'git', 'checkout', '-q', '.ralph/config.json' })
nvim:lua([[require('ralph').setup({ cmd = vim.env.TEST_PROGRAM })]])
nvim:open('talk.sh')
local text = check('')
says(text, { 'setup() was called', 'a server is on for', 'repository: ', 'these commands are not trusted here yet',
  'scripted script.json', ':Ralph trust' })
assert(not text:find('ERROR', 1, true), text)

vim.system({ vim.env.TEST_PROGRAM, 'trust', '--yes' }):wait()
says(check(''), { 'no command waits for it' })

-- What is longer than the line below needs no key: it is cut there, or said in fewer words, and kept as a whole.
for _, short in ipairs({ '', 'few words' }) do
  nvim:lua([[
    local notify, echo = vim.notify, vim.api.nvim_echo
    vim.notify, person.shown = person.notify, nil
    vim.api.nvim_echo = function(chunks, ...)
      person.shown = chunks[1][1]
      return echo(chunks, ...)
    end
    require('ralph.tell').say(('long '):rep(60) .. 'end', nil, (...) ~= '' and (...) or nil)
    vim.notify, vim.api.nvim_echo = notify, echo
  ]], short)
  equal(vim.rpcrequest(nvim.channel, 'nvim_get_mode').blocking, false, 'whether it waits for a key')
  local shown = nvim:lua('return person.shown')
  assert(short ~= '' and shown == short or short == '' and shown:find('^long long .*…$') and #shown < 110, shown)
  local kept = nvim:lua([[return require('ralph.tell').cut_short()]])
  assert(vim.endswith(kept[#kept], 'long end'), kept[#kept])
end

-- A question waits until the person stops typing.
nvim:keys('i')
nvim:wait('that the person types', [[return vim.api.nvim_get_mode().mode == 'i']])
nvim:lua([[require('ralph.client').when_calm(function() asked_in = vim.api.nvim_get_mode().mode end)]])
nvim:keys('x')
nvim:wait('what is typed', [[return vim.startswith(vim.fn.getline(1), 'x')]])
equal(nvim:lua('return asked_in == nil'), true, 'whether it waits')
nvim:keys('<Esc>')
nvim:wait('the question', 'return asked_in')
equal(nvim:lua('return asked_in'), 'n', 'the mode in which it is asked')

-- Neither is what the server asks: to choose, or for a line of text.
nvim:keys('i')
nvim:wait('that the person types', [[return vim.api.nvim_get_mode().mode == 'i']])
nvim:lua([[
  vim.ui.input = function(options, done)
    table.insert(person.asked, { prompt = options.prompt })
    done('a line')
  end
  person.asked, person.wants, answers = {}, { 'Yes' }, {}
  local client = vim.lsp.get_clients({ name = 'ralph' })[1]
  local function ask(method, params)
    coroutine.wrap(function()
      answers[method] = client.handlers[method](nil, params, { client_id = client.id, method = method })
    end)()
  end
  ask('window/showMessageRequest', { type = 3, message = 'Is it so?', actions = { { title = 'Yes' } } })
  ask('ralph/input', { prompt = 'What is it?' })
]])
nvim:keys('y')
nvim:wait('what is typed', [[return vim.fn.getline('.'):find('y', 1, true)]])
equal(nvim:lua('return { #person.asked, vim.tbl_count(answers) }'), { 0, 0 }, 'what was asked while the person typed')
nvim:keys('<Esc>')
nvim:wait('both answers', 'return vim.tbl_count(answers) == 2')
equal(nvim:lua([[return { answers['window/showMessageRequest'].title, answers['ralph/input'].text }]]), { 'Yes', 'a line' },
  'the answers')
nvim:leave()

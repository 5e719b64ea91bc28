-- Turns what `tmux capture-pane -e` prints into an SVG picture of a terminal.
--
--   nvim -l docs/pictures/to_svg.lua TITLE < CAPTURE > PICTURE.svg
--
-- Every run of cells with the same look becomes one text whose length is fixed, so that columns stay aligned whatever
-- monospaced font the reader's machine has.

local cell_width, cell_height, font_size, margin, bar = 8.4, 18, 14, 14, 34
local foreground, background = '#d8dee4', '#15191e'

-- The sixteen colours; those beyond follow from their number.
local palette = {
  [0] = '#2b3138', '#f47067', '#6bc46d', '#daaa3f', '#6cb6ff', '#dcbdfb', '#56d4dd', '#c5ccd3',
  '#768390', '#ff938a', '#8ddb8c', '#eac55f', '#96d0ff', '#eedcff', '#b3f0ff', '#ffffff',
}

local function indexed(number)
  if number < 16 then
    return palette[number]
  elseif number < 232 then
    local step = { [0] = 0, 95, 135, 175, 215, 255 }
    local rest = number - 16
    return ('#%02x%02x%02x'):format(step[math.floor(rest / 36)], step[math.floor(rest / 6) % 6], step[rest % 6])
  end
  local grey = 8 + 10 * (number - 232)
  return ('#%02x%02x%02x'):format(grey, grey, grey)
end

-- Applies the parameters of one SGR sequence to a look.
local function apply(look, sequence)
  local numbers = {}
  for part in (sequence .. ';'):gmatch('([^;]*);') do
    -- Of `4:3` (a curly underline) only that it is underlined can be shown.
    table.insert(numbers, tonumber(part:match('^%d+')) or 0)
  end
  local index = 1
  while index <= #numbers do
    local number = numbers[index]
    if number == 0 then
      for key in pairs(look) do look[key] = nil end
    elseif number == 1 then look.bold = true
    elseif number == 2 then look.dim = true
    elseif number == 3 then look.italic = true
    elseif number == 4 then look.underline = true
    elseif number == 7 then look.reverse = true
    elseif number == 22 then look.bold, look.dim = nil, nil
    elseif number == 23 then look.italic = nil
    elseif number == 24 then look.underline = nil
    elseif number == 27 then look.reverse = nil
    elseif number >= 30 and number <= 37 then look.front = palette[number - 30]
    elseif number == 39 then look.front = nil
    elseif number >= 40 and number <= 47 then look.back = palette[number - 40]
    elseif number == 49 then look.back = nil
    elseif number >= 90 and number <= 97 then look.front = palette[number - 82]
    elseif number >= 100 and number <= 107 then look.back = palette[number - 92]
    elseif number == 38 or number == 48 or number == 58 then
      local colour
      if numbers[index + 1] == 5 then
        colour = indexed(numbers[index + 2] or 0)
        index = index + 2
      else
        colour = ('#%02x%02x%02x'):format(numbers[index + 2] or 0, numbers[index + 3] or 0, numbers[index + 4] or 0)
        index = index + 4
      end
      if number == 38 then look.front = colour elseif number == 48 then look.back = colour end
    end
    index = index + 1
  end
end

-- Splits a line into runs { text, column, width, look }.
local function runs(line, look)
  local found, column = {}, 0
  local function add(text)
    if text ~= '' then
      local width = vim.fn.strdisplaywidth(text)
      table.insert(found, { text = text, column = column, width = width, look = vim.deepcopy(look) })
      column = column + width
    end
  end
  local rest = line
  while true do
    local from, to, sequence = rest:find('\27%[([%d;:]*)m')
    if not from then
      add(rest)
      return found, column
    end
    add(rest:sub(1, from - 1))
    apply(look, sequence)
    rest = rest:sub(to + 1)
  end
end

local function escape(text)
  return (text:gsub('[&<>"]', { ['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;', ['"'] = '&quot;' }))
end

local title = arg[1] or ''
local rows, columns, look = {}, 0, {}
for line in io.stdin:lines() do
  local row, width = runs(line:gsub('\t', '        '), look)
  table.insert(rows, row)
  columns = math.max(columns, width)
end

local width = columns * cell_width + 2 * margin
local height = #rows * cell_height + bar + margin
local out = {}
local function put(...) table.insert(out, string.format(...)) end
put('<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img">',
  width, height, width, height)
put('<title>%s</title>', escape(title))
put('<rect width="100%%" height="100%%" rx="8" fill="%s"/>', background)
for index, colour in ipairs({ '#f47067', '#daaa3f', '#6bc46d' }) do
  put('<circle cx="%d" cy="17" r="5" fill="%s"/>', 4 + index * 18, colour)
end
put('<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="%d"'
  .. ' xml:space="preserve" style="white-space:pre">', font_size)
put('<text x="%.0f" y="22" text-anchor="middle" fill="#768390">%s</text>', width / 2, escape(title))
for number, row in ipairs(rows) do
  local top = bar + (number - 1) * cell_height
  for _, run in ipairs(row) do
    local front, back = run.look.front or foreground, run.look.back
    if run.look.reverse then
      front, back = back or background, front
    end
    local x = margin + run.column * cell_width
    if back then
      put('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>', x, top, run.width * cell_width, cell_height, back)
    end
    if run.text:find('%S') then
      local style = (run.look.bold and ' font-weight="bold"' or '') .. (run.look.italic and ' font-style="italic"' or '')
        .. (run.look.underline and ' text-decoration="underline"' or '') .. (run.look.dim and ' opacity="0.6"' or '')
      -- Leading spaces are left to the position: not every renderer keeps them.
      local lead = #run.text:match('^ *')
      local text = run.text:sub(lead + 1):gsub(' +$', '')
      local length = vim.fn.strdisplaywidth(text) * cell_width
      put('<text x="%.1f" y="%.1f" textLength="%.1f" fill="%s"%s>%s</text>',
        x + lead * cell_width, top + 13.5, length, front, style, escape(text))
    end
  end
end
put('</g>\n</svg>')
io.stdout:write(table.concat(out, '\n'), '\n')

-- Questions to the person: asked only when the person wants to answer.

local client = require('ralph.client')

local M = {}

local with_text = 'Answer with text…'

local function null(value)
  return value == nil or value == vim.NIL
end

local function ask_text(decision)
  vim.ui.input({ prompt = decision.question .. ' ' }, function(text)
    if text and text ~= '' then
      client.command('ralph/answer', { decision = decision.id, text = text })
    end
  end)
end

local function choose(decision)
  local choices = vim.list_extend({}, decision.options)
  table.insert(choices, { label = with_text, detail = '' })
  vim.ui.select(choices, {
    prompt = (null(decision.task) and '' or decision.task .. ': ') .. decision.question,
    kind = 'ralph.decision',
    format_item = function(choice)
      local text = choice.detail ~= '' and ('%s: %s'):format(choice.label, choice.detail) or choice.label
      return choice.label == decision.recommended and text .. ' (recommended)' or text
    end,
  }, function(choice)
    if not choice then
      return
    elseif choice.label == with_text and not vim.list_contains(decision.options, choice) then
      ask_text(decision)
    else
      client.command('ralph/answer', { decision = decision.id, option = choice.label })
    end
  end)
end

--- Asks the open question with this id, or the oldest one.
---@param id string?
function M.answer(id)
  client.request('ralph/status', {}, function(status)
    for _, decision in ipairs(status.decisions) do
      if not id or decision.id == id then
        return client.when_calm(function() choose(decision) end)
      end
    end
    client.notify(id and ('no open question has the id %s'):format(id) or 'no question is open')
  end)
end

return M

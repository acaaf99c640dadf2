-- KEYS: counters. ARGV: the channel; then for each counter the number it shall have at least, and what to publish if it
-- is raised. Answers for each with what it holds now and what was done: kept, raised, or replaced if no number was there.
-- Numbers are compared as text, the longer first, for Lua's own are exact only up to 2^53.
local answers = {}
for index, key in ipairs(KEYS) do
  local number, message = ARGV[2 * index], ARGV[2 * index + 1]
  local held = redis.pcall('GET', key)
  if type(held) == 'table' and not string.find(held.err, 'WRONGTYPE', 1, true) then
    return held
  end
  local is_number = type(held) == 'string' and #held <= 18 and (held == '0' or string.find(held, '^[1-9]%d*$'))
  if is_number and (#held > #number or (#held == #number and held >= number)) then
    answers[index] = {held, 'kept'}
  else
    redis.call('SET', key, number)
    redis.call('PUBLISH', ARGV[1], message)
    answers[index] = {number, (is_number or held == false) and 'raised' or 'replaced'}
  end
end
return answers

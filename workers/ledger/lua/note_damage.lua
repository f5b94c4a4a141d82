-- Note that a file of a result is damaged, once: no identical request gets that result any more.
local id, damaged, result = unpack(redis.call('HMGET', job, 'id', 'damaged', 'result'))
if not id then
  return 'missing'
end
damaged = damaged ~= '' and damaged
if damaged and string.find(',' .. damaged .. ',', ',' .. file .. ',', 1, true) then
  return 'known'
end
redis.call('HSET', job, 'damaged', damaged and damaged .. ',' .. file or file)
if redis.call('EXISTS', events) == 1 then
  event(events, channel, id, {type = 'damage', file = file})
end
if result and redis.call('GET', result) == id then
  redis.call('DEL', result)
end
return 'noted'

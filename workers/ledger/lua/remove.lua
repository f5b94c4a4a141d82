-- Take all that Redis holds of an upload or an ended job.
-- KEYS index, stored, record, ...; ARGV id
local index, stored, record = unpack(KEYS)
local entry, result = unpack(redis.call('HMGET', record, 'entry', 'result'))
if entry then
  redis.call('DEL', entry)
end
if result and redis.call('GET', result) == ARGV[1] then
  redis.call('DEL', result)
end
local removed = redis.call('DEL', unpack(KEYS, 3))
redis.call('ZREM', index, ARGV[1])
weigh(stored, ARGV[1], 0)
return removed > 0 and 'removed' or 'missing'

-- Take all that Redis holds of an upload or an ended job.
-- KEYS index, stored, record, ...; ARGV id
local index, stored = unpack(KEYS)
local removed = redis.call('DEL', unpack(KEYS, 3))
redis.call('ZREM', index, ARGV[1])
weigh(stored, ARGV[1], 0)
return removed > 0 and 'removed' or 'missing'

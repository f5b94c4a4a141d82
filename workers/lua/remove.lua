-- Take all that Redis holds of an ended job.
-- KEYS job, events, index; ARGV id
local job, events, index = unpack(KEYS)
local status = redis.call('HGET', job, 'status')
if not status then
  return 'missing'
end
assert(is_terminal(status), 'a live job is not removed')
redis.call('DEL', job, events)
redis.call('ZREM', index, ARGV[1])
return 'ok'

-- Record, message and first event in one step: no job exists that nobody will run.
-- KEYS job, queue, events, index; ARGV group, channel, id, owner, timeout_seconds, summary, spec
local job, queue, events, index = unpack(KEYS)
local group, channel, id, owner, timeout_seconds, summary, spec = unpack(ARGV)
if redis.call('EXISTS', job) == 1 then
  return 'exists'
end
local at = now()
local message = redis.call('XADD', queue, '*', 'job', id)
redis.call('HSET', job, 'schema', 1, 'id', id, 'owner', owner, 'status', 'queued', 'attempt', 0,
  'timeout_seconds', timeout_seconds, 'summary', summary, 'spec', spec, 'created_at', at,
  'message', message, 'token', '', 'progress', 0)
redis.call('ZADD', index, at, id)
event(events, channel, id, {type = 'status', status = 'queued', attempt = 0})
return 'created'

-- Record, message and first event in one step: no job exists that nobody will run.
-- KEYS job, queue, events, index, deadlines; ARGV group, channel, retention_ms, id, owner,
-- timeout_seconds, summary, spec, deadline_seconds or '', then further fields and their values
local job, queue, events, index, deadlines = unpack(KEYS)
local group, channel, retention_ms, id, owner, timeout_seconds, summary, spec, deadline_seconds =
  unpack(ARGV)
if redis.call('EXISTS', job) == 1 then
  return 'exists'
end
local at = now()
local message = redis.call('XADD', queue, '*', 'job', id)
redis.call('HSET', job, 'schema', 1, 'id', id, 'owner', owner, 'status', 'queued', 'attempt', 0,
  'timeout_seconds', timeout_seconds, 'summary', summary, 'spec', spec, 'created_at', at,
  'message', message, 'token', '', 'progress', 0, unpack(ARGV, 10))
if deadline_seconds ~= '' then
  local deadline_at = at + deadline_seconds * 1000
  redis.call('HSET', job, 'deadline_at', deadline_at)
  redis.call('ZADD', deadlines, deadline_at, id)
end
redis.call('ZADD', index, at, id)
event(events, channel, id, {type = 'status', status = 'queued', attempt = 0})
return 'created'

-- Record, message and first event in one step: no job exists that nobody will run.
-- KEYS job, queue, events, deadlines, index, live, stored; ARGV group, channel, retention_ms, id,
-- owner, timeout_seconds, summary, spec, deadline_seconds or '', bytes, jobs_max or '',
-- bytes_max or '', then further fields and their values
local job, queue, events, deadlines, index, live, stored = unpack(KEYS)
local group, channel, retention_ms, id, owner, timeout_seconds, summary, spec, deadline_seconds,
  bytes, jobs_max, bytes_max = unpack(ARGV)
if redis.call('EXISTS', job) == 1 then
  return 'exists'
end
if jobs_max ~= '' and redis.call('SCARD', live) >= tonumber(jobs_max) then
  return 'jobs'
end
if not has_room(stored, bytes, bytes_max) then
  return 'stored-bytes'
end
local at = now()
local message = redis.call('XADD', queue, '*', 'job', id)
redis.call('HSET', job, 'schema', 1, 'id', id, 'owner', owner, 'status', 'queued', 'attempt', 0,
  'timeout_seconds', timeout_seconds, 'summary', summary, 'spec', spec, 'created_at', at,
  'message', message, 'token', '', 'progress', 0, unpack(ARGV, 13))
if deadline_seconds ~= '' then
  local deadline_at = at + deadline_seconds * 1000
  redis.call('HSET', job, 'deadline_at', deadline_at)
  redis.call('ZADD', deadlines, deadline_at, id)
end
redis.call('ZADD', index, at, id)
redis.call('SADD', live, id)
weigh(stored, id, bytes)
event(events, channel, id, {type = 'status', status = 'queued', attempt = 0})
return 'created'

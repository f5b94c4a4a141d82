-- Create record, message and first event in one step, so that no job exists without its message.
-- With the manifest of an existing result the job succeeds at once.
if redis.call('EXISTS', job) == 1 then
  return 'exists'
end
if is_anothers(entry, nonce) then
  return 'taken'
end
if manifest == '' and jobs_max ~= '' and redis.call('SCARD', live) >= tonumber(jobs_max) then
  return 'jobs'
end
if not has_room(stored, bytes, bytes_max) then
  return no_room(stored)
end
local at = now()
redis.call('HSET', job, 'schema', 1, 'created_at', at, unpack(fields))
redis.call('ZADD', index, at, id)
weigh(stored, id, bytes)
event(events, channel, id, {type = 'status', status = 'queued', attempt = 0})
settle(entry, nonce, fingerprint, id)
if entry then
  redis.call('HSET', job, 'entry', entry)
end
if manifest ~= '' then
  conclude(job, queue, events, group, channel, retention_ms, id,
    {'status', 'succeeded', 'manifest', manifest, 'progress', 1},
    {type = 'status', status = 'succeeded', attempt = 0})
  remember_result(job, id, retention_ms)
  return 'created'
end
redis.call('HSET', job, 'message', redis.call('XADD', queue, '*', 'job', id))
redis.call('SADD', live, id)
note_uses('SADD', queue, job, id)
if deadline_seconds ~= '' then
  local deadline_at = at + deadline_seconds * 1000
  redis.call('HSET', job, 'deadline_at', deadline_at)
  redis.call('ZADD', deadlines, deadline_at, id)
end
return 'created'

-- Put a run back into the queue; its attempt is given back unless it counts.
local status, held, message, id, released =
  unpack(redis.call('HMGET', job, 'status', 'token', 'message', 'id', 'released_token'))
if released == token then
  return 'ok'
end
if status == 'cancelled' then
  return 'cancelled'
end
if status ~= 'running' or held ~= token then
  return 'lost'
end
drop_message(queue, group, message)
if counts == '0' then
  redis.call('HINCRBY', job, 'attempt', -1)
end
local fresh = redis.call('XADD', queue, '*', 'job', id)
redis.call('HSET', job, 'status', 'queued', 'token', '', 'released_token', token,
  'message', fresh, 'progress', 0, 'stage', '', 'loss', '')
redis.call('HDEL', job, 'started_at')
event(events, channel, id, {type = 'status', status = 'queued',
  attempt = tonumber(redis.call('HGET', job, 'attempt'))})
return 'ok'

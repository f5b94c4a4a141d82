-- Count the attempt and issue the run token, if the message is still ours.
if not is_mine(queue, group, consumer, message) then
  return 'lost'
end
local status, attempt, held, id, current, deadline_at =
  unpack(redis.call('HMGET', job, 'status', 'attempt', 'token', 'id', 'message', 'deadline_at'))
if not status or is_terminal(status) or current ~= message then
  drop_message(queue, group, message)
  return 'gone'
end
if held == token then
  return 'begun'
end
if deadline_at and tonumber(deadline_at) <= now() then
  miss_deadline(job, queue, events, group, channel, retention_ms, id, attempt)
  return 'late'
end
if tonumber(attempt) >= tonumber(attempts_max) then
  local problem = cjson.encode({
    code = 'worker_lost',
    message = 'the worker was lost in each of ' .. attempt .. ' attempts',
  })
  conclude(job, queue, events, group, channel, retention_ms, id,
    {'status', 'failed', 'error', problem},
    {type = 'status', status = 'failed', attempt = tonumber(attempt), code = 'worker_lost'})
  return 'exhausted'
end
attempt = redis.call('HINCRBY', job, 'attempt', 1)
redis.call('HSET', job, 'status', 'running', 'token', token, 'worker', consumer,
  'started_at', now(), 'progress', 0, 'stage', '', 'loss', '')
event(events, channel, id, {type = 'status', status = 'running', attempt = attempt})
notify(queue, job, id, retention_ms)
return 'begun'

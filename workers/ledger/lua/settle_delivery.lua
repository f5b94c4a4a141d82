-- Note how an attempt went, if the claim still holds.
if redis.call('HGET', delivery, 'token') ~= token then
  return 'lost'
end
redis.call('HSET', delivery, 'token', '', 'status', status, 'answer', answer, 'error', problem)
if status == 'pending' then
  local next_at = now() + pause_ms
  redis.call('HSET', delivery, 'next_at', next_at)
  redis.call('ZADD', due, next_at, id)
else
  redis.call('HSET', delivery, 'next_at', '', 'finished_at', now())
  redis.call('ZREM', due, id)
  redis.call('PEXPIRE', delivery, retention_ms)
end
return 'ok'

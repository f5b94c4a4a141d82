-- End a job at once, running or not; the first of cancel and finish wins.
local status, id, attempt = unpack(redis.call('HMGET', job, 'status', 'id', 'attempt'))
if not status then
  return 'missing'
end
if is_terminal(status) then
  return status
end
if is_anothers(entry, nonce) then
  return 'taken'
end
conclude(job, queue, events, group, channel, retention_ms, id, {'status', 'cancelled'},
  {type = 'status', status = 'cancelled', attempt = tonumber(attempt)})
settle(entry, nonce, fingerprint, id, retention_ms)
return 'ok'

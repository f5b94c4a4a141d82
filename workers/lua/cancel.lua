-- End a job at once, whoever is alive; the first of cancel and finish wins.
-- KEYS job, queue, events; ARGV group, channel, retention_ms
local job, queue, events = unpack(KEYS)
local group, channel, retention_ms = unpack(ARGV)
local status, id, attempt = unpack(redis.call('HMGET', job, 'status', 'id', 'attempt'))
if not status then
  return 'missing'
end
if is_terminal(status) then
  return status
end
conclude(job, queue, events, group, channel, retention_ms, id, {'status', 'cancelled'},
  {type = 'status', status = 'cancelled', attempt = tonumber(attempt)})
return 'ok'

-- End a job whose deadline has passed. A worker ends the job that it runs; it has patience_ms for
-- that. Of a job that has ended, or is gone, only the deadline is deleted.
local status, deadline_at, attempt =
  unpack(redis.call('HMGET', job, 'status', 'deadline_at', 'attempt'))
if status and not is_terminal(status) then
  local late_ms = now() - tonumber(deadline_at or '0')
  if late_ms < 0 or (status == 'running' and late_ms < tonumber(patience_ms)) then
    return 'live'
  end
  miss_deadline(job, queue, events, group, channel, retention_ms, id, attempt)
end
redis.call('ZREM', deadlines, id)
return 'ok'

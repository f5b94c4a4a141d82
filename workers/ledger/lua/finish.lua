-- Publish a run's result, if its token still holds; the same token gets the same answer again.
local current, held, finished, id, attempt, summary, started_at, owner =
  unpack(redis.call('HMGET', job, 'status', 'token', 'finished_token', 'id', 'attempt', 'summary',
    'started_at', 'owner'))
if finished == token then
  return 'ok'
end
if current == 'cancelled' then
  return 'cancelled'
end
if current ~= 'running' or held ~= token then
  return 'lost'
end
local fields = {'status', status, 'finished_token', token, field, value}
local body = {type = 'status', status = status, attempt = tonumber(attempt)}
if status == 'succeeded' then
  table.insert(fields, 'progress')
  table.insert(fields, 1)
  local took = named(queue, 'seconds', cjson.decode(summary).method or 'unknown')
  redis.call('LPUSH', took, now() - tonumber(started_at))
  redis.call('LTRIM', took, 0, 19)
  redis.call('PEXPIRE', took, retention_ms)
  local stored = named(queue, 'stored', owner)
  local bytes = tonumber(redis.call('HGET', stored, id) or 0)
  for _, file in pairs(cjson.decode(value).files or {}) do
    bytes = bytes + file.bytes
  end
  weigh(stored, id, bytes)
else
  body.code = code
end
conclude(job, queue, events, group, channel, retention_ms, id, fields, body)
if status == 'succeeded' then
  remember_result(job, id, retention_ms)
end
return 'ok'

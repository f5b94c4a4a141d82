-- Keep the message ours: its idle time starts again.
local status, held, message = unpack(redis.call('HMGET', job, 'status', 'token', 'message'))
if status == 'cancelled' then
  return 'cancelled'
end
if status ~= 'running' or held ~= token or not is_mine(queue, group, consumer, message) then
  return 'lost'
end
redis.call('XCLAIM', queue, group, consumer, 0, message, 'JUSTID')
return 'ok'

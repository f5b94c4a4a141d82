-- Note how far a run is; without a change (fraction '') only answer whether it is still wanted.
local status, held, id = unpack(redis.call('HMGET', job, 'status', 'token', 'id'))
if status == 'cancelled' then
  return 'cancelled'
end
if status ~= 'running' or held ~= token then
  return 'lost'
end
if fraction ~= '' then
  redis.call('HSET', job, 'progress', fraction, 'stage', stage, 'loss', loss)
  event(events, channel, id,
    {type = 'progress', progress = tonumber(fraction), stage = stage, loss = tonumber(loss)})
end
return 'ok'

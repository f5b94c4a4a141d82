-- Claim the delivery that is due the longest, and count the attempt; a claim ends with its lease.
-- Deliveries whose webhook is gone are deleted. Returns a JSON list of two flat lists, or ''.
local at = now()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', at, 'LIMIT', 0, 100)) do
  local delivery = prefix .. 'delivery:' .. id
  local name = redis.call('HGET', delivery, 'webhook')
  local webhook = name and redis.call('HGETALL', prefix .. 'webhook:' .. name) or {}
  if #webhook > 0 then
    redis.call('HSET', delivery, 'token', token, 'next_at', at + lease_ms)
    redis.call('HINCRBY', delivery, 'attempts', 1)
    redis.call('ZADD', due, at + lease_ms, id)
    return cjson.encode({redis.call('HGETALL', delivery), webhook})
  end
  redis.call('DEL', delivery)
  redis.call('ZREM', due, id)
end
return ''

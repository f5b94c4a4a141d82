-- Keep a webhook, if its owner has not too many.
if redis.call('EXISTS', webhook) == 1 then
  return 'kept'
end
if is_anothers(entry, nonce) then
  return 'taken'
end
if redis.call('ZCARD', webhooks) >= tonumber(webhooks_max) then
  return 'full'
end
redis.call('HSET', webhook, unpack(fields))
redis.call('ZADD', webhooks, created_at, id)
settle(entry, nonce, fingerprint, id, ttl_ms)
return 'kept'

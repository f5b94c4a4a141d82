-- Keep a webhook, if its owner has not too many.
-- KEYS webhooks, webhook, perhaps entry; ARGV id, created_at, webhooks_max, nonce, fingerprint,
-- ttl_ms, then its fields and their values
local webhooks, webhook, entry = unpack(KEYS)
local id, created_at, webhooks_max, nonce, fingerprint, ttl_ms = unpack(ARGV)
if redis.call('EXISTS', webhook) == 1 then
  return 'kept'
end
if is_anothers(entry, nonce) then
  return 'taken'
end
if redis.call('ZCARD', webhooks) >= tonumber(webhooks_max) then
  return 'full'
end
redis.call('HSET', webhook, unpack(ARGV, 7))
redis.call('ZADD', webhooks, created_at, id)
settle(entry, nonce, fingerprint, id, ttl_ms)
return 'kept'

-- Hold a taken idempotency key for longer (ttl_ms), or give it back (0); a made one stays.
local state, held = unpack(redis.call('HMGET', entry, 'state', 'nonce'))
if state ~= 'taken' or held ~= nonce then
  return 'lost'
end
redis.call('PEXPIRE', entry, ttl_ms)
return 'ok'

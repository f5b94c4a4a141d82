-- Hold a taken idempotency key for longer (ttl_ms), or give it back (0); a made one stays.
-- KEYS entry; ARGV nonce, ttl_ms
local entry = KEYS[1]
local nonce, ttl_ms = unpack(ARGV)
local state, held = unpack(redis.call('HMGET', entry, 'state', 'nonce'))
if state ~= 'taken' or held ~= nonce then
  return 'lost'
end
redis.call('PEXPIRE', entry, ttl_ms)
return 'ok'

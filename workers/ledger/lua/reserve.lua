-- Take an idempotency key for one request, or say what became of it.
local state, held = unpack(redis.call('HMGET', entry, 'state', 'nonce'))
if not state then
  redis.call('HSET', entry, 'state', 'taken', 'nonce', nonce)
  redis.call('PEXPIRE', entry, ttl_ms)
  return 'ours'
end
if state == 'taken' and held == nonce then
  return 'ours'
end
return state

-- Keep an upload, if its owner has room for it.
-- KEYS index, stored, record, perhaps entry; ARGV id, created_at, bytes, bytes_max or '', nonce,
-- fingerprint, ttl_ms, then its fields and their values
local index, stored, record, entry = unpack(KEYS)
local id, created_at, bytes, bytes_max, nonce, fingerprint, ttl_ms = unpack(ARGV)
if redis.call('EXISTS', record) == 1 then
  return 'exists'
end
if is_anothers(entry, nonce) then
  return 'taken'
end
if not has_room(stored, bytes, bytes_max) then
  return no_room(stored)
end
redis.call('HSET', record, unpack(ARGV, 8))
redis.call('ZADD', index, created_at, id)
weigh(stored, id, bytes)
settle(entry, nonce, fingerprint, id, ttl_ms)
return 'kept'

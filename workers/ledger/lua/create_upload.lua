-- Keep an upload, if its owner has room for it.
if redis.call('EXISTS', record) == 1 then
  return 'exists'
end
if is_anothers(entry, nonce) then
  return 'taken'
end
if not has_room(stored, bytes, bytes_max) then
  return no_room(stored)
end
redis.call('HSET', record, unpack(fields))
redis.call('ZADD', index, created_at, id)
weigh(stored, id, bytes)
settle(entry, nonce, fingerprint, id, ttl_ms)
return 'kept'

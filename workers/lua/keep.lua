-- Keep an upload, if its owner has room for it.
-- KEYS index, stored, record; ARGV id, created_at, bytes, bytes_max, field, value, ...
local index, stored, record = unpack(KEYS)
local id, created_at, bytes, bytes_max = unpack(ARGV)
if not has_room(stored, bytes, bytes_max) then
  return 'stored-bytes'
end
redis.call('HSET', record, unpack(ARGV, 5))
redis.call('ZADD', index, created_at, id)
weigh(stored, id, bytes)
return 'kept'

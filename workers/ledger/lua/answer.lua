-- Note what was answered, under an idempotency key that has made this object.
-- KEYS entry; ARGV id, answer
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return 'lost'
end
redis.call('HSET', KEYS[1], 'answer', ARGV[2])
return 'ok'

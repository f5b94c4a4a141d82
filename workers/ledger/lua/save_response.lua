-- Store the response under an idempotency key that has created this object.
if redis.call('HGET', entry, 'id') ~= id then
  return 'lost'
end
redis.call('HSET', entry, 'answer', response)
return 'ok'

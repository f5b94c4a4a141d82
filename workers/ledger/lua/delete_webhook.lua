-- Take a webhook and its deliveries away, made or not.
for _, delivery in ipairs(redis.call('ZRANGE', sent, 0, -1)) do
  redis.call('DEL', prefix .. 'delivery:' .. delivery)
  redis.call('ZREM', due, delivery)
end
redis.call('DEL', webhook, sent)
redis.call('ZREM', webhooks, id)
return 'ok'

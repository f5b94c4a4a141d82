-- Delete an ended job with its events, its deadline and its webhook deliveries.
redis.call('ZREM', deadlines, id)
local deliveries = redis.call('HGET', job, 'deliveries') or ''
for delivery in string.gmatch(deliveries, '[^,]+') do
  local record = named(queue, 'delivery', delivery)
  redis.call('ZREM', named(queue, 'sent', redis.call('HGET', record, 'webhook') or ''), delivery)
  redis.call('ZREM', string.sub(queue, 1, -6) .. 'due', delivery)
  redis.call('DEL', record)
end
redis.call('DEL', events)
return delete_record(index, stored, job, id)

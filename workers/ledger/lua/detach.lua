-- Take what stands elsewhere about an ended job: its deadline, and what was to be told of it.
-- KEYS queue, job, deadlines; ARGV id
local queue, job, deadlines = unpack(KEYS)
redis.call('ZREM', deadlines, ARGV[1])
local told = redis.call('HGET', job, 'deliveries') or ''
for delivery in string.gmatch(told, '[^,]+') do
  local record = named(queue, 'delivery', delivery)
  redis.call('ZREM', named(queue, 'sent', redis.call('HGET', record, 'webhook') or ''), delivery)
  redis.call('ZREM', string.sub(queue, 1, -6) .. 'due', delivery)
  redis.call('DEL', record)
end
return 'ok'

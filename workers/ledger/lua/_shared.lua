-- Prepended to every script, before the locals that its Python class names. Times are the
-- server's, in milliseconds.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function is_terminal(status)
  return status == 'succeeded' or status == 'failed' or status == 'cancelled'
end

-- The queue's name is the prefix and one word.
local function named(queue, kind, owner)
  return string.sub(queue, 1, -6) .. kind .. ':' .. owner
end

-- Set an object's bytes in its owner's sum of bytes stored, the field `total`.
local function weigh(stored, id, bytes)
  local before = tonumber(redis.call('HGET', stored, id) or 0)
  if tonumber(bytes) == 0 then
    redis.call('HDEL', stored, id)
  else
    redis.call('HSET', stored, id, bytes)
  end
  if redis.call('HINCRBY', stored, 'total', bytes - before) <= 0 then
    redis.call('DEL', stored)
  end
end

-- Without a limit ('') there is always room.
local function has_room(stored, bytes, bytes_max)
  local held = tonumber(redis.call('HGET', stored, 'total') or 0)
  return bytes_max == '' or held + bytes <= tonumber(bytes_max)
end

-- The answer where there is no room: the limit's name, and the owner's bytes stored.
local function no_room(stored)
  return 'stored-bytes ' .. (redis.call('HGET', stored, 'total') or '0')
end

-- The stream is the truth; the message on the channel only tells readers to look.
local function event(key, channel, id, body)
  body.job = id
  body.at = now()
  redis.call('XADD', key, 'MAXLEN', 20000, '*', 'data', cjson.encode(body))
  redis.call('PUBLISH', channel, id)
end

local function drop_message(queue, group, message)
  if message and message ~= '' then
    redis.call('XACK', queue, group, message)
    redis.call('XDEL', queue, message)
  end
end

-- Pending for this consumer: no other has claimed the message.
local function is_mine(queue, group, consumer, message)
  local pending = redis.call('XPENDING', queue, group, message, message, 1)
  return #pending == 1 and pending[1][2] == consumer
end

-- Whether the entry of an idempotency key (nil without one) has expired and been reserved by another
-- request since.
local function is_anothers(entry, nonce)
  local held = entry and redis.call('HGET', entry, 'nonce')
  return held and held ~= nonce
end

-- Note under an idempotency key what its request has created, in the step that creates it.
local function settle(entry, nonce, fingerprint, id, ttl_ms)
  if not entry then
    return
  end
  redis.call('HSET', entry, 'state', 'made', 'nonce', nonce, 'fingerprint', fingerprint, 'id', id)
  if ttl_ms then
    redis.call('PEXPIRE', entry, ttl_ms)
  else
    redis.call('PERSIST', entry)
  end
end

-- Delete a record, its idempotency and result entries, its place in its owner's list and quota.
local function delete_record(index, stored, record, id)
  local entry, result = unpack(redis.call('HMGET', record, 'entry', 'result'))
  if entry then
    redis.call('DEL', entry)
  end
  if result and redis.call('GET', result) == id then
    redis.call('DEL', result)
  end
  local removed = redis.call('DEL', record)
  redis.call('ZREM', index, id)
  weigh(stored, id, 0)
  return removed > 0 and 'removed' or 'missing'
end

-- An identical request is answered by this job's result, as long as it is there.
local function remember_result(job, id, retention_ms)
  local result = redis.call('HGET', job, 'result')
  if result then
    redis.call('SET', result, id, 'PX', retention_ms)
  end
end

-- Queue deliveries of a job's current state to those of the owner's webhooks that want them.
local function notify(queue, job, id, retention_ms)
  local owner, status, attempt, problem, metadata = unpack(redis.call('HMGET', job,
    'owner', 'status', 'attempt', 'error', 'metadata'))
  local kind = 'injection.' .. status
  for _, webhook in ipairs(redis.call('ZRANGE', named(queue, 'webhooks', owner), 0, -1)) do
    local wanted = redis.call('HGET', named(queue, 'webhook', webhook), 'events') or ''
    if string.find(wanted, '"' .. kind .. '"', 1, true) then
      -- In microseconds two transitions of one job are told apart, and keep their order.
      local at, t = now(), redis.call('TIME')
      local exactly = t[1] * 1000000 + t[2]
      local mixed = webhook .. id .. kind .. string.format('%.0f', exactly)
      local delivery = 'msg_' .. string.sub(redis.sha1hex(mixed), 1, 24)
      redis.call('HSET', named(queue, 'delivery', delivery), 'id', delivery, 'webhook', webhook,
        'type', kind, 'job', id, 'job_status', status, 'job_attempt', attempt,
        'job_error', problem or '', 'metadata', metadata or '', 'created_at', at,
        'status', 'pending', 'next_at', at)
      redis.call('ZADD', string.sub(queue, 1, -6) .. 'due', at, delivery)
      local sent = named(queue, 'sent', webhook)
      redis.call('ZADD', sent, exactly, delivery)
      redis.call('ZREMRANGEBYRANK', sent, 0, -1001)
      -- Longer than any delivery waits for its last attempt.
      redis.call('PEXPIRE', sent, retention_ms + 30 * 86400000)
      local listed = redis.call('HGET', job, 'deliveries')
      redis.call('HSET', job, 'deliveries', listed and listed .. ',' .. delivery or delivery)
    end
  end
end

-- Note for each upload that a live job needs (`uses`, by commas) that this job does, or no longer.
local function note_uses(command, queue, job, id)
  for upload in string.gmatch(redis.call('HGET', job, 'uses') or '', '[^,]+') do
    redis.call(command, named(queue, 'used', upload), id)
  end
end

-- The one way a job ends: record, message, event and expiry together.
local function conclude(job, queue, events, group, channel, retention_ms, id, fields, body)
  local message = redis.call('HGET', job, 'message')
  local at = now()
  redis.call('HSET', job, 'finished_at', at, 'expires_at', at + retention_ms, 'token', '',
    unpack(fields))
  drop_message(queue, group, message)
  redis.call('SREM', named(queue, 'live', redis.call('HGET', job, 'owner')), id)
  note_uses('SREM', queue, job, id)
  event(events, channel, id, body)
  notify(queue, job, id, retention_ms)
  redis.call('PEXPIRE', job, retention_ms)
  redis.call('PEXPIRE', events, retention_ms)
  local entry = redis.call('HGET', job, 'entry')
  if entry then
    redis.call('PEXPIRE', entry, retention_ms)
  end
end

local function miss_deadline(job, queue, events, group, channel, retention_ms, id, attempt)
  local problem = cjson.encode({code = 'deadline', message = 'the job did not end by its deadline'})
  conclude(job, queue, events, group, channel, retention_ms, id,
    {'status', 'failed', 'error', problem},
    {type = 'status', status = 'failed', attempt = tonumber(attempt), code = 'deadline'})
end

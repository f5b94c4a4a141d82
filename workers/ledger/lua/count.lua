-- Count a request in the running window; beyond the limit it is told, not counted.
-- KEYS requests; ARGV limit, window_ms
local requests, limit, window_ms = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local used = tonumber(redis.call('GET', requests) or 0) + 1
if used == 1 then
  redis.call('SET', requests, 1, 'PX', window_ms)
elseif used <= limit then
  redis.call('INCR', requests)
end
return used .. ' ' .. redis.call('PTTL', requests)

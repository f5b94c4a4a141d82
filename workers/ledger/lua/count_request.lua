-- Count a request in the running window. One beyond the limit is not counted.
local used = tonumber(redis.call('GET', requests) or 0) + 1
if used == 1 then
  redis.call('SET', requests, 1, 'PX', window_ms)
elseif used <= tonumber(limit) then
  redis.call('INCR', requests)
end
return used .. ' ' .. redis.call('PTTL', requests)

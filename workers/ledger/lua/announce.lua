-- A worker says that it lives and what it has.
-- KEYS workers, worker; ARGV name, description, ttl_ms
redis.call('ZADD', KEYS[1], now(), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now() - tonumber(ARGV[3]))
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 'ok'

-- A worker says that it lives and what it has.
redis.call('ZADD', workers, now(), name)
redis.call('ZREMRANGEBYSCORE', workers, '-inf', now() - tonumber(ttl_ms))
redis.call('SET', worker, presence, 'PX', ttl_ms)
return 'ok'

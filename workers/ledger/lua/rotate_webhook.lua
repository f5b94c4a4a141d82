-- Put a new secret first; those before it go on signing for the overlap, if they still do.
local text = redis.call('HGET', webhook, 'secrets')
if not text then
  return 'missing'
end
if is_anothers(entry, nonce) then
  return 'taken'
end
local at = now()
local until_then = at + tonumber(overlap_ms)
local secrets = {{secret = secret, ['until'] = 0}}
for _, old in ipairs(cjson.decode(text)) do
  local ends = old['until']
  if ends == 0 or ends > until_then then
    ends = until_then
  end
  if ends > at then
    table.insert(secrets, {secret = old.secret, ['until'] = ends})
  end
end
redis.call('HSET', webhook, 'secrets', cjson.encode(secrets))
settle(entry, nonce, fingerprint, id, ttl_ms)
return 'rotated'

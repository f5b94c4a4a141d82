-- Delete an upload's record and its entries elsewhere, unless a live job needs it.
if redis.call('EXISTS', used) == 1 then
  return 'used'
end
return delete_record(index, stored, record, id)

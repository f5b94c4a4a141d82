-- Delete an upload's record and its entries elsewhere.
return delete_record(index, stored, record, id)

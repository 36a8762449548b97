-- requeue: have tickets wait for what they want by the inventory as it is now.
--
-- ARGV   id, wants, how many devices match any; at most 16 tickets
-- reply  report of 'requeued'
for i = 1, #ARGV, 3 do
  local id, wants, matching = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local f = redis.call('HMGET', LEASE .. id, 'state', 'wants', 'matching')
  local order = redis.call('ZSCORE', QUEUE, id)
  if f[1] == 'pending' and order and (f[2] ~= wants or f[3] ~= matching) then
    theLine().leaveQueues(id, f[2])
    redis.call('HSET', LEASE .. id, 'wants', wants, 'matching', matching)
    theLine().joinQueues(id, wants, order)
    freed = true
  end
end
serve()
return report('requeued')

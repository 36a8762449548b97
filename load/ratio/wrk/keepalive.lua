-- Keeps leases alive, one after the other; each thread has its share of them. Requests are put together when they are sent, so that
-- a run with many leases does not begin with more work than one with few.
-- Arguments: a file with a lease a line, "id token"; how many threads there are.
local ids, tokens, last = {}, {}, 0
local header

function init(args)
  local line, threads = 0, tonumber(args[2])
  for lease in io.lines(args[1]) do
    if line % threads == index then
      ids[#ids + 1], tokens[#tokens + 1] = lease:match('^(%S+) (%S+)$')
    end
    line = line + 1
  end
  header = '/keepalive HTTP/1.1\r\nHost: ' .. wrk.headers['Host'] .. '\r\nLease-Token: '
end

function request()
  last = last % #ids + 1
  return 'POST /v1/leases/' .. ids[last] .. header .. tokens[last] .. '\r\n\r\n'
end

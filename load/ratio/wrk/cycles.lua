-- Leases any device, and releases it: whichever connection is next releases what an answer brought before it leases another, so
-- that at most one lease a connection is held. wrk does not tell on which connection an answer came.
-- Arguments: a random prefix of the tokens.
unexpected = 0
local held, made = {}, 0
local allocate, release, prefix

function init(args)
  local host = ' HTTP/1.1\r\nHost: ' .. wrk.headers['Host'] .. '\r\nLease-Token: '
  allocate, release, prefix = 'POST /v1/leases' .. host, host, args[1] .. '.' .. index .. '.'
end

function request()
  local next = table.remove(held)
  if next then
    return next
  end
  made = made + 1
  return allocate .. prefix .. made .. '\r\n\r\n'
end

function response(status, _, body)
  if status == 201 then
    held[#held + 1] = 'DELETE /v1/leases/' .. body:match('"id":"([^"]+)"') .. release .. body:match('"token":"([^"]+)"') .. '\r\n\r\n'
  elseif status ~= 204 then
    unexpected = unexpected + 1
  end
end

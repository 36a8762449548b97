-- Asks for any device where none is free.
-- Arguments: a random prefix of the tokens.
unexpected = 0
local made = 0
local allocate

function init(args)
  allocate = 'POST /v1/leases HTTP/1.1\r\nHost: ' .. wrk.headers['Host'] .. '\r\nLease-Token: ' .. args[1] .. '.' .. index .. '.'
end

function request()
  made = made + 1
  return allocate .. made .. '\r\n\r\n'
end

function response(status)
  if status ~= 429 then
    unexpected = unexpected + 1
  end
end

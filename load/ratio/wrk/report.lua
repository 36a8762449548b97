-- Put before the other scripts: numbers the threads, and prints what was measured as a line of JSON, with latencies in
-- microseconds. unexpected counts answers other than the wanted ones: where a script has no such count, errors.
local threads = {}

function setup(thread)
  thread:set('index', #threads)
  threads[#threads + 1] = thread
end

function done(summary, latency)
  local errors = summary.errors
  local unexpected = errors.status
  if threads[1]:get('unexpected') then
    unexpected = 0
    for _, thread in ipairs(threads) do
      unexpected = unexpected + thread:get('unexpected')
    end
  end
  io.write(string.format('measured {"requests":%d,"us":%d,"p50_us":%d,"p99_us":%d,"unexpected":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), unexpected,
    errors.connect + errors.read + errors.write + errors.timeout))
end

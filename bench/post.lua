-- wrk: POST one body over and over; at the end print one line of JSON for harness/load.py.
-- Arguments after "--": the file with the body, then headers ("Name: value"). A "*" in a header's value stands for a number that
-- rises with each request of a thread.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.body = file:read("*a")
  file:close()
  wrk.method = "POST"
  local varied = false
  for position = 2, #arguments do
    local name, value = arguments[position]:match("^(.-): (.*)$")
    varied = varied or value:find("*", 1, true) ~= nil
    wrk.headers[name] = value
  end
  if varied then
    vary()
  end
end

-- Formatting a request anew for each would cost the client more than the server; so only the number is put in.
function vary()
  local before, after = wrk.format():match("^(.-)%*(.*)$")
  local count = 0
  request = function()
    count = count + 1
    return before .. string.format("%d-%010d", number, count) .. after
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"p999_us":%d,"max_us":%d,"refused":%d,"broken":%d}\n',
    summary.requests - errors.status, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    latency:percentile(99.9), latency.max, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

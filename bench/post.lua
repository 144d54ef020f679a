-- wrk: POST one 300-byte JSON body with Basic credentials; at the end print one line of JSON for bench/run.
-- Arguments after "--": user:password in base64.

local body = [[{"name":"Benchmark event","type":"Bench","occurred":"2026-02-11T09:05:00Z","rawJson":{"host":"web-07","source":"203.0.113.9","rule":"too many failed sign-ins","count":42,"score":0.87,"tags":["auth","brute-force"],"url":"https://intranet.example/login","note":"%s"}}]]
body = body:format(("x"):rep(300 - #body + 2))

function init(arguments)
  wrk.method = "POST"
  wrk.body = body
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Basic " .. arguments[1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"max_us":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

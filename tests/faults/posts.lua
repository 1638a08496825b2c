-- wrk: each request is a POST with a number of its own. Threads are told apart by a counter set up before they run.
local threads = 0

function setup(thread)
  thread:set("thread_id", threads)
  threads = threads + 1
end

function init(args)
  sent = 0
  cookie = args[1]
end

function request()
  sent = sent + 1
  local headers = { ["Cookie"] = cookie, ["Content-Type"] = "text/plain" }
  return wrk.format("POST", "/pay", headers, thread_id .. ":" .. sent)
end

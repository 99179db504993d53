-- outputs.lua: a queued job waits no longer for the outputs of an attempt: they have arrived, or nobody waits for them any more.
--
-- KEYS  none
-- ARGV  1 job   2 attempt   3 now
-- Returns {event id}, or {""} when the job does not wait for these
-- Touches labq:job:<id> labq:events
local key = "labq:job:" .. ARGV[1]
if redis.call("HGET", key, "outputs_due") ~= ARGV[2] then return {""} end
redis.call("HDEL", key, "outputs_due")
-- It waits for GPUs from now on, and for nothing else: how long it waits is counted from here (policy/bound.py).
local set = "{}"
if tonumber(redis.call("HGET", key, "not_before") or "0") < tonumber(ARGV[3]) then
  redis.call("HSET", key, "not_before", ARGV[3])
  set = cjson.encode({not_before = ARGV[3]})
end
local event = redis.call("XADD", "labq:events", "MAXLEN", "~", MAX_EVENTS, "*", "type", "outputs", "at", ARGV[3],
  "id", ARGV[1], "owner", redis.call("HGET", key, "owner"), "set", set, "drop", '["outputs_due"]')
return {event}

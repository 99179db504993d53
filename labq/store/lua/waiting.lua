-- waiting.lua: tell that a job waits for something that its owner can do something about, once.
--
-- KEYS  none
-- ARGV  1 job   2 now   3 owner   4 why, a clause
-- Returns {"1"} when it was told now, {"0"} when it was told before, or when the job waits no more
-- Touches labq:told:waiting:<job> labq:job:<id> labq:events
if redis.call("HGET", "labq:job:" .. ARGV[1], "state") ~= "queued" then return {"0"} end
if not redis.call("SET", "labq:told:waiting:" .. ARGV[1], "1", "NX", "EX", 604800) then return {"0"} end
redis.call("XADD", "labq:events", "MAXLEN", "~", MAX_EVENTS, "*", "type", "waiting", "at", ARGV[2],
  "id", ARGV[1], "owner", ARGV[3], "why", ARGV[4])
return {"1"}

-- drain.lua: stop or resume placing jobs on a node, only where the drain is what the caller thinks it is.
--
-- KEYS  none
-- ARGV  1 node   2 the drain's reason that must hold now, "" = none   3 the new one, "" = takes work   4 now
-- Returns {"1"} when it was changed, else {"0"}
-- Touches labq:node:<name> labq:events
local key = "labq:node:" .. ARGV[1]
if redis.call("HEXISTS", key, "body") == 0 or (redis.call("HGET", key, "drained") or "") ~= ARGV[2] then
  return {"0"}
end
redis.call("HSET", key, "drained", ARGV[3])
redis.call("XADD", "labq:events", "MAXLEN", "~", MAX_EVENTS, "*", "type", "node", "at", ARGV[4], "node", ARGV[1],
  "what", ARGV[3] == "" and "resumed" or "drained", "reason", ARGV[3])
return {"1"}

-- idle.lua: note that the owner of an idle job is told, with the event that tells, once.
--
-- KEYS  none
-- ARGV  1 job   2 attempt   3 stage   4 now   5 owner   6 node   7 seconds idle   8 when it will be ended, or ""
--       9 "1" = tell it also when it was told before
-- Returns {"1"} when it was told now, {"0"} when it was told before
-- Touches labq:idle:<job> labq:events
local key = "labq:idle:" .. ARGV[1]
local before = redis.call("GET", key)
if before and ARGV[9] ~= "1" then
  local told = cjson.decode(before)
  if told[1] == tonumber(ARGV[2]) and told[2] >= tonumber(ARGV[3]) then return {"0"} end
end
redis.call("SET", key, "[" .. ARGV[2] .. "," .. ARGV[3] .. "," .. ARGV[4] .. "]", "EX", 604800)
redis.call("XADD", "labq:events", "MAXLEN", "~", MAX_EVENTS, "*", "type", "idle", "at", ARGV[4], "id", ARGV[1],
  "owner", ARGV[5], "attempt", ARGV[2], "stage", ARGV[3], "node", ARGV[6], "seconds", ARGV[7], "ends_at", ARGV[8])
return {"1"}

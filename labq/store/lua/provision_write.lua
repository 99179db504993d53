-- provision_write.lua: write the record of a run of the provisioner, if it still is in the state its writer believes.
--
-- KEYS  none
-- ARGV  1 id   2 state it must be in   3 state it gets   4 body (JSON)   5 seconds it is kept, 0 = for ever
-- Returns the state that it is in now ("" = there is no such run)
-- Touches labq:provision:run:<id> labq:provision:events:<id>
local key = "labq:provision:run:" .. ARGV[1]
local state = redis.call("HGET", key, "state") or ""
if state ~= ARGV[2] then
  return state
end
redis.call("HSET", key, "state", ARGV[3], "body", ARGV[4])
if tonumber(ARGV[5]) > 0 then
  redis.call("EXPIRE", key, ARGV[5])
  redis.call("EXPIRE", "labq:provision:events:" .. ARGV[1], ARGV[5])
end
return ARGV[3]

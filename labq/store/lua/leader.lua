-- leader.lua: take or keep the leader's lease of the deciding loop.
--
-- KEYS  none
-- ARGV  1 token of the candidate   2 milliseconds of the lease
-- Returns the fencing number when the candidate leads, 0 when another does.
-- Touches labq:leader labq:leader:fence
local holder = redis.call("GET", "labq:leader")
if holder == ARGV[1] then
  redis.call("PEXPIRE", "labq:leader", ARGV[2])
  return tonumber(redis.call("GET", "labq:leader:fence"))
end
if holder then return 0 end
redis.call("SET", "labq:leader", ARGV[1], "PX", ARGV[2])
return redis.call("INCR", "labq:leader:fence")

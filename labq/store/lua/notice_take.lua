-- notice_take.lua: take a lane, so that nobody else sends from it; a lane of a process that is gone may be taken.
--
-- KEYS  none
-- ARGV  1 lane   2 token of the process   3 milliseconds that the process counts as alive from now on
-- Returns 1 when it is ours, 0 when another living process has it
-- Touches labq:notices:lock:<lane> labq:notices:process:<token>
local lock = "labq:notices:lock:" .. ARGV[1]
local holder = redis.call("GET", lock)
if holder and holder ~= ARGV[2] and redis.call("EXISTS", "labq:notices:process:" .. holder) == 1 then return 0 end
redis.call("SET", "labq:notices:process:" .. ARGV[2], "1", "PX", ARGV[3])
redis.call("SET", lock, ARGV[2])
return 1

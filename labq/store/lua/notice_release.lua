-- notice_release.lua: let go of a lane, so that any process may work it; nothing when it is another's by now.
--
-- KEYS  none
-- ARGV  1 lane   2 token of the process
-- Returns 1 when it was ours, else 0
-- Touches labq:notices:lock:<lane>
local lock = "labq:notices:lock:" .. ARGV[1]
if redis.call("GET", lock) ~= ARGV[2] then return 0 end
return redis.call("DEL", lock)

-- notice_retry.lua: put a dead letter back, behind whatever its person is still to be told.
--
-- KEYS  none
-- ARGV  1 notice id   2 now
-- Returns 1, or 0 when there is no such dead letter
-- Touches labq:notices:dead labq:notice:<id> labq:notice:<id>:items labq:notices:lane:<lane> labq:notices:lanes
if redis.call("ZREM", "labq:notices:dead", ARGV[1]) == 0 then return 0 end
local key = "labq:notice:" .. ARGV[1]
local lane = redis.call("HGET", key, "lane")
if not lane then return 0 end
redis.call("PERSIST", key)
redis.call("PERSIST", key .. ":items")
-- "unsure" is kept: whoever sends it looks first whether it is there already.
redis.call("HSET", key, "state", "made", "since", ARGV[2], "tries", "0", "first_try", "0", "error", "", "not_before", "0")
redis.call("RPUSH", "labq:notices:lane:" .. lane, ARGV[1])
redis.call("ZADD", "labq:notices:lanes", ARGV[2], lane)
return 1

-- notice_due.lua: release what was held until now, and say which lanes are to be worked.
--
-- KEYS  none
-- ARGV  1 now   2 seconds until a lane is named again, should nothing come of it   3 seconds that dead letters are kept
-- Returns ids of the first notices of the lanes that are due, at most 100
-- Touches labq:notices:dead labq:notices:held labq:notices:lane:<lane> labq:notices:lanes labq:notice:<id>
redis.call("ZREMRANGEBYSCORE", "labq:notices:dead", "-inf", tonumber(ARGV[1]) - tonumber(ARGV[3]))
for _, id in ipairs(redis.call("ZRANGEBYSCORE", "labq:notices:held", "-inf", ARGV[1], "LIMIT", 0, 100)) do
  redis.call("ZREM", "labq:notices:held", id)
  local lane = redis.call("HGET", "labq:notice:" .. id, "lane")
  if lane then
    redis.call("HSET", "labq:notice:" .. id, "since", ARGV[1])
    redis.call("RPUSH", "labq:notices:lane:" .. lane, id)
    redis.call("ZADD", "labq:notices:lanes", "NX", 0, lane)
  end
end
local found = {}
for _, lane in ipairs(redis.call("ZRANGEBYSCORE", "labq:notices:lanes", "-inf", ARGV[1], "LIMIT", 0, 100)) do
  local id = redis.call("LINDEX", "labq:notices:lane:" .. lane, 0)
  if id then
    redis.call("ZADD", "labq:notices:lanes", tonumber(ARGV[1]) + tonumber(ARGV[2]), lane)
    found[#found + 1] = id
  else
    redis.call("ZREM", "labq:notices:lanes", lane)
  end
end
return found

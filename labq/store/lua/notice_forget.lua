-- notice_forget.lua: forget a person: what they want to be told, and all that they were still to be told.
--
-- KEYS  none
-- ARGV  1 user
-- Returns number of notices that are gone
-- Touches labq:notify labq:notices:lane:<user> labq:notices:lanes labq:notices:held labq:notices:dead
--         labq:notices:test:<user> labq:notice:<id> labq:notice:<id>:items
local list, gone = "labq:notices:lane:" .. ARGV[1], 0
local function forget(id)
  gone = gone + redis.call("DEL", "labq:notice:" .. id)
  redis.call("DEL", "labq:notice:" .. id .. ":items")
end
for _, id in ipairs(redis.call("LRANGE", list, 0, -1)) do forget(id) end
for _, set in ipairs({"labq:notices:held", "labq:notices:dead"}) do
  for _, id in ipairs(redis.call("ZRANGE", set, 0, -1)) do
    if redis.call("HGET", "labq:notice:" .. id, "lane") == ARGV[1] then
      redis.call("ZREM", set, id)
      forget(id)
    end
  end
end
redis.call("DEL", list, "labq:notices:test:" .. ARGV[1])
redis.call("ZREM", "labq:notices:lanes", ARGV[1])
redis.call("HDEL", "labq:notify", ARGV[1])
return gone

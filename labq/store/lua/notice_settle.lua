-- notice_settle.lua: write what became of the first notice of a lane; nothing when the lane is another's by now.
--
-- KEYS  none
-- ARGV  1 lane   2 token of the process   3 notice id   4 new state (made, sending, sent, dead)
--       5 JSON object of fields to set   6 when the lane is to be worked next   7 seconds that it is kept
--       8 most dead letters that are kept   9 now
-- Returns 1, or 0 when the lane is not ours any more or the notice is not in it
-- Touches labq:notices:lock:<lane> labq:notices:lane:<lane> labq:notices:lanes labq:notice:<id>
--         labq:notice:<id>:items labq:notices:dead labq:notices:counts
local lane, id, state = ARGV[1], ARGV[3], ARGV[4]
if redis.call("GET", "labq:notices:lock:" .. lane) ~= ARGV[2] then return 0 end
local list, key = "labq:notices:lane:" .. lane, "labq:notice:" .. id
if redis.call("LINDEX", list, 0) ~= id then return 0 end
local flat = {"state", state}
for name, value in pairs(cjson.decode(ARGV[5])) do
  flat[#flat + 1] = name
  flat[#flat + 1] = tostring(value)
end
redis.call("HSET", key, unpack(flat))
if state == "sent" or state == "dead" then
  redis.call("LPOP", list)
  redis.call("HINCRBY", "labq:notices:counts", redis.call("HGET", key, "kind") .. " " .. state, 1)
end
if state == "sent" or state == "dead" then
  redis.call("EXPIRE", key, ARGV[7])
  redis.call("EXPIRE", key .. ":items", ARGV[7])
end
-- Of a test only its person wants to know: it is no dead letter.
if state == "dead" and redis.call("HGET", key, "kind") ~= "test" then
  redis.call("ZADD", "labq:notices:dead", ARGV[9], id)
  for _, old in ipairs(redis.call("ZRANGE", "labq:notices:dead", 0, -1 - tonumber(ARGV[8]))) do
    redis.call("ZREM", "labq:notices:dead", old)
    redis.call("DEL", "labq:notice:" .. old, "labq:notice:" .. old .. ":items")
  end
end
if redis.call("EXISTS", list) == 1 then
  redis.call("ZADD", "labq:notices:lanes", ARGV[6], lane)
else
  redis.call("ZREM", "labq:notices:lanes", lane)
end
return 1

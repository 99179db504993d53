-- beat.lua: note that a node is there, by Redis' clock: nodes' own clocks differ.
--
-- KEYS  none
-- ARGV  1 node   2 JSON object of fields to set   3 "register" = the node is made known (with an event), "" = it must be known
--       4 now (of the event)
-- Returns {"1" when it may have work else "0"}; {"0"} and nothing is written when the node is not known
-- Touches labq:node:<name> labq:nodes labq:events
local name, key = ARGV[1], "labq:node:" .. ARGV[1]
if ARGV[3] == "" and redis.call("HEXISTS", key, "body") == 0 then return {"0"} end
local time = redis.call("TIME")
redis.call("HSET", key, "heartbeat", string.format("%s.%06d", time[1], time[2]))
for field, value in pairs(cjson.decode(ARGV[2])) do redis.call("HSET", key, field, value) end
if ARGV[3] ~= "" then
  redis.call("SADD", "labq:nodes", name)
  redis.call("XADD", "labq:events", "MAXLEN", "~", MAX_EVENTS, "*", "type", "node", "at", ARGV[4],
    "node", name, "what", "registered", "reason", "")
end
return {redis.call("HGET", key, "alive") == "1" and "1" or "0"}

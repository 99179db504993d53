-- notice_make.lua: make notices and move the notifier's cursor on, in one step: none is lost, none is made twice.
--
-- KEYS  none
-- ARGV  1 cursor as it was read, "" = none is moved   2 new cursor   3 now   4 seconds that notices are kept
--       5 JSON list of {id, lane, kind, item, gather, due, window}: gather "" = to be sent at once, else the name of
--         what it is gathered with; due > 0 = held until then; window > 0 = the first goes at once, and those that
--         come within so many seconds of the one before are gathered, until none came for so long or ten windows passed
--       6 things that one digest lists; more are only counted
-- Returns number of notices made or added to, -1 when another notifier has moved the cursor
-- Touches labq:cursor:notices labq:notice:<id> labq:notice:<id>:items labq:notices:lane:<lane> labq:notices:lanes
--         labq:notices:held labq:notices:gather:<name> labq:notices:recent:<name>
if ARGV[1] ~= "" then
  if (redis.call("GET", "labq:cursor:notices") or "0-0") ~= ARGV[1] then return -1 end
  redis.call("SET", "labq:cursor:notices", ARGV[2])
end
local now, keep = tonumber(ARGV[3]), ARGV[4]
local made = 0

local function new(id, notice)
  if redis.call("HSETNX", "labq:notice:" .. id, "id", id) == 0 then return false end
  redis.call("HSET", "labq:notice:" .. id, "lane", notice.lane, "kind", notice.kind, "state", "made",
    "made_at", ARGV[3], "since", ARGV[3], "tries", "0")
  redis.call("RPUSH", "labq:notice:" .. id .. ":items", notice.item)
  return true
end

for _, notice in ipairs(cjson.decode(ARGV[5])) do
  local gather = notice.gather ~= "" and "labq:notices:gather:" .. notice.gather or nil
  local group = gather and redis.call("GET", gather)
  local due = group and redis.call("ZSCORE", "labq:notices:held", group)
  if due then
    if redis.call("LLEN", "labq:notice:" .. group .. ":items") < tonumber(ARGV[6]) then
      redis.call("RPUSH", "labq:notice:" .. group .. ":items", notice.item)
    else
      redis.call("HINCRBY", "labq:notice:" .. group, "more", 1)
    end
    redis.call("HSET", "labq:notice:" .. group, "kind", "digest")
    if notice.window > 0 then
      local last = tonumber(redis.call("HGET", "labq:notice:" .. group, "made_at")) + 10 * notice.window
      redis.call("ZADD", "labq:notices:held", math.min(last, now + notice.window), group)
    end
    made = made + 1
  else
    local hold = notice.due
    if notice.window > 0 then
      local recent = "labq:notices:recent:" .. notice.gather
      if redis.call("EXISTS", recent) == 1 then hold = now + notice.window end
      redis.call("SET", recent, "1", "PX", math.floor(notice.window * 1000))
    end
    if new(notice.id, notice) then
      made = made + 1
      if hold > 0 then
        redis.call("ZADD", "labq:notices:held", hold, notice.id)
        redis.call("SET", gather, notice.id, "EX", keep)
      else
        redis.call("RPUSH", "labq:notices:lane:" .. notice.lane, notice.id)
        redis.call("ZADD", "labq:notices:lanes", "NX", 0, notice.lane)
      end
    end
  end
end
return made

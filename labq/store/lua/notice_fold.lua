-- notice_fold.lua: make one digest of what waits in lanes that have become too long: all but the first, which may be on
-- its way. What may have been sent already, and a test, stay as they are.
--
-- KEYS  none
-- ARGV  1 now   2 notices that may wait in a lane   3 things that one digest lists; more are only counted   4.. lanes
-- Returns number of notices that went into digests
-- Touches labq:notices:lane:<lane> labq:notice:<id> labq:notice:<id>:items
local most_items, folded = tonumber(ARGV[3]), 0

local function fold(list)
  local into
  for _, id in ipairs(redis.call("LRANGE", list, 1, -1)) do
    local key = "labq:notice:" .. id
    local kind, unsure = unpack(redis.call("HMGET", key, "kind", "unsure"))
    if kind and kind ~= "test" and unsure ~= "1" then
      if not into then
        into = key
        redis.call("HSET", key, "kind", "digest", "since", ARGV[1])
      else
        local items = redis.call("LRANGE", key .. ":items", 0, -1)
        local room = most_items - redis.call("LLEN", into .. ":items")
        for at = 1, math.min(room, #items) do redis.call("RPUSH", into .. ":items", items[at]) end
        local more = tonumber(redis.call("HGET", key, "more") or 0) + math.max(0, #items - math.max(0, room))
        if more > 0 then redis.call("HINCRBY", into, "more", more) end
        redis.call("LREM", list, 1, id)
        redis.call("DEL", key, key .. ":items")
        folded = folded + 1
      end
    end
  end
end

for at = 4, #ARGV do
  local list = "labq:notices:lane:" .. ARGV[at]
  if redis.call("LLEN", list) > tonumber(ARGV[2]) then fold(list) end
end
return folded

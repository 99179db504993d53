-- usage_forget.lua: drop rows of use that are recorded, unless they were written anew meanwhile.
--
-- KEYS  none
-- ARGV  1 node   2 JSON list: field, value as it was recorded, field, value, ...
-- Returns {number of rows dropped}
-- Touches labq:usage:<node> labq:usage
local key, pairs_ = "labq:usage:" .. ARGV[1], cjson.decode(ARGV[2])
local gone = 0
for i = 1, #pairs_, 2 do
  if redis.call("HGET", key, pairs_[i]) == pairs_[i + 1] then
    gone = gone + redis.call("HDEL", key, pairs_[i])
  end
end
if redis.call("EXISTS", key) == 0 then redis.call("SREM", "labq:usage", ARGV[1]) end
return {gone}

-- usage_forget.lua: drop rows of use that are recorded, or are no rows, unless they were written anew meanwhile.
--
-- KEYS  none
-- ARGV  1 node   2 field   3 value as it was read   4 field   5 value   ...
-- Returns {number of rows dropped}
-- Touches labq:usage:<node> labq:usage
local key, gone = "labq:usage:" .. ARGV[1], 0
for i = 2, #ARGV, 2 do
  if redis.call("HGET", key, ARGV[i]) == ARGV[i + 1] then
    gone = gone + redis.call("HDEL", key, ARGV[i])
  end
end
if redis.call("EXISTS", key) == 0 then redis.call("SREM", "labq:usage", ARGV[1]) end
return {gone}

-- usage_write.lua: write rows of use over older ones; a row never shrinks.
--
-- KEYS  none
-- ARGV  1 node   2 field   3 value [model, held, busy]   4 field   5 value   ...
-- Returns {number of rows written}
-- Touches labq:usage:<node> labq:usage
local key, written = "labq:usage:" .. ARGV[1], 0
for i = 2, #ARGV, 2 do
  local new, old = cjson.decode(ARGV[i + 1]), redis.call("HGET", key, ARGV[i])
  local is_row, was = pcall(cjson.decode, old or "")
  local shrinks = is_row and type(was) == "table" and type(was[2]) == "number" and type(was[3]) == "number"
    and (was[2] > new[2] or (was[2] == new[2] and was[3] > new[3]))
  if not shrinks then
    redis.call("HSET", key, ARGV[i], ARGV[i + 1])
    written = written + 1
  end
end
redis.call("SADD", "labq:usage", ARGV[1])
return {written}

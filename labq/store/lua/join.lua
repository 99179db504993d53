-- join.lua: use a one-time token up.
--
-- KEYS  none
-- ARGV  1 node   2 digest of the token
-- Returns {"1"} when it was good until now, else {"0"}
-- Touches labq:join:<node>
local key = "labq:join:" .. ARGV[1]
if redis.call("GET", key) ~= ARGV[2] then
  return {"0"}
end
-- What was used is known as that for the rest of its ten minutes, and no longer as good.
redis.call("SET", key, "used:" .. ARGV[2], "KEEPTTL")
return {"1"}

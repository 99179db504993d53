-- keep.lua: spare a job from being ended for idleness for a while, within what it may be spared in all.
--
-- KEYS  none
-- ARGV  1 job   2 milliseconds from now   3 milliseconds that it may be kept in all, 0 = no limit
-- Returns {"1"} when it is kept, else {"0", milliseconds for which it could still be kept}
-- Touches labq:idle:keep:<job> labq:idle:kept:<job> labq:idle:<job>
local keep, kept = "labq:idle:keep:" .. ARGV[1], "labq:idle:kept:" .. ARGV[1]
local wanted, most = tonumber(ARGV[2]), tonumber(ARGV[3])
-- What was asked for before and has not passed is replaced, so it does not count.
local passed = tonumber(redis.call("GET", kept) or "0") - math.max(0, redis.call("PTTL", keep))
if most > 0 and passed + wanted > most then
  return {"0", string.format("%.0f", math.max(0, most - passed))}
end
redis.call("SET", keep, "1", "PX", wanted)
redis.call("SET", kept, string.format("%.0f", passed + wanted), "EX", 7776000)
redis.call("DEL", "labq:idle:" .. ARGV[1])
return {"1"}

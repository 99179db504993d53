-- provision_tell.lua: add events to a run of the provisioner, each once, however often they are sent.
--
-- KEYS  none
-- ARGV  1 id   2 number of the first event (they count up from 1)   3 events that are kept at most   4… events (JSON)
-- Returns how many there are now
-- Touches labq:provision:events:<id>
local key = "labq:provision:events:" .. ARGV[1]
local have = redis.call("LLEN", key)
for i = 4, #ARGV do
  if tonumber(ARGV[2]) + i - 4 == have + 1 and have < tonumber(ARGV[3]) then
    have = redis.call("RPUSH", key, ARGV[i])
  end
end
return have

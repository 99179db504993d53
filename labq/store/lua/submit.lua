-- submit.lua: make one job, or all jobs of one array, at once and only once.
--
-- KEYS  none (a lab's Redis is one server; keys are built here from store/keys.py's patterns)
-- ARGV  1 idempotency key or ""   2 owner   3 now   4 JSON list of indices, or "" for a single job
--       5 JSON object: the flat record without id, seq, state, array, index
--       6 JSON object: secrets or ""   7 most jobs the owner may have queued
--       8 JSON list of ids it depends on   9 fingerprint of the request
-- Returns {"ok", id of the job or array, event id}
--         {"again", JSON list of ids}       the same request was made before
--         {"other", JSON list of ids}       the key was used for a request with another fingerprint
--         {"missing", id}                   a dependency does not exist
--         {"full", number queued}           over the owner's limit
-- Touches labq:seq labq:job:* labq:jobs:active labq:array:* labq:array:*:left labq:secrets:*
--         labq:queued:<owner> labq:idem:* labq:events
local idem = ARGV[1] ~= "" and ("labq:idem:" .. ARGV[2] .. ":" .. ARGV[1]) or nil
if idem then
  local before = redis.call("GET", idem)
  if before then
    local known = cjson.decode(before)
    return {known.fingerprint == ARGV[9] and "again" or "other", cjson.encode(known.ids)}
  end
end
for _, id in ipairs(cjson.decode(ARGV[8])) do
  if redis.call("EXISTS", "labq:job:" .. id) == 0 and redis.call("EXISTS", "labq:array:" .. id) == 0 then
    return {"missing", id}
  end
end
local indices = ARGV[4] ~= "" and cjson.decode(ARGV[4]) or {false}
local count_key = "labq:queued:" .. ARGV[2]
local queued = tonumber(redis.call("GET", count_key) or "0")
if queued + #indices > tonumber(ARGV[7]) then return {"full", tostring(queued)} end
redis.call("INCRBY", count_key, #indices)

local number = redis.call("INCR", "labq:seq")
local base = {"v", "1", "state", "queued"}
for name, value in pairs(cjson.decode(ARGV[5])) do
  base[#base + 1] = name
  base[#base + 1] = value
end
local secrets = ARGV[6] ~= "" and cjson.decode(ARGV[6]) or nil
local ids, n = {}, #base
for position, index in ipairs(indices) do
  local id = tostring(number)
  base[n + 1], base[n + 2] = "seq", tostring(number)
  if index then
    id = id .. "." .. index
    base[n + 5], base[n + 6] = "array", tostring(number)
    base[n + 7], base[n + 8] = "index", tostring(index)
  end
  base[n + 3], base[n + 4] = "id", id
  redis.call("HSET", "labq:job:" .. id, unpack(base))
  redis.call("ZADD", "labq:jobs:active", number + position / 1e6, id)
  if secrets then
    for name, value in pairs(secrets) do redis.call("HSET", "labq:secrets:" .. id, name, value) end
  end
  ids[position] = id
end
if ARGV[4] ~= "" then
  redis.call("SET", "labq:array:" .. number, ARGV[4])
  redis.call("SET", "labq:array:" .. number .. ":left", #indices)
end
if idem then
  redis.call("SET", idem, cjson.encode({ids = ids, fingerprint = ARGV[9]}), "EX", IDEM_SECONDS)
end
local event = redis.call("XADD", "labq:events", "MAXLEN", "~", MAX_EVENTS, "*", "type", "submitted", "at", ARGV[3],
  "id", tostring(number), "indices", ARGV[4], "owner", ARGV[2], "record", ARGV[5])
return {"ok", tostring(number), event}

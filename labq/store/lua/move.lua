-- move.lua: the only writer of a job's state. Compare-and-set on (state, lease), with the GPU lease, the
-- indexes and the event in the same step.
--
-- KEYS  none
-- ARGV  1 job id   2 expected state   3 expected lease token, "" = none held, "*" = any
--       4 new state   5 now   6 JSON object of fields to set   7 JSON list of fields to delete
--       8 claim: JSON {token, node, attempt, gpus: [[uuid, bytes or 0, bytes of the card], ...], cpus, memory, disk,
--         cpus_total, memory_total, disk_total, stored: text to keep} or ""; a move to starting brings one
--       9 fencing number of the leader, "" = not from the loop   10 who moves it (for the event)
--       11 expected reason of the request to stop it, "" = there is none: who judges an end must know of a cancel
-- Returns {"ok", event id}
--         {"stale", state, lease}    the job is not as expected; nothing was changed
--         {"gone"}                   there is no such job
--         {"illegal"}                the table of moves does not know this move
--         {"busy", text}             the claim does not fit what the node's leases leave
--         {"fenced"}                 another leader has taken over
-- Touches labq:job:<id> labq:jobs:active labq:jobs:ended labq:leases:<node> labq:secrets:<id> labq:queued:<owner> labq:keep
--         labq:array:<id> labq:array:<id>:left labq:events
local MOVES = MOVES_TABLE
local HOLDING = {starting = true, running = true, stopping = true}
local FINAL = {succeeded = true, failed = true, cancelled = true}
local id, from, to, now = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local key = "labq:job:" .. id

if ARGV[9] ~= "" and redis.call("GET", "labq:leader:fence") ~= ARGV[9] then return {"fenced"} end
local current = redis.call("HMGET", key, "state", "lease", "node", "owner")
local state, lease, node, owner = current[1], current[2] or "", current[3] or "", current[4]
if not state then return {"gone"} end
if state ~= from or (ARGV[3] ~= "*" and lease ~= ARGV[3]) then return {"stale", state, lease} end
local stop = redis.call("HGET", key, "stop")
if (stop and cjson.decode(stop).reason or "") ~= ARGV[11] then return {"stale", state, lease} end
if not MOVES[from .. ">" .. to] then return {"illegal"} end

local claim = ARGV[8] ~= "" and cjson.decode(ARGV[8]) or nil
if (to == "starting") ~= (claim ~= nil) then return {"illegal"} end
if claim then
  local cpus, memory, disk = claim.cpus, claim.memory, claim.disk
  local held = {}
  for _, text in ipairs(redis.call("HVALS", "labq:leases:" .. claim.node)) do
    local other = cjson.decode(text)
    -- leases of an older server tell no disk
    cpus, memory, disk = cpus + other.cpus, memory + other.memory, disk + (other.disk or 0)
    for _, gpu in ipairs(other.gpus) do
      local sum = held[gpu[1]] or 0
      held[gpu[1]] = gpu[2] == 0 and math.huge or sum + gpu[2]
    end
  end
  for _, gpu in ipairs(claim.gpus) do
    local taken = held[gpu[1]]
    if gpu[2] == 0 and taken then return {"busy", "GPU " .. gpu[1] .. " is leased"} end
    if taken and taken + gpu[2] > gpu[3] then return {"busy", "GPU " .. gpu[1] .. " has no room for this share"} end
    if gpu[2] > gpu[3] then return {"busy", "GPU " .. gpu[1] .. " is smaller than this share"} end
  end
  -- a thousandth of a core of slack: sums of decimal fractions are not exact
  if cpus > claim.cpus_total + 0.001 then return {"busy", "not enough cores"} end
  if memory > claim.memory_total then return {"busy", "not enough memory"} end
  -- who asks for no disk is let in on a node whose disk has shrunk below what is promised there
  if claim.disk > 0 and disk > claim.disk_total then return {"busy", "not enough disk"} end
  redis.call("HSET", "labq:leases:" .. claim.node, claim.token, claim.stored)
end

local set = cjson.decode(ARGV[6])
local flat = {"state", to}
for name, value in pairs(set) do
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end
redis.call("HSET", key, unpack(flat))
local drop = cjson.decode(ARGV[7])
if #drop > 0 then redis.call("HDEL", key, unpack(drop)) end
if HOLDING[from] and not HOLDING[to] then redis.call("HDEL", "labq:leases:" .. node, lease) end
if from == "queued" then redis.call("DECR", "labq:queued:" .. owner) end
if to == "queued" then redis.call("INCR", "labq:queued:" .. owner) end
if FINAL[to] then
  redis.call("ZREM", "labq:jobs:active", id)
  redis.call("ZADD", "labq:jobs:ended", now, id)
  redis.call("DEL", "labq:secrets:" .. id)
  local keep = redis.call("GET", "labq:keep") or KEEP_SECONDS
  redis.call("EXPIRE", key, keep)
  local array = id:match("^(%d+)%.")
  if array then
    -- The list of an array lives until its last task has ended, and then as long as that task's record. (An
    -- array that was made before tasks were counted has no counter: DECR gives -1.)
    array = "labq:array:" .. array
    if redis.call("DECR", array .. ":left") <= 0 then
      redis.call("DEL", array .. ":left")
      redis.call("EXPIRE", array, keep)
    end
  end
end
local event = redis.call("XADD", "labq:events", "MAXLEN", "~", MAX_EVENTS, "*", "type", "moved", "at", now,
  "id", id, "from", from, "to", to, "owner", owner, "by", ARGV[10],
  "lease", claim and claim.token or lease, "node", claim and claim.node or node,
  "set", ARGV[6], "drop", ARGV[7])
return {"ok", event}

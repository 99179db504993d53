"""Every Redis key of labq: pattern, type, life, writer. Nothing else spells a key.

key                        type    life              written by    what
labq:seq                   string  for ever          submit.lua    last job number given
labq:job:<id>              hash    keep_jobs at end  submit/move   the record (labq/job.py, flat form)
labq:jobs:active           zset    for ever          submit/move   ids not yet final, score = seq
labq:jobs:ended            zset    keep_jobs         move.lua      ids that are final, score = ended_at
labq:array:<id>            string  keep_jobs at end  submit.lua    JSON list of the indices of an array
labq:array:<id>:left       string  until the end     submit/move   number of the array's tasks that have not ended
labq:secrets:<id>          hash    until the end     submit/move   secret name -> value; never read back by the API
labq:queued:<owner>        string  for ever          submit/move   number of the owner's queued jobs
labq:idem:<owner>:<key>    string  1 day             submit.lua    JSON {ids it made, fingerprint of the request}
labq:leases:<node>         hash    for ever          move.lua      lease token -> JSON {job, attempt, gpus, cpus, memory, disk}
labq:nodes                 set     for ever          beat.lua      names of nodes
labq:node:<name>           hash    for ever          beat.lua …    body (JSON), heartbeat (Redis' clock), readings (JSON), drained, alive
labq:image:<key>           hash    for ever          agents        node -> JSON ImageOnNode
labq:images                set     for ever          agents        image keys
labq:events                stream  last ~200,000     every script  what happened, in order (store/events.py)
labq:leader                string  lease             leader.lua    token of the deciding loop
labq:leader:fence          string  for ever          leader.lua    fencing number, counts up with each new leader
labq:users                 hash    for ever          admin         user -> JSON {uid, gid, admin, agent, group, slack_id}
labq:tokens                hash    for ever          admin         SHA-256 of a token -> user
labq:join:<node>           string  10 minutes        join.lua …    SHA-256 of the one-time token with which that node may join; "used:" before one that was
labq:node-users            hash    for ever          joining       node -> SHA-256 of the password of its user of Redis; "." = such users are kept
labq:usage                 set     while it has rows usage_*       names of nodes whose use is not all recorded
labq:usage:<node>          hash    2 h once recorded usage_*       [hour, epoch, gpu, user, in/out] -> [model, held, busy] (labq/usage.py)
labq:notify                hash    for ever          people        user -> JSON of their preferences (labq/notify.py)
labq:notice:<id>           hash    14 days at end    notice_*      lane, kind, state (made, sending, sent, dead), tries, error, place, …
labq:notice:<id>:items     list    with the notice   notice_make   JSON, one for each thing that it tells
labq:notices:lane:<user>   list    while not empty   notice_*      ids of the notices that a person is still to be told, in order
labq:notices:lanes         zset    while not empty   notice_*      user -> when the first of the lane is tried
labq:notices:held          zset    while not empty   notice_*      notices held back (quiet hours, digests), score = until when
labq:notices:gather:<name> string  14 days           notice_make   the held notice that more of the same is added to
labq:notices:recent:<name> string  a minute          notice_make   one of these was just made: the next are gathered
labq:notices:lock:<user>   string  while it sends    notice_take   token of the notifier that sends from the lane
labq:notices:process:<t>   string  10 s              notifier      that notifier lives
labq:notices:alive         string  10 s              notifier      some notifier lives; the kinds of channels that it sends to
labq:notices:pause:<name>  string  as Slack says     notifier      send nothing of that kind, or to that "kind place", until it is gone
labq:notices:seen:<id>     string  1 hour            notifier      a request of Slack that was answered
labq:notices:dead          zset    14 days, <= 1,000 notice_*      dead letters, score = when
labq:notices:test:<user>   string  14 days           labq notify   the last notice that `labq notify test` made
labq:notices:limited:<k>   string  as Slack says     notifier      the last place of that kind that took no more for now (429)
labq:notices:counts        hash    for ever          notice_settle "<kind> sent" or "<kind> dead" -> how many
labq:missed                hash    for ever          notifier      "old" or "trimmed" -> how many events nobody was told of
labq:cursor:<name>         string  for ever          readers       last event id that a reader has dealt with
labq:idle:<job>            string  7 days            idle.lua      JSON [attempt, stage, when]: what its owner was told of its idleness
labq:told:waiting:<job>    string  7 days            waiting.lua   its owner was told that no machine that is up has what it waits for; until one has
labq:idle:keep:<job>       string  as asked          keep.lua      it is not ended for being idle
labq:idle:kept:<job>       string  90 days           keep.lua      milliseconds for which it was or is kept, in all
labq:provision:seq         string  for ever          server        last number of a run of the provisioner
labq:provision:runs        zset    last runs         server        ids of runs, score = id
labq:provision:run:<id>    hash    180 d at end      provision_*   state, body (JSON, labq/provision.py), cancel (who asked for it)
labq:provision:events:<id> list    180 d at end      provision_*   JSON events of the run, at most 20,000
labq:provision:alive       string  10 s              provisioner   some provisioner lives
rq:*                                                  rq           queues `node-<name>`, `control` and `provision`, workers, messages
"""

from __future__ import annotations

SEQ = "labq:seq"
JOB = "labq:job:"
ACTIVE = "labq:jobs:active"
ENDED = "labq:jobs:ended"
ARRAY = "labq:array:"
SECRETS = "labq:secrets:"
QUEUED = "labq:queued:"
IDEM = "labq:idem:"
KEEP = "labq:keep"
LEASES = "labq:leases:"
NODES = "labq:nodes"
NODE = "labq:node:"
IMAGE = "labq:image:"
IMAGES = "labq:images"
EVENTS = "labq:events"
LEADER = "labq:leader"
FENCE = "labq:leader:fence"
USERS = "labq:users"
TOKENS = "labq:tokens"
JOIN = "labq:join:"
NODE_USERS = "labq:node-users"
CURSOR = "labq:cursor:"
MISSED = "labq:missed"
TOLD_WAITING = "labq:told:waiting:"
IDLE = "labq:idle:"
IDLE_KEEP = "labq:idle:keep:"
USAGE_NODES = "labq:usage"
USAGE = "labq:usage:"
PROVISION_SEQ = "labq:provision:seq"
PROVISION_RUNS = "labq:provision:runs"
PROVISION_RUN = "labq:provision:run:"
PROVISION_EVENTS = "labq:provision:events:"
PROVISION_ALIVE = "labq:provision:alive"
NOTIFY = "labq:notify"
NOTICE = "labq:notice:"
NOTICES = "labq:notices:"
NOTICE_LANES = "labq:notices:lanes"
NOTICE_HELD = "labq:notices:held"
NOTICE_DEAD = "labq:notices:dead"
NOTICE_COUNTS = "labq:notices:counts"

#: Events kept; a reader that is further behind starts again from the records.
MAX_EVENTS = 200_000
#: Seconds that a final record stays when no server has said otherwise: 14 days.
KEEP_SECONDS = 1_209_600
#: Seconds that the answer to an idempotent request is remembered.
IDEM_SECONDS = 86_400

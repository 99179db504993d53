"""labq_scheduler: the server: HTTP API, the deciding loop, records.

    board.py       the live picture in memory, kept by following the event stream
    snapshot.py    what one decision sees           decisions.py   what it may say
    decide.py      decide(snapshot, rules)          policy/        pure rules: order, fit, reserve, why
    apply.py       decision -> store and messages   dispatch.py    the only importer of rq on this side
    loop.py        leader lease; read -> decide -> apply            reaper.py   lost nodes
    api/, verbs/   HTTP routes and what they do      records/       history through SQLAlchemy

Must not live here: anything that a node does.
"""

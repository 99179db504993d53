"""One machine as a whole lab: `labq up` and `labq down`.

plan.py        what is asked for: directories, address, GPUs; the children's environment. Pure
record.py      up.json: which processes run, safe against reused process ids
preflight.py   what must be there before anything starts
redis_server.py, child.py   the processes
people.py      the person and the agent, their tokens, the client's configuration
supervisor.py  starts the children, watches them, stops them
detach.py      the supervisor in the background; down.py ends it

Must not live here: what server and agent do; they are programs of their own that read settings.
"""

"""labq_worker: the agent of one node.

Lives here: taking work from RQ, building images, running and following containers, telling what the GPUs do.
Must not live here: deciding what runs where (labq_scheduler), attributing GPU processes to people (labq_exporter).

Pure, and therefore tested without an engine:
    container_args.py   job -> what the engine is asked for     stop_plan.py     SIGTERM, grace, SIGKILL as data
    demux.py            the engine's byte streams               build_output.py  what a build said, why it failed
    reconcile.py        containers + leases -> actions          end_facts.py     what was seen -> what is judged
    sim_gpus.py         sim:2xRTX-4090-24GB                     gpu_health.py    which GPU is not well
    paths.py            where files are                         config.py        settings -> AgentConfig

containers.py is the only importer of docker; messages come through labq/store/messages.py (rq).

    agent.py      puts the parts together         attempts.py   what this agent works on right now
    runner.py     the life of one attempt         finish.py     its end, told to the store until it knows
    adopt.py      applies the reconcile plan      stopper.py    sends the signals
    logs.py       container -> log file           images.py     image keys -> images on this node
    shipping.py   files to a server elsewhere     heartbeat.py  what the node says of itself
    data_dir.py   whose the data directory is     contexts.py   where build contexts come from
"""

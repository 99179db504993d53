"""Jobs that hold GPUs and do not use them: their owners are told, and where the lab says so, the jobs are ended.

windows.py   how much of the last minutes a job's GPUs worked (pure)
plan.py      when to warn, and when to end (pure)
watch.py     looks every few seconds, in the deciding loop; only the leader acts
"""

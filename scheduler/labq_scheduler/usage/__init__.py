"""Who used how much: what was allocated by the queue, and what agents measured outside it.

held.py      a lease -> how many GPUs it counts as (pure)
charge.py    decayed GPU-seconds (pure)
ledger.py    what each person is charged now, for fair share and metrics
follower.py  the thread that brings agents' rows into the records and the ledger
"""

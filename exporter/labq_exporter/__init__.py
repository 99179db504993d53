"""labq_exporter: who uses which GPU, for Prometheus. Nothing is here yet: it is the next piece of work.

What lives elsewhere meanwhile: the agent's own readings (``labq top``, ``labq nodes``).
"""

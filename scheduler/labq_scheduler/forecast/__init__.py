"""When will a job start? The very ``decide`` is run forward over the ends that history makes likely.

Pure: ``ahead`` (the future), ``lengths`` (how long jobs run), ``line`` (who waits there), ``sooner`` (what would start
earlier). ``forecasts`` beside this package keeps one in the server.
"""

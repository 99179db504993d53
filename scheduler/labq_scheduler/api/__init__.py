"""The HTTP API: one router for each noun, thin: parse, call a verb in a thread, answer prepared bytes.

app.py       wiring only             auth.py     token -> Person
errors.py    the one error shape     http.py     bodies, threads, JSON answers
hub.py       the board's events, for coroutines that wait
follow.py    live logs and states of one job
schemas.py   what OpenAPI shows
"""

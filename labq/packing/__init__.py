"""A build context: what `.dockerignore` leaves of a directory, as a deterministic tar.

`pack.open_context` packs on the user's machine; `check.check_context` judges what arrived.
Nothing is imported here: the command line starts with this package, so every module is taken
when it is needed.
"""

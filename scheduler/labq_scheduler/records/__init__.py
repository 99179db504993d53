"""History for semesters: finished jobs and their attempts, in SQLite or PostgreSQL through SQLAlchemy.

tables.py     the tables
database.py   the engine; the only importers of sqlalchemy are here and in tables.py
history.py    reading and writing records (imports sqlalchemy when it is first needed)
recorder.py   the thread that fills them from the event stream
"""

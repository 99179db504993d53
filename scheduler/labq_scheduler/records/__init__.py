"""History for semesters: finished jobs, their attempts and the use of GPUs, in SQLite or PostgreSQL through SQLAlchemy.

tables.py     the tables
columns.py    gives an older database the columns that came later
usage.py      who used how many GPUs
database.py   the engine; sqlalchemy is imported in these four only
history.py    reading and writing records (imports sqlalchemy when it is first needed)
recorder.py   the thread that fills them from the event stream
"""

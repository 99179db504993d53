"""Files in the server's data directory.

layout.py      which file is where; nothing else spells a path
locked.py      a file that grows under a lock, and a full disk in labq's words
contexts.py    build contexts: upload with resume, check, read
logs.py        log files: raw reading, and what remote agents send
tail.py        where the last lines of a log begin
outputs.py     outputs: a directory or a tar, as one tar stream
"""

"""A proxy for an engine's socket that stamps who really creates a container. Optional, off by default (ADR 0009).

Lives here: reading requests, the two labels, copying bytes. Must not live here: filtering, permission, anything that
an engine could do itself: whoever may use an engine is root anyway, so this is accounting and no fence.

head.py        the first lines of a request or response (pure)
body.py        where a body ends (pure)
requests.py    bytes of a client -> what to do with them (pure)
create_body.py the two labels in the JSON of a create (pure)
caller.py      who is at the other end of a socket
keyfile.py     makes the key
stamper.py     caller + key -> labels
connection.py  one client and its engine, until both are done
service.py     listens, and ends
__main__.py    ``labq-docker-stamp``
"""

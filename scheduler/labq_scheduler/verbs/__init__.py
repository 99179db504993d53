"""What the server does for one request: one file per verb, named as on the client's side.

lab.py        the parts that verbs use
submit.py, check.py, cancel.py, note.py, rerun.py, show.py, listing.py
Must not live here: HTTP (api/), decisions (policy/).
"""

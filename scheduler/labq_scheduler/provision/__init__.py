"""``labq-provisioner``: runs the playbooks on the lab's machines, one run at a time on each (ADR 0011).

process.py     the service: reads the queue, starts a driver for each run, ends runs whose driver died
drive.py       one run from its record to its end; desk.py: where it reports; driver.py: ansible-runner
places.py      the lab directory and the playbooks      inventory.py   nodes' files, and which hosts a run is for
locks.py       one run at a time on a host              orphans.py     what a killed driver left
events.py, tally.py, remedy.py   pure: what ansible says -> events -> how it ended, and what to do
"""

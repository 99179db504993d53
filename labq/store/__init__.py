"""The store: what Redis holds. The only importer of redis in the project.

connection.py   the client, the scripts, errors in labq's words
keys.py         every key
lua/            every multi-step write
jobs.py         submit, move, read      nodes.py   register, heartbeat, drain
images.py       image readiness         events.py  the event stream
people.py       users and tokens        leader.py  the deciding loop's lease
usage.py        seconds of GPUs that agents measured
notices.py      what people are to be told      messages.py  taking messages of an RQ queue (imported where it is used)
idle.py         what owners of idle jobs were told
provision.py    runs of the provisioner and their events
joining.py      one-time tokens of machines that join        node_users.py  Redis' own users, one for each node
"""

from __future__ import annotations

from labq.store.connection import Connection, connect
from labq.store.events import Event, EventStore
from labq.store.idle import IdleStore
from labq.store.images import ImageStore
from labq.store.jobs import BusyError, FencedError, JobStore, StaleError, Submission
from labq.store.joining import JoinStore
from labq.store.leader import LeaderLease
from labq.store.node_users import NodeUserStore
from labq.store.nodes import NodeStore
from labq.store.notices import NewNotice, Notice, NoticeStore
from labq.store.people import PeopleStore, Person
from labq.store.provision import ProvisionStore
from labq.store.usage import UsageStore

__all__ = [
    "BusyError",
    "Connection",
    "Event",
    "EventStore",
    "FencedError",
    "IdleStore",
    "ImageStore",
    "JobStore",
    "JoinStore",
    "LeaderLease",
    "NewNotice",
    "NodeStore",
    "NodeUserStore",
    "Notice",
    "NoticeStore",
    "PeopleStore",
    "Person",
    "ProvisionStore",
    "StaleError",
    "Store",
    "Submission",
    "UsageStore",
    "connect",
]


class Store:
    """All parts of the store over one Redis."""

    def __init__(self, url: str) -> None:
        """Open lazily: nothing is sent before the first call.

        Args:
            url: ``redis://…``, ``rediss://…`` or ``unix://…``.
        """
        self.connection = connect(url)
        self.jobs = JobStore(self.connection)
        self.nodes = NodeStore(self.connection)
        self.images = ImageStore(self.connection)
        self.events = EventStore(self.connection)
        self.people = PeopleStore(self.connection)
        self.usage = UsageStore(self.connection)
        self.notices = NoticeStore(self.connection)
        self.idle = IdleStore(self.connection)
        self.provision = ProvisionStore(self.connection)
        self.joining = JoinStore(self.connection)
        self.node_users = NodeUserStore(self.connection)

"""Who asks: a bearer token, its person, and what that person may reach.

The owner of anything is who the token says. Tokens are looked up by their digest and remembered for a few
seconds, so that a removed token dies soon and an ordinary request costs no look-up.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, cast

from fastapi import Depends, Request

from labq.clock import monotonic
from labq.errors import NotAllowedError, NoTokenError
from labq.store import PeopleStore, Person
from labq_scheduler.api.exchange import in_thread

#: Seconds for which an answer is remembered, and how many answers.
REMEMBER, MOST = 5.0, 4096
_HELP = "labq takes it from LABQ_TOKEN or the configuration file; an admin of this lab makes one"


class Doorkeeper:
    """Knows whose token it is."""

    def __init__(self, people: PeopleStore) -> None:
        """Ask ``people``."""
        self._people = people
        self._known: dict[bytes, tuple[float, Person | None]] = {}

    async def whose(self, request: Request) -> Person:
        """Return the person whose token the request carries.

        Raises:
            NoTokenError: there is none, or nobody has it.
        """
        header = request.headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise NoTokenError("the request has no token", _HELP)
        token = token.strip()
        key = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = self._known.get(key)
        if found is None or found[0] < monotonic():
            person = await in_thread(self._people.whose, token)
            if len(self._known) >= MOST:
                self._known.clear()
            found = self._known[key] = (monotonic() + REMEMBER, person)
        if found[1] is None:
            raise NoTokenError("nobody here has this token", _HELP)
        return found[1]

    def forget(self) -> None:
        """Look everybody up again: people or tokens were changed."""
        self._known.clear()


def doorkeeper(request: Request) -> Doorkeeper:
    """Return the application's doorkeeper."""
    return cast(Doorkeeper, request.app.state.doorkeeper)


async def _anybody(request: Request) -> Person:
    return await doorkeeper(request).whose(request)


async def _user(request: Request) -> Person:
    person = await doorkeeper(request).whose(request)
    if person.agent:
        raise NotAllowedError(f"{person.name} is an agent's token", "use a person's token for this")
    return person


async def _admin(request: Request) -> Person:
    person = await doorkeeper(request).whose(request)
    if person.agent or not person.admin:
        raise NotAllowedError(f"{person.name} is no admin", "ask an admin of this lab")
    return person


async def _agent(request: Request) -> Person:
    person = await doorkeeper(request).whose(request)
    if not person.agent:
        raise NotAllowedError(
            f"{person.name} is no agent", "this route is for labq-worker with its own token"
        )
    return person


async def _agent_or_admin(request: Request) -> Person:
    person = await doorkeeper(request).whose(request)
    if not (person.agent or person.admin):
        raise NotAllowedError(
            f"{person.name} may not read contexts", "they may hold another's code; ask an admin of this lab"
        )
    return person


Anybody = Annotated[Person, Depends(_anybody)]
User = Annotated[Person, Depends(_user)]
Admin = Annotated[Person, Depends(_admin)]
Agent = Annotated[Person, Depends(_agent)]
AgentOrAdmin = Annotated[Person, Depends(_agent_or_admin)]

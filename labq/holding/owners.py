"""Names the person whom a process is charged to. Pure: all that is known comes as arguments.

The rules, the first that answers wins (``facts.Source`` in the same order; docs/explanation/who-holds-a-gpu.md):

1. queue      labq's own labels, when their lease exists and says the same
2. proxy      the owner label, sealed by labq's docker.sock proxy
3. label      the owner label, unless harder evidence names another person
4. workdir    owner of the compose project's or dev container's directory, with the same exception
5. mount      owner of the one home that is mounted whole and writable
6. uid        uid of the process; in a container only one that was asked for by number
7. loginuid   the login it came from
8. userslice  the session it runs under
9. subuid     whose range of subordinate uids its uid lies in
10. data      owner of the one home that something else is mounted from: a directory of it, or all of it to read only

Hard evidence is a whole writable home, a uid that was asked for, the login of podman, the owner of a rootless engine.
It disproves the words of rules 3 and 4, unless other hard evidence says the same as they do; where it contradicts
itself the order of the rules decides. Each contradiction is a dispute. A data set is neither: people read those of
colleagues every day, so it names its owner when nothing else names anybody, and disputes nothing.

Which container: the innermost id that an engine knows. Engines inside containers are not asked, so a container of
theirs is charged as the one around it. Below ``user@<uid>.service`` a user can make cgroups of any name, and his own
engine can answer anything: an id there counts only for that user's engine, and elsewhere only for root's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from labq.holding.evidence import (
    Answer,
    Case,
    People,
    evidence,
    login_of,
    mounted_home,
    owner_of_directory,
    told,
    unless_disproved,
)
from labq.holding.facts import UNKNOWN, ContainerFacts, LeaseFacts, Owner, ProcessFacts, Source
from labq.holding.patience import NoAnswerYetError
from labq.holding.seal import OWNER_LABEL, STAMP_LABEL, is_timely, verify
from labq.wire import LABEL_ATTEMPT, LABEL_JOB, LABEL_LEASE, LABEL_OWNER

#: Names that a label may say: those that the server accepts, and those of directory services (alice@example.org).
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@+-]{0,63}")
#: Words of a label that are quoted in a sentence.
_QUOTED = 40


def owner_of(
    process: ProcessFacts | None,
    containers: Mapping[str, ContainerFacts],
    leases: Mapping[str, LeaseFacts],
    accounts: People,
    key: bytes | None = None,
) -> Owner:
    """Return who a process is charged to, and by which rule.

    Args:
        process: None = the driver lists it, but it has gone from /proc.
        containers: by id; all that the engines know, also those that ended not long ago.
        leases: by token; those of this node.
        accounts: this machine's.
        key: the proxy's; None = this machine has no proxy, seals prove nothing.

    A uid of which the directory service has not said yet whose it is leaves the process to nobody (``Source.NONE``,
    for which a look waits a moment): a weaker rule must not name somebody meanwhile.
    """
    if process is None:
        return Owner(source=Source.GONE)
    process, forged = _without_forged_ids(process, containers)
    engine = process.cgroup.delegated or 0
    known = [
        facts
        for found in process.cgroup.containers
        if (facts := containers.get(found)) and facts.engine_uid == engine
    ]
    case = Case(process, known[0] if known else None, containers, leases, accounts, key)
    if forged is not None:
        case.doubts.append(
            f"its cgroup names container {forged[:12]}, but the user whom it runs as made that cgroup"
        )
    try:
        user, source = _first_answer(case)
        around = _around(case, known, user)
    except NoAnswerYetError:
        user, source, around = UNKNOWN, Source.NONE, None
        case.doubts.clear()
    if around:
        case.doubts.append(around)
    container = case.container
    ids = process.cgroup.containers
    return Owner(
        user=user,
        source=source,
        container_id=container.id if container else (ids[0] if ids else ""),
        container=container.name if container else "",
        image=container.image if container else "",
        job=case.job,
        disputed="; ".join(dict.fromkeys(case.doubts)),
    )


def _without_forged_ids(
    process: ProcessFacts, containers: Mapping[str, ContainerFacts]
) -> tuple[ProcessFacts, str | None]:
    """Return the process without the ids that only its own user put there, and the first of those."""
    facts = process.cgroup
    if facts.delegated is None:
        return process, None
    forged = [
        found
        for found in facts.containers
        if found in containers and containers[found].engine_uid != facts.delegated
    ]
    if not forged:
        return process, None
    kept = tuple(found for found in facts.containers if found not in forged)
    return replace(process, cgroup=replace(facts, containers=kept)), forged[0]


def _first_answer(case: Case) -> tuple[str, Source]:
    for rule in RULES:
        answer = rule(case)
        if answer is not None:
            return answer
    return UNKNOWN, Source.NONE


def _around(case: Case, known: list[ContainerFacts], user: str) -> str | None:
    """Return a doubt when a container around it is another person's: a privileged container can forge inner ids."""
    for outer in known[1:]:
        held = replace(case.process, cgroup=replace(case.process.cgroup, containers=(outer.id,)))
        other, source = _first_answer(
            Case(held, outer, case.containers, case.leases, case.accounts, case.key)
        )
        if other not in {UNKNOWN, user} and source is not Source.DATA:
            return f"it is charged to {user}, but runs inside container {outer.name}, which is {other}'s"
    return None


def _queue(case: Case) -> Answer:
    """Rule 1: everybody may write such labels; the lease says whether labq did."""
    said = {key: case.labels.get(key, "") for key in (LABEL_JOB, LABEL_ATTEMPT, LABEL_LEASE, LABEL_OWNER)}
    if case.container is None or not any(said.values()):
        return None
    lease = case.leases.get(said[LABEL_LEASE])
    if lease is None:
        case.doubts.append(f"its labels say labq job {_quote(said[LABEL_JOB])}, but no such lease exists")
    elif (lease.job, str(lease.attempt), lease.owner) != (
        said[LABEL_JOB],
        said[LABEL_ATTEMPT],
        said[LABEL_OWNER],
    ):
        case.doubts.append(f"its labels name a lease, but that is of job {lease.job} of {lease.owner}")
    elif any(
        other.labels.get(LABEL_LEASE) == lease.token and _earlier(other, case.container)
        for other in case.containers.values()
    ):
        case.doubts.append(f"its labels are a copy of those of job {lease.job}")
    else:
        case.job = lease.job
        return lease.owner, Source.QUEUE
    return None


def _proxy(case: Case) -> Answer:
    """Rule 2: only the proxy has the key, and a seal is good for one container."""
    if case.container is None or case.key is None or STAMP_LABEL not in case.labels:
        return None
    owner, stamp = case.labels.get(OWNER_LABEL, ""), case.labels[STAMP_LABEL]
    nonce = verify(case.key, stamp, owner)
    if nonce is None:
        case.doubts.append("its seal is not the proxy's")
        return None
    if not is_timely(nonce, case.container.created):
        case.doubts.append("its seal was made for a container of another time")
        return None
    # Whoever may inspect a container can copy its labels onto another one.
    if any(
        f":{nonce}:" in other.labels.get(STAMP_LABEL, "") and _earlier(other, case.container)
        for other in case.containers.values()
    ):
        case.doubts.append("its seal is a copy of another container's")
        return None
    return owner, Source.PROXY


def _label(case: Case) -> Answer:
    """Rule 3: a word is believed until something harder says otherwise."""
    claimed = case.labels.get(OWNER_LABEL)
    if claimed is None:
        return None
    if not _NAME.fullmatch(claimed) or claimed in {UNKNOWN, "root"}:
        case.doubts.append(f"its label says {_quote(claimed)}, which is no person's name")
        return None
    directory = owner_of_directory(case)
    if directory and directory[0] != claimed:
        case.doubts.append(f"its label says {claimed}, but its {directory[1]} is {directory[0]}'s")
    return unless_disproved(case, claimed, Source.LABEL, f"its label says {claimed}")


def _workdir(case: Case) -> Answer:
    """Rule 4: these labels, too, are words of whoever started it, though tools write them."""
    found = owner_of_directory(case)
    if found is None:
        return None
    return unless_disproved(case, found[0], Source.WORKDIR, f"its {found[1]} is {found[0]}'s")


def _mount(case: Case) -> Answer:
    """Rule 5."""
    home = mounted_home(case)
    return told(case, home, Source.MOUNT) if home else None


def _uid(case: Case) -> Answer:
    """Rule 6: in a container a number is a person only if a person asked for it."""
    uid = case.process.uid
    if case.inside and (case.container is None or case.container.asked_uid != uid):
        return None
    name = case.accounts.person(uid)
    return told(case, name, Source.UID) if name else None


def _loginuid(case: Case) -> Answer:
    """Rule 7."""
    name = login_of(case)
    return told(case, name, Source.LOGINUID) if name else None


def _userslice(case: Case) -> Answer:
    """Rule 8."""
    name = case.accounts.person(case.process.cgroup.slice_uid)
    return (name, Source.USERSLICE) if name else None


def _subuid(case: Case) -> Answer:
    """Rule 9."""
    name = case.accounts.subuid_owner(case.process.uid)
    return (name, Source.SUBUID) if name else None


def _data(case: Case) -> Answer:
    """Rule 10: what can be written says more than what is read."""
    mounts = case.container.mounts if case.container else ()
    for writable in (True, False):
        homes = (case.accounts.home_owner(mount.path) for mount in mounts if mount.writable is writable)
        owners = {owner for owner in homes if owner}
        if owners:
            # A uid that was asked for but is not the process's now names nobody, and nobody else either.
            named = owners | {name for name, _, _ in evidence(case)}
            return (owners.pop(), Source.DATA) if len(named) == 1 else None
    return None


RULES: tuple[Callable[[Case], Answer], ...] = (
    _queue,
    _proxy,
    _label,
    _workdir,
    _mount,
    _uid,
    _loginuid,
    _userslice,
    _subuid,
    _data,
)


def _earlier(one: ContainerFacts, other: ContainerFacts) -> bool:
    return one.id != other.id and (one.created, one.id) < (other.created, other.id)


def _quote(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")

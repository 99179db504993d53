"""What a simulation is asked, checked as a whole before anything is replayed: nobody waits minutes for an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labq.errors import BadInputError
from labq.gpu_request import GpuRequest
from labq.node import Node
from labq.units import about_duration
from labq_scheduler.policy.rules import Rules
from labq_scheduler.simulate.changes import added, removed
from labq_scheduler.simulate.machines import parse_machines
from labq_scheduler.simulate.past import past_jobs, present_nodes
from labq_scheduler.simulate.runs import Work
from labq_scheduler.simulate.shake import JITTER, limited
from labq_scheduler.simulate.traces import TraceJob, first_line, ignored, offered_load, read_trace
from labq_scheduler.simulate.variants import DEFAULT, OWN, PRESENT, Variant, check_names, unfit

#: What is compared when nobody says what: the first is what scores are told against, as for the public traces.
USUAL = ("mf-easy-pred", "easy-pred", "fifo", OWN)
MAX_SHAKE = 1000
#: Of fewer jobs a note says that they are few.
FEW = 200
#: Submissions that lie within so many times the most by which they are moved lose their order by it.
CLOSE = 20


@dataclass(frozen=True, slots=True)
class Question:
    """A legal question."""

    work: Work
    #: remarks that its answer should not be read without
    notes: Sequence[str]
    #: one line
    title: str
    #: "" = on the same machines
    changed: str

    def about(self) -> dict[str, Any]:
        """Return what the JSON says besides the rows."""
        work = self.work
        return {
            "jobs": len(work.trace),
            "people": len({job.user for job in work.trace}),
            "load": round(offered_load(work.trace, work.variants[0].gpus), 4),
            "shake": work.shake,
            "seed": work.seed,
            "notes": list(self.notes),
        }


def question_of(request: Mapping[str, Any], given: Rules | None, present: Rules | None) -> Question:
    """Return what a request of `labq simulate` asks.

    Args:
        request: its flags, as labq/cli/simulate.py writes them.
        given: the rules of --rules; None = none were given.
        present: those in force in the lab; None = no lab was asked.

    Raises:
        BadInputError: quoting what is not legal.
    """
    notes: list[str] = []
    past = request.get("history")
    changed = " ".join(
        f"{sign}{request[name]}" for name, sign in (("add", "+"), ("remove", "−")) if request.get(name)
    )
    names = _names(request, bool(changed))
    if PRESENT in names and present is None:
        raise BadInputError(
            "the lab's present rules are not known here", "--compare present goes with --history"
        )
    rules = {DEFAULT: Rules(), PRESENT: present or Rules(), OWN: given or present or Rules()}
    nodes = _machines(request, notes)
    after = nodes
    if request.get("remove"):
        after = removed(after, request["remove"])
    if request.get("add"):
        after = added(after, request["add"])
    trace = past_jobs(past["jobs"]) if past else _read(Path(request["trace"]), notes)
    if request.get("limit_runtime"):
        trace = limited(trace, float(request["limit_runtime"]))
    # A lab's own jobs all fitted one machine; public traces have larger ones, which were spread over several.
    gangs = not past
    trace = _fitting(trace, (nodes, after), gangs=gangs, leave_out=bool(past), notes=notes)
    places = ((nodes, ""), (after, f" {changed}")) if changed else ((nodes, ""),)
    variants = [
        Variant(name + suffix, name, rules.get(name, Rules()), tuple(machines), gangs)
        for name in names
        for machines, suffix in places
    ]
    shake, seed = _whole(request, "shake", MAX_SHAKE), _whole(request, "seed", 2**31)
    notes += _doubts(trace, shake)
    return Question(
        Work(variants, trace, shake, seed), notes, _title(trace, variants[0], shake, seed), changed
    )


def _names(request: Mapping[str, Any], changed: bool) -> Sequence[str]:
    said = [name.strip() for name in (request.get("compare") or "").split(",") if name.strip()]
    check_names(said)
    if said:
        return said
    if request.get("rules"):
        return (PRESENT if request.get("history") else DEFAULT, OWN)
    return (OWN,) if changed else USUAL


def _machines(request: Mapping[str, Any], notes: list[str]) -> list[Node]:
    if request.get("machines"):
        nodes = parse_machines(request["machines"])
    else:
        views = request["history"]["nodes"]
        nodes = present_nodes(views)
        if away := [view["name"] for view in views if view["state"] != "up"]:
            notes.append(f"machines that take no work now are left out: {', '.join(away)}")
    if not any(node.gpus for node in nodes):
        raise BadInputError("the machines have no GPU", "say which there are: --machines 14x4")
    return nodes


def _read(path: Path, notes: list[str]) -> list[TraceJob]:
    trace = read_trace(path)
    if path.is_file() and (unread := ignored(first_line(path))):
        notes.append(f"columns that say nothing to a replay: {', '.join(unread)}")
    return trace


def _fitting(
    trace: list[TraceJob], places: Sequence[Sequence[Node]], *, gangs: bool, leave_out: bool, notes: list[str]
) -> list[TraceJob]:
    """Return the jobs that fit on all machines that are compared: who waits for ever has no wait to compare."""
    bad = {job.id: job for nodes in places for job in unfit(trace, nodes, gangs=gangs)}
    if not bad:
        return trace
    first = next(iter(bad.values()))
    asked = str(first.spec.gpus) if first.spec else str(GpuRequest(first.gpus, first.models))
    if not leave_out:
        raise BadInputError(
            f"job {first.id} asks for GPUs {asked!r}, and these machines could never run it"
            + (f", nor {len(bad) - 1} others" if len(bad) > 1 else ""),
            "give larger --machines with the models that the trace names, or take such jobs out of the file",
        )
    notes.append(
        f"{len(bad)} of {len(trace)} jobs are left out that not all of these machines could run, as job {first.id} (GPUs {asked!r})"
    )
    left = [job for job in trace if job.id not in bad]
    if not left:
        raise BadInputError("none of the jobs could run on these machines", "give others with --machines")
    return left


def _doubts(trace: Sequence[TraceJob], shake: int) -> Iterator[str]:
    """Yield why the answer may say more of chance than of machines and rules."""
    if len(trace) < FEW:
        yield f"{len(trace)} {'job is' if len(trace) == 1 else 'jobs are'} few: differences may be chance"
    span = max(job.submitted for job in trace) - min(job.submitted for job in trace)
    if shake and len(trace) > 1 and span < CLOSE * JITTER:
        yield (
            f"all jobs came within {about_duration(span)}, and submissions are moved by up to 30 min: "
            "little of how they came is left; --shake 0 replays them as they came"
        )


def _whole(request: Mapping[str, Any], name: str, most: int) -> int:
    value = int(request.get(name) or 0)
    if not 0 <= value <= most:
        raise BadInputError(f"--{name} {value} is out of range", f"write 0 to {most}")
    return value


def _title(trace: Sequence[TraceJob], variant: Variant, shake: int, seed: int) -> str:
    people = len({job.user for job in trace})
    load = offered_load(trace, variant.gpus)
    replays = (
        f"mean of {shake} {'replay' if shake == 1 else 'replays'}, submissions moved by up to 30 min, seed {seed}"
        if shake
        else "one replay, jobs as they came"
    )
    return (
        f"{len(trace):,} {'job' if len(trace) == 1 else 'jobs'} of {people} {'person' if people == 1 else 'people'} "
        f"on {variant.gpus} {'GPU' if variant.gpus == 1 else 'GPUs'} of {len(variant.nodes)} {'node' if len(variant.nodes) == 1 else 'nodes'} (load {load:.2f}); {replays}"
    )

"""What it gains one of five to play the policy: `python tests/bench/gaming.py [load]`. A replay; nothing is started.

Five people ask for the same for a month, on 8 GPUs: jobs of one GPU, 4 hours in the median. One of them

    tells      a time limit of a minute more than each job runs
    splits     each job into an array of 16
    pretends   names each job anew, and before it runs three jobs of that name that end after 10 s
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parent.parent))

from builders import make_node

from bench.table import title
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.runtimes import Runtimes
from labq_scheduler.simulate.replay import Replay
from labq_scheduler.simulate.traces import TraceJob

PEOPLE, GPUS, MONTH, HOUR = 5, 8, 30 * 86_400.0, 3600.0
#: Seconds in the median, and the mean of what is drawn below over it.
MEDIAN, MEAN_OVER_MEDIAN = 4 * HOUR, 1.65
SEEDS = (1, 2)


def trace(how: str, load: float, seed: int) -> list[TraceJob]:
    """Return the jobs of all; person 0 plays."""
    draw, found = random.Random(seed), list[TraceJob]()
    each = int(load * GPUS * MONTH / (MEDIAN * MEAN_OVER_MEDIAN) / PEOPLE)
    for person in range(PEOPLE):
        for number in range(each):
            at = draw.uniform(HOUR, MONTH)
            lasts = min(5 * 86_400.0, draw.lognormvariate(0, 1) * MEDIAN)
            mine, user = how if person == 0 else "", f"person-{person}"
            name = f"n{number}" if mine == "pretends" else "train"
            if mine == "pretends":
                found += [TraceJob("before", user, at - HOUR + n, 10.0, 1, name=name) for n in range(3)]
            parts = 16 if mine == "splits" else 1
            limit = lasts + 60.0 if mine == "tells" else None
            found += [TraceJob("job", user, at, lasts / parts, 1, (), limit, name) for _ in range(parts)]
    return sorted(found, key=lambda job: job.submitted)


def waits(how: str, load: float, seed: int) -> tuple[float, float]:
    """Return the mean hours that the player's jobs waited, and those of the others."""
    ran = Replay([make_node(gpus=GPUS, cpus=64)], Rules(), Runtimes()).run(trace(how, load, seed))
    jobs = [one for one in ran if one.job.id == "job"]
    player = mean(one.waited for one in jobs if one.job.user == "person-0")
    return player / HOUR, mean(one.waited for one in jobs if one.job.user != "person-0") / HOUR


def main() -> None:
    """Print a table."""
    loads = [float(text) for text in sys.argv[1:]] or [0.9, 1.2]
    for load in loads:
        title(f"load {load:g}: mean wait")
        for how in ("plays not", "tells", "splits", "pretends"):
            player, others = (
                mean(both) for both in zip(*(waits(how, load, seed) for seed in SEEDS), strict=True)
            )
            print(f"{how:<10} {player:6.1f} h   the others {others:6.1f} h", flush=True)


if __name__ == "__main__":
    main()

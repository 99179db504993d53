"""Pieces of PromQL that several panels need. Nothing here is a number: thresholds belong to panels.

GPUs are joined by ``node`` and ``gpu``, and every side is aggregated to just these, so that an exporter that two jobs
scrape, or that has just changed its address, makes no join fail.
"""

from __future__ import annotations

NODE = 'node=~"$node"'
PERSON = 'user=~"$user"'
JOB = 'job_id=~"$job"'
#: Names of the jobs in prometheus.yml.
EXPORTERS, MACHINES = "labq-node", "node"

MODEL = f"max by (node, gpu, model) (labq_gpu_info{{{NODE}}})"
#: A GPU that no look has reached for a while has no state; saying nothing would hide it.
STATE = f"(max by (node, gpu) (labq_gpu_state{{{NODE}}}) or on (node, gpu) ((max by (node, gpu) (labq_gpu_up{{{NODE}}}) == 0) + 5))"

#: The recording rule remembers people for an hour when the server is away; without the rules, the server itself.
PEOPLE = "max by (user, group) (user:labq_user_info:last1h or on (user) labq_user_info)"

_ROW = "node, gpu, user, what, way, job_id"


def holder(metric: str, selector: str = NODE) -> str:
    """Return a family of holders with labels for people: what it is, and by which way it came.

    Args:
        metric: one of ``labq_gpu_holder_*``.
        selector: which of its series.
    """
    named = f'label_replace({metric}{{{selector}}}, "what", "process on the machine", "", "")'
    named = f'label_replace({named}, "what", "$1", "container", "(.+)")'
    named = f'label_replace({named}, "what", "job $1", "job_id", "(.+)")'
    named = f'label_replace({named}, "way", "outside", "", "")'
    return f'label_replace({named}, "way", "in the queue", "job_id", ".+")'


def holders(metric: str, selector: str = NODE, how: str = "max") -> str:
    """Return one series for each holder of a GPU."""
    return f"{how} by ({_ROW}) ({holder(metric, selector)})"


def by_gpu(expr: str, values: str) -> str:
    """Return `values` (one for each GPU) for every holder of `expr`."""
    return f"{expr} * on (node, gpu) group_left () {values}"


def with_model(expr: str) -> str:
    """Return the series with the label ``model``."""
    return f"({expr}) * on (node, gpu) group_left (model) {MODEL}"


def idle_share(window: str) -> str:
    """Return the share of the time that a person held a GPU in which it did nothing, by node, GPU and person.

    Not of a GPU that is reserved now: its job is only starting.
    """
    idle = f"sum by (node, gpu, user) (increase(labq_gpu_user_idle_held_seconds_total{{{NODE}}}[{window}]))"
    held = f"sum by (node, gpu, user) (increase(labq_gpu_user_held_seconds_total{{{NODE}}}[{window}]))"
    return f"({idle} / ({held} > 0) unless on (node, gpu) labq_gpu_state{{{NODE}}} == 1)"


def hours(what: str, by: str, selector: str = "", window: str = "$__range") -> str:
    """Return GPU-hours within the page's time.

    Args:
        what: held, busy or idle_held.
        by: labels to sum by.
        selector: more than node and person.
        window: how long, ending at the page's end.
    """
    chosen = ", ".join(filter(None, (NODE, PERSON, selector)))
    return f"sum by ({by}) (increase(labq_gpu_user_{what}_seconds_total{{{chosen}}}[{window}])) / 3600"


def grouped(expr: str, by: str = "user, group") -> str:
    """Return what `expr` says of people, of the groups that are chosen; who is in no group is in "none".

    A plain join with ``labq_user_info`` would lose everybody whom the server does not know; and a choice of groups can
    only be applied behind the join, hence the label ``shown``.
    """
    known = f"({expr}) * on (user) group_left (group) {PEOPLE}"
    unknown = f'label_replace({expr}, "group", "none", "", "")'
    marked = f'label_replace(({known}) or on (user) {unknown}, "shown", "yes", "group", "$group")'
    return f'sum by ({by}) ({marked} and on (shown) label_replace(vector(1), "shown", "yes", "", ""))'


#: The GPUs that the chosen people and jobs have: those that a process of theirs is on, and those leased to them.
MINE = f"max by (node, gpu) (labq_gpu_holder_info{{{NODE}, {PERSON}, {JOB}}} or labq_gpu_lease{{{NODE}, {PERSON}, {JOB}}})"


def mine(metric: str) -> str:
    """Return a GPU's values for as long as the chosen people and jobs have it."""
    return f"max by (node, gpu) ({metric}{{{NODE}}}) and on (node, gpu) {MINE}"


def jobs(state: str, by: str = "") -> str:
    """Return jobs in these states, counted once however many servers tell of them.

    Args:
        state: a regular expression of states.
        by: labels to sum by.
    """
    summed = f"sum by ({by})" if by else "sum"
    return f'{summed} (max by (state, user) (labq_jobs{{{PERSON}, state=~"{state}"}}))'

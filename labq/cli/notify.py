"""What you want to be told of your jobs, where and when: Slack, mail, or a webhook.

labq notify                                      what holds now, and whether it reaches you
labq notify set --events failed,idle             only these; failed, succeeded, cancelled, requeued, waiting,
                                                 idle, all or none
labq notify set --channel slack:#my-group        slack (a direct message), slack:#channel, mail:you@example.org,
                                                 webhook:https://… or none
labq notify set --quiet 22:00-08:00 --zone Asia/Tokyo
                                                 held back until the hours end, then one message; without --zone
                                                 the hours are those of this machine's time zone
labq notify test                                 send one now
labq notify dead                                 what could not be sent to you; an admin sees everybody's
labq notify retry ID                             send it again
labq notify forget ID, labq notify forget --all  or leave it at that

With --digest on (the default) an array is one message with a table, and so are jobs of one name that end together.
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labq.client import Client

_ACTIONS = ("show", "set", "test", "dead", "retry", "forget")
_FLAGS = ("events", "channel", "quiet", "zone", "digest", "longer_than")


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "action", metavar="ACTION", nargs="?", default="show", help="show, set, test, dead, retry or forget"
    )
    parser.add_argument("id", metavar="ID", nargs="?", help="retry, forget: of a dead letter")
    parser.add_argument("--all", action="store_true", help="forget: all that you see with labq notify dead")
    parser.add_argument("--events", metavar="LIST", help="set: what to be told, such as failed,succeeded")
    parser.add_argument(
        "--channel", metavar="WHERE", help="set: slack, slack:#channel, mail:…, webhook:…, none"
    )
    parser.add_argument("--quiet", metavar="HOURS", help="set: 22:00-08:00, or off")
    parser.add_argument(
        "--zone", metavar="ZONE", help="set: time zone of the quiet hours, such as Asia/Tokyo"
    )
    parser.add_argument("--digest", metavar="on|off", help="set: one message for an array or a sweep")
    parser.add_argument(
        "--longer-than", metavar="TIME", help="set: tell of a success only if the job ran so long: 60s (default), 0"
    )  # fmt: skip
    common.add_json(parser)


def run(options: Any) -> int:
    """Show or change it."""
    _check(options)
    client = common.client(options)
    match options.action:
        case "set":
            changes = {flag: getattr(options, flag) for flag in _FLAGS if getattr(options, flag) is not None}
            if "quiet" in changes and "zone" not in changes:
                changes |= _zone(client)
            _show(client.set_notify(changes), options)
        case "test":
            found = client.test_notify()
            _say(found, f"a notice is on its way to {found['channel']}", options)
        case "dead":
            _dead(client.dead_letters(), options)
        case "retry":
            found = client.retry_dead_letter(options.id)
            _say(found, f"{found['id']} is sent again to {found['user']}", options)
        case "forget" if options.all:
            count = client.forget_dead_letters()
            letters = "dead letter is" if count == 1 else "dead letters are"
            _say({"forgotten": count}, f"{count} {letters} forgotten", options)
        case "forget":
            found = client.forget_dead_letter(options.id)
            _say(found, f"{found['id']} is forgotten", options)
        case _:
            _show(client.notify(), options)
    return 0


def _zone(client: Client) -> dict[str, str]:
    """Return the zone of this machine for hours that are said without one, unless one was said before."""
    import os

    from labq.cli.zone import local_zone

    here = local_zone(os.environ)
    return {"zone": here} if here and client.notify()["zone"] == "UTC" else {}


def _check(options: Any) -> None:
    if options.action not in _ACTIONS:
        from labq.errors import closest

        near = closest(options.action, list(_ACTIONS))
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(
            f"labq notify has no action {options.action!r}", f"{hint}legal: {', '.join(_ACTIONS)}"
        )
    said = [flag for flag in _FLAGS if getattr(options, flag) is not None]
    if options.action == "set" and not said:
        raise BadInputError(
            "labq notify set: nothing is to be changed",
            "name what is: --events LIST --channel WHERE --quiet HOURS --zone ZONE --digest on|off --longer-than TIME",
        )
    if options.action != "set" and said:
        raise BadInputError(
            f"--{said[0].replace('_', '-')} changes something, labq notify {options.action} does not",
            f"labq notify set --{said[0].replace('_', '-')} …",
        )
    if options.all and (options.action != "forget" or options.id):
        raise BadInputError(
            "--all stands alone, with labq notify forget",
            "labq notify forget --all, or labq notify forget ID",
        )
    wants = options.action in {"retry", "forget"} and not options.all
    if wants != bool(options.id):
        what = "needs the id of a dead letter" if wants else "takes no id"
        raise BadInputError(f"labq notify {options.action} {what}", "labq notify dead lists them")


def _say(found: Any, text: str, options: Any) -> None:
    from labq.cli import terminal
    from labq.cli.render.text import clean

    if options.json:
        terminal.print_json(found)
    else:
        print(clean(text))


def _show(found: Any, options: Any) -> None:
    from labq.cli import terminal
    from labq.cli.render.text import clean

    if options.json:
        terminal.print_json(found)
        return
    from labq.about import about_duration

    quiet = f"{found['quiet']} {found['zone']}" if found["quiet"] else "none"
    rows = (
        ("channel", found["channel"]),
        ("events", ", ".join(found["events"]) or "none"),
        ("successes", f"of jobs that ran longer than {about_duration(found['longer_than'])}"),
        ("quiet hours", quiet),
        ("digest", "on" if found["digest"] else "off"),
        ("waiting", str(found["waiting"])),
    )
    for label, value in rows:
        print(f"{label:<12} {clean(str(value))}")
    if found["problem"]:
        terminal.note(f"nothing reaches you now: {clean(found['problem'])}")


def _dead(found: Any, options: Any) -> None:
    from labq.cli import terminal
    from labq.cli.render.text import clean, table

    if options.json:
        terminal.print_json(found)
    elif not found:
        terminal.note("no dead letters: everything could be sent")
    else:
        heads = ["ID", "USER", "KIND", "JOB", "TRIES", "WHY"]
        rows = [
            [clean(str(one[key])) for key in ("id", "user", "kind", "job", "tries", "error")] for one in found
        ]
        print(table(heads, rows, terminal.width()), end="")

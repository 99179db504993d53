"""What `labq submit` does step by step: read the order, bring the context, send, report."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from labq.cli import flags, project_file, request, terminal
from labq.clock import now
from labq.errors import BadInputError, ImpossibleError, InternalError, NotFoundError, UnavailableError
from labq.ids import parse_array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labq.client import Client


#: Seconds that the server has to say, before a long upload, whether a job could ever run.
_CHECK = 10.0


class Order:
    """What was asked for.

    Attributes:
        directory: to build; None when an image is named.
        spec: the wire form, without ``context``.
        array: indices, or None.
        secrets: values by name.
        file: what labq.toml said that no flag replaced, and where it is, to blame it.
    """

    __slots__ = ("array", "directory", "file", "file_path", "secrets", "spec")

    def __init__(
        self, directory: str | None, spec: dict[str, Any], array: str | None, secrets: dict[str, str]
    ) -> None:
        self.directory = directory
        self.spec = spec
        self.array = array
        self.secrets = secrets
        self.file: Mapping[str, Any] = {}
        self.file_path = ""


def read_order(options: Any) -> Order:
    """Return what flags, labq.toml and environment ask for.

    Raises:
        BadInputError: what is wrong.
    """
    directory, given = options.directory, flags.given(options)
    if directory is None and "image" not in given:
        near = "labq submit .  builds this directory; " if os.path.exists("Dockerfile") else ""
        raise BadInputError(
            "labq submit: nothing to run was named", f"{near}labq submit DIR, or labq submit --image REF"
        )
    if directory is not None and "image" in given:
        if not os.path.isdir(directory):
            raise BadInputError(
                f"labq submit: {directory!r} is one word too many",
                "a command for the container goes behind `--`: labq submit --image REF -- CMD…",
            )
        raise BadInputError(
            f"labq submit: both a directory ({directory!r}) and an image ({given['image']!r}) were named",
            "name one of them; to set the image in the directory's settings, write image = … into its labq.toml",
        )
    if directory is not None and os.path.isfile(directory):
        raise BadInputError(
            f"{directory} is a file; give the directory that holds the Dockerfile",
            "labq submit DIR, or with a command of your own: labq submit DIR -- CMD…",
        )
    file = project_file.read(directory) if directory is not None else {}
    where = os.path.abspath(directory) if directory is not None else request.image_name(given["image"])
    spec = request.spec_of(
        given,
        file,
        options.command,
        environ=os.environ,
        now=now(),
        default_name=request.legal_name(os.path.basename(where)),
    )
    names = spec.get("secrets") or []
    values = request.secret_values(
        [names] if isinstance(names, str) else names, given.get("secrets", []), os.environ
    )
    array = options.array if options.array is not None else file.get("array")
    builds = directory if "image" not in spec else None
    order = Order(builds, spec, None if array is None else str(array), values)
    if directory is not None:
        order.file = {key: value for key, value in file.items() if key not in given}
        order.file_path = os.path.join(directory, project_file.NAME)
    return order


def warn_of_shell(command: Sequence[str] | None) -> None:
    """Say it when what stands behind ``--`` is one word that only a shell would take apart."""
    if command and len(command) == 1 and (" " in command[0].strip() or "&&" in command[0]):
        word = "'" + command[0].replace("'", "'\"'\"'") + "'"
        terminal.note(f"warning: {word} is one word: a program of that name; to use a shell: -- sh -c {word}")


def send(client: Client, order: Order, *, quiet: bool) -> dict[str, Any]:
    """Bring the context to the server and submit; return the API's answer."""
    try:
        if order.directory is not None:
            _bring_context(client, order, quiet=quiet)
        return client.submit_spec(order.spec, array=order.array, secrets=order.secrets)
    except BadInputError as error:
        raise project_file.blame(error, order.file, order.file_path) from None


def _bring_context(client: Client, order: Order, *, quiet: bool) -> None:
    from labq.cli.progress import Progress
    from labq.client import upload

    assert order.directory is not None  # noqa: S101 - for the type checker
    context = upload.open_directory(order.directory, str(order.spec.get("dockerfile", "Dockerfile")))
    progress = Progress(sys.stderr)
    report = None if quiet else progress
    try:
        sha = upload.digest(context, report)
        order.spec["context"] = sha
        upload.upload(client.session, context, sha, report, before=lambda: _check_first(client, order))
    finally:
        progress.done()


def _check_first(client: Client, order: Order) -> None:
    """Refuse before a long upload what the server would refuse after it.

    It saves a wait and decides nothing: a server that cannot say (an older one, one that is busy) is not asked twice.
    """
    from labq.spec import JobSpec

    JobSpec.from_wire(order.spec, "the request")
    try:
        answer = client.check(order.spec, array=order.array, estimate=False, timeout=_CHECK)
        impossible = answer.get("why") and not answer.get("fits") and client.nodes()
    except (InternalError, NotFoundError, UnavailableError):
        return
    if impossible:
        raise ImpossibleError(
            f"no node of this lab can ever run it: {answer['why']}",
            "labq nodes shows what there is; ask for less",
        )


def dry_run(client: Client, order: Order, *, as_json: bool) -> int:
    """Say where the job would run; the context is named by its digest and not sent."""
    if order.directory is not None:
        from labq.client import upload

        context = upload.open_directory(order.directory, str(order.spec.get("dockerfile", "Dockerfile")))
        order.spec["context"] = upload.digest(context)
    try:
        answer = client.check(order.spec, array=order.array)
    except BadInputError as error:
        raise project_file.blame(error, order.file, order.file_path) from None
    if as_json:
        terminal.print_json(answer)
        return 0
    fits = [str(name) for name in answer.get("fits") or []]
    if not fits:
        print(f"no node can run it: {answer.get('why')}")
        return ImpossibleError.exit_status
    if answer.get("why"):
        print(f"it would be refused: {answer['why']}")
        return ImpossibleError.exit_status
    print(f"it would be queued; nodes that can run it: {', '.join(fits)}")
    if order.array is not None:
        print(f"of its {len(parse_array(order.array))} tasks this is the first:")
    if "waits" in answer:
        from labq.cli.render.outlook import lines
        from labq.cli.render.reason import reason

        waits = answer["waits"]
        print(f"it would wait: {reason(str(waits), now())}" if waits else "it would start at once")
        for line in lines(answer, now()):
            print(line)
    return 0


def report(answer: Mapping[str, Any], *, quiet: bool, follow: bool) -> None:
    """Print the new job, and what to type next."""
    number, tasks = answer["id"], answer.get("jobs")
    if quiet:
        print(number, flush=True)
        return
    for warning in answer.get("warnings") or []:
        terminal.note(f"warning: {warning}")
    if tasks:
        print(
            f"array {number} queued ({answer.get('name', '')}): {len(tasks)} tasks {tasks[0]['id']} … {tasks[-1]['id']}"
        )
        terminal.note(f"  next: labq show {number} · labq wait {number} · labq cancel {number}")
        return
    print(f"job {number} {answer['state']} ({answer.get('name', '')})", flush=True)
    if not follow:
        terminal.note(f"  next: labq logs -f {number} · labq why {number} · labq cancel {number}")

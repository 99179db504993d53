"""Where the Dockerfile of a context is, and which ignore file goes with it."""

from __future__ import annotations

import os

from labq.packing.errors import PackingError, shown
from labq.packing.ignore import IgnoreRules
from labq.packing.walk import decoded, trouble

#: What is labq's and not the build's: where `labq fetch` puts results, and the file that says how to run, not what.
#: Sending them would send and build anew after each fetch and each change of the time limit.
DEFAULT = ("labq-outputs", "labq.toml")


def find(directory: str, dockerfile: str) -> str:
    """Check that a context directory has the Dockerfile it is said to have.

    Args:
        directory: The context directory.
        dockerfile: The Dockerfile's path from that directory, or its absolute path.

    Returns:
        Its path from the directory, cleaned.

    Raises:
        PackingError: If the directory is none, or the Dockerfile is missing, no file, or
            outside the directory.
    """
    if not os.path.isdir(directory):
        kind = "is not a directory" if os.path.exists(directory) else "does not exist"
        raise PackingError(
            f"The context {shown(os.fsencode(directory))} {kind}.",
            "Give a directory that holds a Dockerfile.",
        )
    name = os.path.normpath(dockerfile)
    if os.path.isabs(name):
        name = os.path.relpath(name, os.path.abspath(directory))
    whole = os.path.join(directory, name)
    root = os.path.realpath(directory)
    outside = name.startswith("../")
    if not outside and os.path.exists(whole):
        outside = not os.path.realpath(whole).startswith(root.rstrip("/") + "/")
    if outside or name in (".", ".."):
        raise PackingError(
            f"The Dockerfile {shown(os.fsencode(dockerfile))} is not in the context "
            f"{shown(os.fsencode(directory))}.",
            "Only what is in the context is sent: copy the Dockerfile there and give its path "
            "from there, for example docker/Dockerfile.",
        )
    if not os.path.isfile(whole):
        kind = "is not a file" if os.path.lexists(whole) else "does not exist"
        raise PackingError(
            f"The Dockerfile {shown(os.fsencode(whole))} {kind}.",
            f"Write one (it begins with FROM), or give the path of the right one.{_like(directory)}",
        )
    return name


def _like(directory: str) -> str:
    try:
        names = sorted(n for n in os.listdir(directory) if "dockerfile" in n.lower())
    except OSError:
        return ""
    names = [n for n in names if not n.endswith(".dockerignore")][:5]
    if not names:
        return ""
    return f" These look like one: {', '.join(shown(os.fsencode(n)) for n in names)}."


def read_rules(root: bytes, dockerfile: str) -> IgnoreRules:
    """Read the ignore file that counts for a Dockerfile.

    As in BuildKit, `<Dockerfile>.dockerignore` takes the place of `.dockerignore`. The lines of `DEFAULT` stand before
    its own, so that a `!` line of it may put back what they leave out.

    Args:
        root: The context directory.
        dockerfile: The Dockerfile's path from root.

    Returns:
        The rules; none if there is no such file. The Dockerfile (and what it links to) and the
        ignore file are always sent.

    Raises:
        PackingError: If the file cannot be read or has an illegal line.
    """
    always = [dockerfile]
    real_root = os.path.realpath(root).rstrip(b"/")
    target = os.path.realpath(os.path.join(root, dockerfile.encode("utf-8", "surrogateescape")))
    if target.startswith(real_root + b"/"):
        always.append(decoded(target[len(real_root) + 1 :]))
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        path = os.path.join(root, name.encode("utf-8", "surrogateescape"))
        try:
            with open(path, "rb") as file:
                text = decoded(file.read())
        except FileNotFoundError:
            continue
        except OSError as error:
            raise trouble(path, error) from None
        return IgnoreRules(text.split("\n"), [*always, name], name, before=DEFAULT)
    return IgnoreRules((), always, before=DEFAULT)

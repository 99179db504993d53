"""What a test needs from the machine: skipped where a person lacks it, never skipped in CI."""

import os
from typing import NoReturn

import pytest

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def need(present: object, what: str) -> None:
    """Skips the test, or fails it in CI, unless `present` is true: a check that CI skips checks nothing.

    Args:
        present: What was found, e.g. the answer of `shutil.which`.
        what: Completes the sentence "this test needs …".
    """
    if not present:
        missing(what)


def missing(what: str) -> NoReturn:
    """Skips the test for want of `what`, or fails it in CI."""
    if IN_CI:
        pytest.fail(f"this test needs {what}, and CI must have it", pytrace=False)
    pytest.skip(f"needs {what}")

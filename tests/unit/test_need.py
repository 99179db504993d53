"""A missing thing skips a test on a person's machine and fails it in CI."""

import pytest
from support import need as module
from support.waiting import wait_for


@pytest.mark.parametrize(
    ("in_ci", "outcome"), [(True, pytest.fail.Exception), (False, pytest.skip.Exception)]
)
def test_what_is_missing(monkeypatch: pytest.MonkeyPatch, in_ci: bool, outcome: type[BaseException]) -> None:
    monkeypatch.setattr(module, "IN_CI", in_ci)
    with pytest.raises(outcome, match="a GPU"):
        module.need(None, "a GPU")


def test_what_is_there_is_no_matter() -> None:
    module.need("/usr/bin/cc", "a C compiler")


def test_waiting_in_vain_says_for_what_and_shows_the_hint() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.05 s in vain for rain; last: 0\nno clouds"):
        wait_for(lambda: 0, 0.05, "rain", hint=lambda: "no clouds")

"""The rules' file: what it may say, and every mistake with its line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labq.errors import BadInputError
from labq.rules.keys import KEYS
from labq.rules.lines import line_numbers
from labq.rules.read import load, read

pytestmark = pytest.mark.unit


def refused(text: str) -> BadInputError:
    with pytest.raises(BadInputError) as caught:
        read(text, "rules.toml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "what", "following"),
    [
        ("[weights]\n\nshre = 4", 3, '[weights] has no key "shre"', "did you mean share?"),
        ("[weigths]\nshare = 4", 1, 'the file has no section "weigths"', "did you mean weights?"),
        ("weights = 3", 1, "weights = 3 is no table", "write [weights]"),
        ("[weights]\nshare = true", 2, "[weights] share: true is not a number", "from 0 to 1000"),
        ("[weights]\nshare = -1", 2, "-1 is out of range", "from 0 to 1000"),
        ("[weights]\nshare = nan", 2, "nan is not a number", "from 0 to 1000"),
        ('[fair-share]\nhalf-life = 0', 2, "half-life of 0 would forget all use", '"14d"'),
        ('[fair-share]\nhalf-life = "0d"', 2, "would forget all use", "share = 0"),
        ('[fair-share]\nhalf-life = "5s"', 2, "too short", "14d"),
        ('[fair-share]\nhalf-life = "soon"', 2, "'soon' is not a duration", "30m"),
        ("[wait]\nbound = 7", 2, "7 has no unit", '"14d"'),
        ('[wait]\nbound = "7"', 2, '"7" has no unit', '"14d"'),
        ("[fair-share]\nage-full = []", 2, "[] is not a duration", '"14d"'),
        ('[passing]\nrule = "esay"', 2, '"esay" is not known', 'did you mean "easy"?'),
        ("[preemption]\nmost = 1.5", 2, "1.5 is out of range", "whole number"),
        ('[shares]\n"an na" = 2', 2, '"an na" is no name', "letters, digits"),
        ("[groups.vision]\nshare = 2", 1, "[groups.vision] has no members", "members = a list of people"),
        ('[groups.vision]\nmembers = ["a", 3]', 2, "3 is no name", "letters"),
        ('[groups.a]\nmembers = ["x"]\n[groups.b]\nmembers = ["x"]', 4, "x is in the group a, too", "in one"),
        ("groups = [1]", 1, "groups = [1] is no table", "[groups.NAME]"),
        ('[caps]\ngpus = "lots"', 2, '"lots" is not a number', 'or "none"'),
        ("[caps]\njobs = 2.5", 2, "2.5 is out of range", "whole number"),
        ("[caps.persons.anna]\ngpus = 1", 1, '[caps] has no key "persons"', "did you mean person?"),
        ("[caps.person.anna]\ngpu = 1", 2, 'has no key "gpu"', "did you mean gpus?"),
        ('[cards]\n"!" = 2', 2, '"!" is no card', "a100"),
        ('[classes]\nnormal = ["anna"]', 2, 'no key "normal"', "urgent, high"),
        ('[classes]\nhigh = ["@vison"]\n[groups.vision]\nmembers=["a"]', 2, 'no group "vison"', "did you mean @vision?"),
        ('[reservation]\nname = "x"', 1, "is no list of tables", "[[reservation]]"),
        ('[[reservation]]\nname = "x"\nfor = ["a"]\nfrom = 2026-12-01T10:00:00\nuntil = 2026-12-02T10:00:00Z',
         4, "is not a moment", "with its zone"),
        ('[[reservation]]\nname = "x"\nfor = ["a"]\nfrom = 2026-12-01T10:00:00Z\nuntil = "2026-11-02T10:00:00Z"',
         5, "until is not after from", "later moment"),
        ('\n[[reservation]]\nname = "x"\nfrom = 2026-12-01T10:00:00Z\nuntil = 2026-12-02T10:00:00Z',
         2, "[[reservation]] has no for", "@groups"),
        ('[[reservation]]\nnodes = ["n 1"]\nname = "x"\nfor=["a"]\nfrom = 2026-12-01T10:00:00Z\nuntil = 2026-12-02T10:00:00Z',
         2, "node constraint 'n 1' is not legal", "rack=a"),
        ('[weights]\n"\\u001b[2J" = 1', 2, r'no key "\x1b[2J"', "share, held"),
        ('[weights]\nshare = "a\\nb"', 2, r'"a\nb" is not a number', "from 0"),
        ("[weights]\nshare = ", 2, 'Invalid value: "share ="', "TOML"),
        ("[weights]\nshare = 1\nshare = 2", 3, "Cannot overwrite a value", "TOML"),
        ('[weights]\nx = """', 2, "Unterminated string", "TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_the_text_and_what_is_legal(
    text: str, line: int, what: str, following: str
) -> None:
    error = refused(text)
    assert error.what.startswith(f"rules.toml:{line}: ")
    assert what in error.what
    assert following in error.next
    assert error.details["line"] == line


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    error = refused('[caps]\ngpus = -1\n[weights]\nshare = "x"\nold = 3\n')
    found = [line.split(":")[1] for line in error.what.splitlines()[1:] if line.startswith("  rules.toml")]
    assert error.what.startswith("rules.toml has 3 mistakes")
    assert found == ["2", "4", "5"]


def test_many_mistakes_are_counted() -> None:
    error = refused("[weights]\n" + "".join(f"k{number} = 1\n" for number in range(50)))
    assert "50 mistakes" in error.what
    assert "and 30 more" in error.what
    assert len(error.what) < 5000


def test_two_reservations_of_one_name_are_a_mistake() -> None:
    one = (
        '[[reservation]]\nname = "x"\nfor=["a"]\nfrom = 2026-12-01T10:00:00Z\nuntil = 2026-12-02T10:00:00Z\n'
    )
    assert refused(one + one).what.startswith('rules.toml:7: two reservations are called "x"')


def test_a_file_that_is_nested_without_end_is_refused_not_followed() -> None:
    for depth in (100, 300, 330, 400, 480, 500, 1000, 10_000):
        error = refused("[weights]\nshare = " + "[" * depth + "]" * depth)
        assert "is not a number" in error.what or "nested too deeply" in error.what


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, "[1, {a = 0b" + "1" * 20_000 + "}]"])
@pytest.mark.parametrize(
    "before", ["[weights]\nshare", "\nweights", "[[reservation]]\nnodes", "[passing]\nrule"]
)
def test_a_number_that_python_cannot_even_print_is_a_mistake_like_others(before: str, number: str) -> None:
    error = refused(f"{before} = {number}")
    assert error.what == "rules.toml:2: a number is out of range"
    assert error.details["line"] == 2


@pytest.mark.parametrize("before", ["[weights]\n{}b = 1", "\n[{}b]"])
def test_a_key_of_very_many_parts_is_refused_before_anybody_waits_for_it(before: str) -> None:
    assert refused(before.format("a." * 400_000)).what == "rules.toml:2: a key has too many parts"


def test_a_list_of_very_many_people_is_read_in_a_moment() -> None:
    people = ", ".join(f'"p.{number}"' for number in range(60_000))
    began = process_time()
    said = read(f"[groups.g]\nmembers = [{people}]  # {'.' * 200}")
    assert len(said.value("groups", "g", "members")) == 60_000
    assert process_time() - began < 10  # it took minutes when each item counted the lines before it


def test_an_empty_file_says_nothing() -> None:
    assert read("").entries == {}


def test_a_file_that_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# a\n# caf\xe9\n")
    with pytest.raises(BadInputError, match=r"latin\.toml:2: it is not UTF-8"):
        load(tmp_path / "latin.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(BadInputError, match="larger than 1 MiB"):
        load(tmp_path / "big.toml")
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf[weights]\r\nshare = 2\r\n")
    assert load(tmp_path / "bom.toml").value("weights", "share") == 2.0


def test_what_is_shown_of_a_value_is_read_back_alike() -> None:
    said = read(EVERYTHING)
    assert {row.key for row in said.entries.values()} == set(KEYS)
    for entry in said.entries.values():
        (again,) = tomllib.loads(f"x = {entry.key.write(entry.value)}").values()
        assert entry.key.read(again) == entry.value


def test_full_names_and_lines_of_what_is_said() -> None:
    texts, lines = read(EVERYTHING).texts(), read(EVERYTHING).lines()
    assert texts["fair-share.half-life"] == '"7d"'
    assert texts["caps.person.anna.gpus"] == '"none"'
    assert lines["caps.person.anna.gpus"] == EVERYTHING.split("\n").index("[caps.person.anna]") + 2
    assert texts["reservation.course.from"] == "2026-12-01T13:00:00.000Z"


def test_lines_of_keys_in_every_form_of_toml() -> None:
    text = (
        'top = 1\n"a b".c = """x\n# no comment ""\\""\n"""  # comment\n\n[t.\'u\']\n'
        "list = [ # [\n  1,\n  {k = '#', l.m = [1]},\n]\nlit = '''\n[no]\n''''\n[[t.many]]\nx=1\n[t.many.in]\n"
        "y = 2026-12-01 10:00:00Z\n[[t.many]]\nx=2\n"
    )
    lines = line_numbers(text)
    want = {
        ("top",): 1, ("a b", "c"): 2, ("t", "u"): 6, ("t", "u", "list"): 7, ("t", "u", "list", 0): 8,
        ("t", "u", "list", 1): 9, ("t", "u", "list", 1, "l", "m", 0): 9, ("t", "u", "lit"): 11,
        ("t", "many", 0): 14, ("t", "many", 0, "x"): 15, ("t", "many", 0, "in", "y"): 17, ("t", "many", 1, "x"): 19,
    }  # fmt: skip
    assert {path: lines.get(path) for path in want} == want


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found = {path} if path else set()
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in rows:
        found |= paths_of(inner, (*path, key))
    return found


_PIECES = ["[", "]", "[[", "]]", "{", "}", "a", "b.c", '"k"', "'q'", "=", " ", "\n", ",", "1", '"x"', "'y'", '"""', "'''",
           '"', "#", ".", "true", "\\n", "1979-05-27", '[a]\n', "[[a]]\n", "b = 1\n", 'c = [1, "]", {d = 2}]\n']  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=25).map("".join))
def test_each_key_that_tomllib_reads_has_a_line(text: str) -> None:
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        body = None
        assert refused(text).details["line"] >= 1
    if body is not None:
        assert paths_of(body) == set(line_numbers(text))


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_itself_fail(text: str) -> None:
    try:
        read(text)
    except BadInputError as error:
        assert error.next


EVERYTHING = """
[weights]
share = 4
held = 2
age = 0.5
wide = 0.5
small = 8
overdue = 2

[fair-share]
half-life = "7d"
age-full = "14d"

[passing]
rule = "easy"
margin = 2
margin-over = 0.5

[wait]
bound = "never"
overdue-after = "14d"

[preemption]
after = "1d"
protect = "10m"
most = 3

[images]
per-node = 4

[shares]
anna = 2

[groups.vision]
members = ["anna", "ben"]
share = 2
gpus = 16
jobs = 20

[caps]
gpus = 8
jobs = 10

[caps.person.anna]
gpus = "none"
jobs = 3

[cards]
a100 = 4
"rtx 4090" = 2

[classes]
urgent = ["@vision"]
high = []

[[reservation]]
name = "course"
nodes = ["n1", "n2"]
for = ["@vision", "carl"]
from = 2026-12-01T22:00:00+09:00
until = "2026-12-02T06:00:00Z"
"""

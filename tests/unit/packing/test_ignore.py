"""Docker's ignore rules: its documentation's examples, its own test tables, its oddities."""

import pytest

from labq.packing.errors import PackingError
from labq.packing.ignore import IgnoreRules
from labq.packing.patterns import compile_pattern, go_regex

# What each set of lines leaves out of, and keeps in, a context.
DOCUMENTED = [
    # "Here is an example .dockerignore file"
    (
        ["# comment", "*/temp*", "*/*/temp*", "temp?"],
        ["somedir/temporary.txt", "somedir/temp", "somedir/subdir/temporary.txt", "tempa", "tempb"],
        ["temp", "temporary", "a/b/c/temp", "# comment", "somedir"],
    ),
    # "For example, the patterns /foo/bar and foo/bar both exclude ..."
    (["/foo/bar"], ["foo/bar", "foo/bar/x"], ["bar", "a/foo/bar", "foo"]),
    (["foo/bar"], ["foo/bar", "foo/bar/x"], ["bar", "a/foo/bar", "foo"]),
    # two stars match any number of directories, also none
    (["**/*.go"], ["main.go", "a/main.go", "a/b/main.go"], ["main.c", "go", "a/go"]),
    (["*.md", "!README.md"], ["CHANGES.md"], ["README.md", "a/x.md"]),
    (
        ["*.md", "!README*.md", "README-secret.md"],
        ["x.md", "README-secret.md"],
        ["README.md", "README-x.md"],
    ),
    (["*.md", "README-secret.md", "!README*.md"], ["x.md"], ["README-secret.md", "README.md"]),
    # "you may want to specify which files to include": everything, then exceptions
    (["*", "!src", "!go.mod"], ["x", "docs/a", "docs"], ["src", "src/a/b", "go.mod"]),
    # preprocessing: white space, ".", "..", blank lines
    (["  a  ", "", "\t", "b/./c//d/../e/"], ["a", "b/c/e", "b/c/e/f"], ["b/c/d", "b/c"]),
    (["./x", "../x", "/../y", "a/../z"], ["x", "y", "z"], ["a", "a/x"]),
    # Dockerfile and .dockerignore themselves: see `always` below
    (["**"], ["a", "a/b"], []),
]

ODD = [
    (["/"], [], ["a"]),
    (["."], [], ["a"]),
    (["*", "!."], ["a"], []),  # "!." puts nothing back
    ([" # x"], ["# x"], ["x"]),  # only a # in column 1 is a comment
    (["\ufeffa", "\ufeffb"], ["a", "\ufeffb"], ["b"]),
    (["a\r", "\xa0b\x85"], ["a", "b"], []),
    (["\x1fc"], ["\x1fc"], ["c"]),  # no white space to Go
    (["!a", "a"], ["a"], []),
    (["a", "! /a/b"], ["a", "a/c"], ["a/b", "a/b/c"]),
    (["a", "!!b"], ["a"], ["b", "!b"]),
    (["/!a", "a"], ["a"], []),
    (["b", "!../../a"], ["a", "b"], []),  # Docker cleans "!../../a" into "a"
    (["a", "/!a/b"], ["a/c"], ["a/b"]),
    (["dir/**"], ["dir/a", "dir/a/b"], ["dir", "dirx"]),
    (["a**"], ["a", "ab", "ab/c", "a/b"], ["b", "b/a"]),
    (["**foo"], ["foo", "xfoo", "a/xfoo"], ["foox"]),
    (["**/"], ["a", "a/b"], []),
    (["a/x", "!a"], ["a/x"], ["a", "a/y"]),  # an exception for a directory undoes nothing in it
    (["a", "!a"], [], ["a", "a/x"]),
    (["a/b", "!a/b/c", "a/b/c/d"], ["a/b", "a/b/c/d", "a/b/x"], ["a/b/c", "a/b/c/x"]),
    (["**", "!**/*.py"], ["a", "a/x.c", "a/b"], ["x.py", "a/x.py", "a/b/x.py"]),
    (["node_modules", "!*/keep"], ["node_modules"], ["node_modules/keep"]),
    (["[a-c]?"], ["ax", "c1"], ["dx", "a", "abc"]),
    (["a[^b-d]e"], ["aae", "a/e"], ["ace", "ae"]),  # Docker lets a class match a slash
    (["a[!b]c"], ["abc", "a!c"], ["axc"]),  # ! does not negate in Go
    (["\\*", "\\!a", "b\\?"], ["*", "!a", "b?"], ["a", "bx"]),
    (["\\#a"], ["#a"], []),
    (["a.c", "b+(x)$|{1}"], ["a.c", "b+(x)$|{1}"], ["abc"]),
    (["a.c*", "b+*"], ["a.cx", "b+x"], ["abc", "bbx"]),
    (["a^b", "c^d*"], ["a^b"], ["c^dx"]),
    (["[[:alpha:]]1"], ["a1", "Z1"], [":1", "11"]),
    (["\\d"], ["7"], ["d"]),
    (["[*]"], ["]", "[[]", "/]"], ["*", "/"]),  # Docker expands the star inside the class
    (["?.txt"], ["☺.txt", "\udcff.txt"], ["ab.txt"]),
    (["*.txt"], ["a\nb.txt"], ["a.txt\n"]),
    (["**/x*"], ["x1", "a/x1"], ["a\nb/x1"]),  # Go's dot does not match a line feed
    (["name with space", "ünï/*"], ["name with space", "ünï/ö"], ["name"]),
]


@pytest.mark.parametrize(("lines", "out", "kept"), DOCUMENTED + ODD)
def test_rules(lines: list[str], out: list[str], kept: list[str]) -> None:
    rules = IgnoreRules(lines)
    assert [p for p in out if not rules.excludes(p)] == []
    assert [p for p in kept if rules.excludes(p)] == []


# From moby/patternmatcher's TestMatches: (pattern, path, matches itself or through a parent).
TEST_MATCHES = """
** file 1|**/ file 1|** dir/file 1|**/ dir/file 1|**/** dir/file 1|dir/** dir/file 1
dir/** dir/dir2/file 1|**/dir dir 1|**/dir dir/file 1|**/dir2/* dir/dir2/file 1
**/dir2/** dir/dir2/dir3/file 1|**file file 1|**file dir/file 1|**/file dir/file 1
**file dir/dir/file 1|**/file dir/dir/file 1|**/file* dir/dir/file 1|**/file* dir/dir/file.txt 1
**/file*txt dir/dir/file.txt 1|**/file*.txt dir/dir/file.txt 1|**/file*.txt* dir/dir/file.txt 1
**/**/*.txt dir/dir/file.txt 1|**/**/*.txt2 dir/dir/file.txt 0|**/*.txt file.txt 1
**/**/*.txt file.txt 1|a**/*.txt a/file.txt 1|a**/*.txt a/dir/file.txt 1
a**/*.txt a/dir/dir/file.txt 1|a/*.txt a/dir/file.txt 0|a/*.txt a/file.txt 1
a/*.txt** a/file.txt 1|a[b-d]e ae 0|a[b-d]e ace 1|a[b-d]e aae 0|a[^b-d]e aze 1|.* .foo 1
.* foo 0|abc.def abcdef 0|abc.def abc.def 1|abc.def abcZdef 0|abc?def abcZdef 1|abc?def abcdef 0
**/foo/bar foo/bar 1|**/foo/bar dir/foo/bar 1|**/foo/bar dir/dir2/foo/bar 1|abc/** abc 0
abc/** abc/def 1|abc/** abc/def/ghi 1|**/.foo .foo 1|**/.foo bar.foo 0|a(b)c/def a(b)c/def 1
a(b)c/def a(b)c/xyz 0|a\\\\ a\\ 1|a\\*b a*b 1
""".replace("\n", "|")


@pytest.mark.parametrize("case", [c for c in TEST_MATCHES.split("|") if c])
def test_mobys_own_table(case: str) -> None:
    pattern, path, expected = case.rsplit(" ", 2)
    assert IgnoreRules([pattern]).excludes(path) == (expected == "1")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ("regex", "[^/]*")),
        ("a*/b", ("regex", "a[^/]*/b")),
        ("**", ("suffix", "")),
        ("**/**", ("regex", "(.*/)?.*")),
        ("dir/**", ("prefix", "dir/")),
        ("**/dir", ("suffix", "(.*/)?dir")),
        ("**/dir2/*", ("regex", "(.*/)?dir2/[^/]*")),
        ("**/dir2/**", ("regex", "(.*/)?dir2/.*")),
        ("**/**/*.txt", ("regex", r"(.*/)?(.*/)?[^/]*\.txt")),
        (".*", ("regex", r"\.[^/]*")),
        ("abc.def", ("exact", r"abc\.def")),
        ("abc?def", ("regex", "abc[^/]def")),
    ],
)
def test_the_expression_is_dockers(pattern: str, expected: tuple[str, str]) -> None:
    assert go_regex(pattern) == expected


# Go's filepath.Match refuses the first ten; the rest its regular expressions refuse.
@pytest.mark.parametrize(
    "pattern",
    [
        "[]a]",
        "[-]",
        "[x-]",
        "[-x]",
        "\\",
        "a\\",
        "[a-b-c]",
        "[",
        "[^bc",
        "a[",
        "[z-a]",
        "[[:nope:]]x",
        "\\pL",
        "\\ü",
        "a\\1",
    ],
)
def test_what_docker_cannot_match_is_refused(pattern: str) -> None:
    with pytest.raises(PackingError) as caught:
        IgnoreRules(["ok", pattern], source="docker/Dockerfile.dockerignore")
    assert 'Line 2 of "docker/Dockerfile.dockerignore" is ' in caught.value.what
    assert "Correct the line." in caught.value.next


@pytest.mark.parametrize("line", ["!", "! ", "!/", "!//", "/!"])
def test_an_exception_that_names_nothing(line: str) -> None:
    with pytest.raises(PackingError, match="names nothing"):
        IgnoreRules([line])


def test_always_wins_over_every_rule() -> None:
    rules = IgnoreRules(["**"], ["./docker/Dockerfile", ".dockerignore"])
    assert not rules.excludes("docker/Dockerfile")
    assert not rules.excludes(".dockerignore")
    assert rules.excludes("docker", is_dir=True)
    assert not rules.can_prune("docker")
    assert rules.can_prune("dock")


@pytest.mark.parametrize(
    ("lines", "directory", "prunable"),
    [
        (["a"], "a", True),
        (["a", "!b"], "a", True),
        (["a", "!a/b/c"], "a", False),
        (["a", "!a/b/c"], "a/b", False),
        (["a", "!a/b/c"], "a/x", True),
        (["a", "!a/b/c"], "a/b/c", True),
        (["a", "!*.py"], "a", True),
        (["a", "!*/*.py"], "a", False),
        (["a", "!*/*.py"], "a/b", True),
        (["a", "!**/*.py"], "a/b/c", False),
        (["a", "!a/**"], "a/b/c", False),
        (["a", "!src/**"], "a", True),
        (["a", "![ab]x"], "a", False),  # a class may match a slash
    ],
)
def test_pruning(lines: list[str], directory: str, prunable: bool) -> None:
    assert IgnoreRules(lines).can_prune(directory) is prunable


def test_many_double_stars_do_not_backtrack() -> None:
    test = compile_pattern("**/" * 20 + "x*y")
    assert not test("a/" * 500 + "z")

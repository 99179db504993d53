from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labq.errors import BadInputError
from labq.gpu_request import GpuRequest, model_matches, parse_gpus

MODELS = st.sampled_from(["a100", "h100", "4090", "rtx-4090", "v100m32", "t4", "1080ti", "l40s", "gtx"])
SIZES = st.integers(1, 2**42)
WHOLE = st.builds(
    GpuRequest,
    count=st.one_of(st.sampled_from([1, 2, 8]), st.integers(1, 1024)),
    models=st.lists(MODELS, unique=True, max_size=3).map(tuple),
    min_memory=st.one_of(st.just(0), SIZES),
)
SHARES = st.builds(
    GpuRequest, count=st.just(1), models=st.lists(MODELS, unique=True, max_size=2).map(tuple), share=SIZES
)


@given(st.one_of(WHOLE, SHARES, st.just(GpuRequest())))
def test_what_is_printed_is_read_back_to_the_same_request(request: GpuRequest) -> None:
    assert parse_gpus(str(request)) == request


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused_with_a_sentence_that_quotes_it(text: str) -> None:
    try:
        request = parse_gpus(text)
    except BadInputError as error:
        assert repr(text) in error.what
        assert "share:8GB" in error.next
    else:
        assert parse_gpus(str(request)) == request


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("2", GpuRequest(2)),
        ("0", GpuRequest()),
        ("a100:2", GpuRequest(2, ("a100",))),
        ("24GB+", GpuRequest(1, (), 24 * 2**30)),
        ("A100|H100:4", GpuRequest(4, ("a100", "h100"))),
        ("a100|h100,40GB+:2", GpuRequest(2, ("a100", "h100"), 40 * 2**30)),
        ("4090:1", GpuRequest(1, ("4090",))),
        ("share:8GB", GpuRequest(1, (), 0, 8 * 2**30)),
        ("share:8GB@a100", GpuRequest(1, ("a100",), 0, 8 * 2**30)),
    ],
)
def test_the_forms_of_the_documentation_are_read(text: str, request_: GpuRequest) -> None:
    assert parse_gpus(text) == request_


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-1",
        "1.5",
        "99999",
        "a100:0",
        "a100:x",
        "24GB",
        "24GB+,8GB+",
        "share:",
        "share:0GB",
        "|",
        "x y",
        "²",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="GPU request"):
        parse_gpus(text)


def test_a_bare_model_number_is_explained() -> None:
    with pytest.raises(BadInputError, match="the model 4090: write 4090:1"):
        parse_gpus("4090")


@pytest.mark.parametrize(
    ("wanted", "name", "matches"),
    [
        ("a100", "NVIDIA A100-SXM4-80GB", True),
        ("a10", "NVIDIA A100-SXM4-80GB", False),
        ("4090", "NVIDIA GeForce RTX 4090", True),
        ("rtx-4090", "NVIDIA GeForce RTX 4090", True),
        ("4090", "NVIDIA GeForce RTX 4090 D", True),
        ("v100", "Tesla V100-PCIE-32GB", True),
    ],
)
def test_a_model_matches_whole_words_of_the_cards_name(wanted: str, name: str, matches: bool) -> None:
    assert model_matches(wanted, name) is matches

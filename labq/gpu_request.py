"""What a job asks of GPUs, in one short text.

    2              two GPUs of any model          a100:2         two A100
    24GB+          one GPU with 24 GB or more     24GB+:2        two such
    a100|h100:4    four of one of these models    a100|h100,40GB+:2   both conditions
    share:8GB      8 GB of one GPU, shared with other jobs; share:8GB@a100 to name the model
    0              no GPU

A model matches when it appears in the card's name as a word: ``a100`` matches "NVIDIA A100-SXM4-80GB".
Pure: nothing here does I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from labq.errors import BadInputError
from labq.units import format_bytes, parse_bytes

_MODEL = re.compile(r"^[a-z][a-z0-9-]*$|^\d{2,5}[a-z][a-z0-9-]*$|^[0-9]{3,5}(-?[a-z0-9]+)*$")
#: 24gb, 24gib, 24g; not 1080ti
_SIZE = re.compile(r"^\d+(?:[kmgt]i?b|[kmg])$")
_HELP = "write 2, a100:2, 24GB+, 24GB+:2, 'a100|h100:4', 'a100|h100,40GB+:2', share:8GB or 0"
#: The largest machine on sale has 16 or 72; more than this in one job is a slip of the finger.
MAX_COUNT = 1024
#: Alternatives in one request; there are not so many kinds of cards in a lab, and each decision compares them all.
MAX_MODELS = 32


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """GPUs that a job needs on one node."""

    #: whole GPUs; 1 for a share; 0 = no GPU
    count: int = 0
    #: acceptable models in order of preference, lower case; empty = any
    models: tuple[str, ...] = ()
    #: bytes that each whole GPU must have at least; 0 = any
    min_memory: int = 0
    #: bytes of one GPU's memory shared with other jobs; 0 = whole GPUs
    share: int = 0

    def __str__(self) -> str:
        """Return the text that :func:`parse_gpus` reads back to an equal value."""
        models = "|".join(self.models)
        if self.share:
            return f"share:{format_bytes(self.share)}" + (f"@{models}" if models else "")
        memory = f"{format_bytes(self.min_memory)}+" if self.min_memory else ""
        selector = ",".join(part for part in (models, memory) if part)
        if not selector:
            return str(self.count)
        # 4090 alone would be read as a count
        plain = self.count == 1 and not selector.isdigit()
        return selector if plain else f"{selector}:{self.count}"

    def accepts(self, model: str, memory: int) -> bool:
        """Return whether a card named ``model`` with ``memory`` bytes would do (when free)."""
        needed = self.share or self.min_memory
        if memory < needed:
            return False
        return not self.models or any(model_matches(wanted, model) for wanted in self.models)


@lru_cache(maxsize=4096)
def model_matches(wanted: str, name: str) -> bool:
    """Return whether ``wanted`` (``a100``, ``rtx-4090``) names the card called ``name``.

    >>> model_matches("4090", "NVIDIA GeForce RTX 4090"), model_matches("a10", "NVIDIA A100")
    (True, False)
    """
    have = re.sub(r"[^a-z0-9]+", "-", name.lower())
    want = re.sub(r"[^a-z0-9]+", "-", wanted.lower())
    return f"-{want}-" in f"-{have}-"


def parse_gpus(text: str | int) -> GpuRequest:
    """Return the request that ``text`` says.

    Raises:
        BadInputError: quoting the text and showing the legal forms.
    """
    raw = str(text).strip().lower()
    if isinstance(text, bool) or not raw:
        raise _bad(text, "it is empty" if not raw else "it is no number")
    if raw.isascii() and raw.isdigit():
        return GpuRequest(count=_count(raw, text, lowest=0))
    if raw.startswith("share:"):
        size, _, models = raw[len("share:") :].partition("@")
        return GpuRequest(1, _models(models, text) if models else (), 0, _size(size, text))
    selector, colon, number = raw.partition(":")
    count = _count(number, text, lowest=1) if colon else 1
    models_found: tuple[str, ...] = ()
    memory = 0
    for part in selector.split(","):
        if part.endswith("+"):
            if memory:
                raise _bad(text, "it names two minimum memories")
            memory = _size(part[:-1], text)
        elif models_found:
            raise _bad(text, "it names models twice (join alternatives with '|')")
        else:
            models_found = _models(part, text)
    return GpuRequest(count, models_found, memory, 0)


def _models(text: str, whole: str | int) -> tuple[str, ...]:
    models = tuple(text.split("|"))
    if len(models) > MAX_MODELS:
        raise BadInputError(
            f"a GPU request with {len(models)} models is not legal", f"name at most {MAX_MODELS}; {_HELP}"
        )
    for model in models:
        if _SIZE.match(model):  # before the form of a model: 24g would be one
            raise _bad(whole, f"{model!r} is a size: write {model}+ for 'at least'")
        if not _MODEL.match(model):
            raise _bad(whole, f"{model!r} is no model name")
    return tuple(dict.fromkeys(models))


def _count(text: str, whole: str | int, lowest: int) -> int:
    if not re.fullmatch(r"\d{1,6}", text) or not lowest <= int(text) <= MAX_COUNT:
        model = f" (the model {text}: write {text}:1)" if re.fullmatch(r"\d{4}", text) else ""
        raise _bad(whole, f"the number of GPUs must be {lowest} to {MAX_COUNT}{model}")
    return int(text)


def _size(text: str, whole: str | int) -> int:
    try:
        return parse_bytes(text, "GPU memory")
    except BadInputError as error:
        raise _bad(whole, error.what) from None


def _bad(text: str | int, why: str) -> BadInputError:
    return BadInputError(f"GPU request {text!r} is not legal: {why}", _HELP)

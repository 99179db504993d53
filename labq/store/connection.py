"""The Redis client, the loaded scripts, and Redis' failures in labq's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.resources import files
from typing import Any, ParamSpec, TypeAlias, TypeVar

import redis

from labq.errors import BadInputError, UnavailableError
from labq.states import moves_as_lua
from labq.store import keys

#: Seconds after which a Redis that took a command and says nothing counts as away. More than any blocking read.
ANSWER_SECONDS = 15.0
#: How Redis begins when it is there but takes no writes: full memory, full disk, a replica, still loading.
_REFUSES = ("OOM", "MISCONF", "READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS")
#: What Redis answers to a command that it does not obey.
RefusedCommand: TypeAlias = redis.ResponseError
P = ParamSpec("P")
R = TypeVar("R")


class Connection:
    """One Redis, with labq's scripts. Its repr hides the password."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        """Wrap a client that decodes responses."""
        #: Any: ``decode_responses`` makes every answer text, which redis-py's types cannot say
        self.client: Any = client
        self.url = url
        self._scripts: dict[str, Any] = {}

    def __repr__(self) -> str:
        """Return the address without its secret."""
        return f"Connection({hide_password(self.url)})"

    def script(self, name: str, args: Sequence[str | int | float]) -> Any:
        """Run the Lua script ``name`` (loaded on first use, reloaded after a restart of Redis)."""
        return self.load(name)(args=list(args))

    def load(self, name: str) -> Any:
        """Read the Lua script ``name`` unless that was done; nothing is sent. Return what runs it."""
        found = self._scripts.get(name)
        if found is None:
            text = files("labq.store").joinpath(f"lua/{name}.lua").read_text()
            text = text.replace("MOVES_TABLE", moves_as_lua())
            for constant in ("MAX_EVENTS", "IDEM_SECONDS", "KEEP_SECONDS"):
                text = text.replace(constant, str(getattr(keys, constant)))
            found = self._scripts[name] = self.client.register_script(text)
        return found

    def close(self) -> None:
        """Close what is open; the next call opens another."""
        self.client.close()

    def ping(self) -> None:
        """Do nothing when Redis answers.

        Raises:
            UnavailableError: it does not.
        """
        answers(self.client.ping)()

    def accepts(self) -> bool:
        """Return whether Redis takes our password; False when it says that it does not.

        Raises:
            UnavailableError: it does not answer.
        """
        try:
            answers(self.client.ping)()
        except UnavailableError as error:
            # redis-py calls a refused password a failed connection.
            if isinstance(error.__cause__, redis.AuthenticationError):
                return False
            raise
        return True

    def info(self) -> dict[str, Any]:
        """Return what Redis says of itself (version, memory, append-only file)."""
        return dict(answers(self.client.info)())


def connect(url: str) -> Connection:
    """Return a connection to the Redis at ``url``; nothing is sent yet.

    Raises:
        BadInputError: when the URL is not one that redis-py reads.
    """
    # keepalive is for TCP only: redis-py's unix connection does not know the word
    keep: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    try:
        client = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_connect_timeout=5,
            socket_timeout=ANSWER_SECONDS,
            health_check_interval=30,
            **keep,
        )
    except ValueError as error:
        raise BadInputError(
            f"LABQ_REDIS_URL {hide_password(url)!r}: {error}",
            "write redis://HOST:PORT/0, rediss://… or unix:///path/redis.sock",
        ) from None
    return Connection(client, url)


def hide_password(url: str) -> str:
    """Return ``url`` with its password replaced."""
    return re.sub(r"://([^:/@]*):[^@]*@", r"://\1:…@", url)


def answers(method: Callable[P, R]) -> Callable[P, R]:
    """Turn Redis' connection failures, and its refusal of all writes, into ``UnavailableError``."""

    @wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            connection = getattr(args[0], "_redis", "Redis") if args else "Redis"
            if isinstance(error, redis.AuthenticationError):
                raise UnavailableError(
                    f"Redis does not accept the password in LABQ_REDIS_URL ({connection!r}): it was changed, or this node was "
                    "removed from the lab, or Redis has just restarted",
                    "a restart is over in seconds; else let the node join again: labq node add NAME",
                ) from error
            raise UnavailableError(
                f"Redis does not answer ({connection!r}: {type(error).__name__})",
                "it comes back by itself after a restart; else see `labq doctor`",
            ) from error
        except redis.ResponseError as error:
            if not any(word in str(error) for word in _REFUSES):
                raise
            raise UnavailableError(
                f"Redis takes no writes: {error}",
                "make room on its disk or in its memory; nothing was changed",
            ) from error

    return wrapper

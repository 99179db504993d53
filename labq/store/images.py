"""Image readiness in Redis: which node has, prepares or failed which image."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from labq.image import Image, ImageOnNode
from labq.store import keys
from labq.store.connection import Connection, answers


class ImageStore:
    """Images by key (labq/image.py)."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection

    @answers
    def get(self, key: str) -> Image:
        """Return the image; one that nobody has asked for has no nodes."""
        return _image(key, self._redis.client.hgetall(keys.IMAGE + key))

    @answers
    def get_many(self, image_keys: Iterable[str]) -> dict[str, Image]:
        """Return the images by key."""
        wanted = list(image_keys)
        pipe = self._redis.client.pipeline(transaction=False)
        for key in wanted:
            pipe.hgetall(keys.IMAGE + key)
        return {key: _image(key, flat) for key, flat in zip(wanted, pipe.execute(), strict=True)}

    @answers
    def set(self, key: str, node: str, said: ImageOnNode) -> str:
        """Write what ``node`` says of the image, with an event; return the event's id."""
        pipe = self._redis.client.pipeline(transaction=True)
        pipe.sadd(keys.IMAGES, key)
        pipe.hset(keys.IMAGE + key, node, json.dumps(asdict(said), ensure_ascii=False))
        self._event(pipe, key, node, said.state, said.at)
        return str(pipe.execute()[-1])

    @answers
    def forget(self, key: str, node: str, *, now: float) -> None:
        """Note that ``node`` has the image no more; its next preparation gets a number, and a log, of its own."""
        before = self._redis.client.hget(keys.IMAGE + key, node)
        run = json.loads(before)["run"] if before else 0
        self.set(key, node, ImageOnNode("absent", now, run=run))

    @answers
    def all_keys(self) -> list[str]:
        """Return the keys of all images that were ever asked for, sorted."""
        return sorted(self._redis.client.smembers(keys.IMAGES))

    def _event(self, pipe: Any, key: str, node: str, state: str, at: float) -> None:
        fields = {"type": "image", "at": at, "key": key, "node": node, "state": state}
        pipe.xadd(keys.EVENTS, fields, maxlen=keys.MAX_EVENTS, approximate=True)


def _image(key: str, flat: dict[str, str]) -> Image:
    return Image(key, {node: ImageOnNode(**json.loads(text)) for node, text in flat.items()})

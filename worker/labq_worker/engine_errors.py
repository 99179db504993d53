"""What can go wrong with the engine, in the few kinds that the agent treats differently."""

from __future__ import annotations


class EngineError(Exception):
    """The engine refused; carries its own words."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class EngineAwayError(EngineError):
    """It does not answer: try again; its containers run on."""


class NoSuchContainerError(EngineError):
    """The container is gone."""


class NoSuchImageError(EngineError):
    """The image is not on this node."""


class NameTakenError(EngineError):
    """Another container has this name."""

"""``Client``: one method for each route of the API. What a method returns is the API's body unchanged."""

from __future__ import annotations

from labq.client.config import server_and_token
from labq.client.jobs import JobList, Jobs
from labq.client.lab import Lab
from labq.client.notify import Notify
from labq.client.provision import Provision
from labq.client.session import Session
from labq.client.submitting import Submitting

__all__ = ["Client", "JobList"]


class Client(Submitting, Jobs, Lab, Notify, Provision):
    """A labq server, and who you are there. Not for two threads at once."""

    def __init__(self, server: str | None = None, token: str | None = None) -> None:
        """Choose the server; nothing is sent yet.

        Args:
            server: its address; None = ``LABQ_SERVER``, else the configuration file, else this machine.
            token: your token; None = ``LABQ_TOKEN``, else the configuration file.

        Raises:
            BadInputError: when the address or the configuration file is none.
        """
        address, secret = server_and_token(server, token)
        self.session = Session(address, secret)

    def __repr__(self) -> str:
        """Return the address without the token."""
        return f"Client({self.session.address.url!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self.session.close()

"""The web-config file that Prometheus' own exporters use: TLS and basic auth.

The form is that of prometheus/exporter-toolkit, of which this reads what an exporter for one lab needs::

    tls_server_config:
      cert_file: server.crt
      key_file: server.key
      client_ca_file: ca.crt           # then a client must show a certificate
    basic_auth_users:
      prometheus: $2b$10$…             # htpasswd -nBC 10 "" | tr -d ':'

Relative paths are relative to the file. The only importer of yaml and bcrypt, both only when there is such a file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labq.errors import BadInputError
from labq.holding.words import plain

_TLS = ("cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version")
_BCRYPT = re.compile(rb"\$2[aby]\$[0-3][0-9]\$[./A-Za-z0-9]{53}")
_CLIENT_AUTH = ("NoClientCert", "RequireAndVerifyClientCert")
#: A hash of no password: somebody unknown takes as long as somebody known.
_NOBODY = b"$2b$10$C6UzMDM.H6dfI/f/IKcEeO4xX6mLuqOFLdDWcHLaYQbyQGJpJgGTy"
#: Answers that are remembered: one check takes a tenth of a second on purpose.
_REMEMBERED = 32


class WebConfig:
    """What the file says. Its repr shows nothing of it."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            BadInputError: it cannot be read, or says what is not known.
        """
        self._path = path
        body = _read(path)
        _only(body, ("tls_server_config", "basic_auth_users"), path, "the file")
        tls, users = body.get("tls_server_config"), body.get("basic_auth_users") or {}
        self.tls = self._context(tls) if tls else None
        if not isinstance(users, dict):
            raise BadInputError(
                f"{path}: basic_auth_users is no table", "write NAME: BCRYPT-HASH, a line each"
            )
        self._users = {str(name): str(digest).encode(errors="replace") for name, digest in users.items()}
        for name, digest in self._users.items():
            if not _BCRYPT.fullmatch(digest):
                raise BadInputError(
                    f"{path}: the password of {name!r} is no bcrypt hash",
                    "make one with: htpasswd -nBC 10 '' | tr -d ':'",
                )
        self._good: dict[bytes, None] = {}

    def __repr__(self) -> str:
        """Return the class name and the path only."""
        return f"WebConfig({str(self._path)!r})"

    def lets_in(self, authorization: str) -> bool:
        """Return whether the value of an ``Authorization`` header opens the page."""
        if not self._users:
            return True
        kind, _, rest = authorization.partition(" ")
        try:
            name, colon, password = base64.b64decode(rest, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        if kind.lower() != "basic" or not colon:
            return False
        return self._matches(name, password)

    def _matches(self, name: str, password: str) -> bool:
        import bcrypt

        digest = self._users.get(name)
        known = hashlib.sha256(f"{name}\0{password}\0{digest!r}".encode()).digest()
        if digest is not None and any(hmac.compare_digest(known, good) for good in self._good):
            return True
        # bcrypt reads 72 bytes and no NUL
        secret = password.encode()
        if len(secret) > 72 or b"\0" in secret:
            return False
        good = bcrypt.checkpw(secret, digest or _NOBODY) and digest is not None
        if good:
            self._good[known] = None
            while len(self._good) > _REMEMBERED:
                del self._good[next(iter(self._good))]
        return good

    def _context(self, tls: Any) -> ssl.SSLContext:
        path = self._path
        if not isinstance(tls, dict):
            raise BadInputError(f"{path}: tls_server_config is no table", f"write {', '.join(_TLS[:2])}")
        _only(tls, _TLS, path, "tls_server_config")
        auth = tls.get("client_auth_type") or (
            _CLIENT_AUTH[1] if tls.get("client_ca_file") else _CLIENT_AUTH[0]
        )
        versions = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
        minimum = str(tls.get("min_version") or "TLS12")
        for name, value, legal in (
            ("client_auth_type", auth, _CLIENT_AUTH),
            ("min_version", minimum, versions),
        ):
            if not isinstance(value, str) or value not in legal:
                raise BadInputError(f"{path}: {name} {value!r} is not legal", f"write {' or '.join(legal)}")
        if not tls.get("cert_file") or not tls.get("key_file"):
            raise BadInputError(f"{path}: tls_server_config needs cert_file and key_file", "name both files")
        for name in ("cert_file", "key_file", "client_ca_file"):
            value = tls.get(name) or ""
            if not isinstance(value, str) or "\0" in value or plain(value) != value:
                raise BadInputError(f"{path}: {name} {value!r} is no file name", f"write {name}: node.crt")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = versions[minimum]
        try:
            context.load_cert_chain(self._file(tls["cert_file"]), self._file(tls["key_file"]))
            if auth == _CLIENT_AUTH[1]:
                context.load_verify_locations(self._file(tls.get("client_ca_file") or ""))
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            raise BadInputError(
                f"{path}: the certificate cannot be used: {error}",
                "check cert_file, key_file and client_ca_file",
            ) from None
        return context

    def _file(self, name: str) -> str:
        return str(self._path.parent / name)


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    if "\0" in str(path):
        raise BadInputError(
            f"web config {str(path)!r} is no file name", "name another file with LABQ_EXPORTER_WEB_CONFIG"
        )
    try:
        body = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadInputError(
            f"web config {path}: {error.strerror}", "name another file with LABQ_EXPORTER_WEB_CONFIG"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The error itself may quote a hash.
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark is not None else ""
        raise BadInputError(f"web config {path} is no YAML{line}", "mend the file") from None
    if body is None:
        return {}  # an empty file
    if not isinstance(body, dict):
        raise BadInputError(f"web config {path} is no table", "write tls_server_config: or basic_auth_users:")
    return body


def _only(body: Mapping[str, Any], legal: tuple[str, ...], path: Path, where: str) -> None:
    for key in body:
        if key not in legal:
            raise BadInputError(
                f"{path}: {where} has {key!r}, which this exporter does not know",
                f"legal: {', '.join(legal)}",
            )

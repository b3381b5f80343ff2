"""TLS from files: the server's certificate and key, and whom a client trusts."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from common.errors import Unprocessable
from service.log import log

LOOK_S = 1.0
"""How old a server's knowledge of its certificate's files may be."""


class Certificate:
    """A server's certificate, taken anew when its files change; connections that are open keep what they have."""

    def __init__(self, certificate: str, key: str) -> None:
        """Raises Unprocessable when the files cannot be used, or only one is named."""
        self._files = (certificate, key)
        # Looked at before they are read: what changes in between is then seen later.
        self._state = self._look()
        self.context = server_context(certificate, key)
        """What is spoken; None without a certificate."""
        self._due = time.monotonic() + LOOK_S

    def refresh(self) -> None:
        """Take changed files for the connections to come. Files that cannot be used change nothing, and are logged."""
        if self.context and time.monotonic() >= self._due:
            self._due = time.monotonic() + LOOK_S
            state = self._look()
            if state != self._state:
                self._state = state
                self._take()

    def _look(self) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []
        for path in filter(None, self._files):
            try:
                status = Path(path).stat()
                found.append((status.st_ino, status.st_size, status.st_mtime_ns))
            except OSError:
                found.append(())
        return found

    def _take(self) -> None:
        try:
            # Tried first: what does not fit must not take the place of what does.
            server_context(*self._files)
            assert self.context is not None  # there were files
            self.context.load_cert_chain(*self._files)
        except (Unprocessable, OSError) as error:
            log("the old certificate is kept", why=error)
        else:
            log("a new certificate is taken", file=self._files[0])


def server_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """Return what a server speaks TLS with; None when no files are named.

    certificate, key: PEM files; the certificate first, then those that lead from it to the root.
    Raises Unprocessable naming the file that is missing, unreadable or belongs to another.
    """
    if not certificate and not key:
        return None
    if not certificate or not key:
        raise Unprocessable("TLS needs both tls_certificate and tls_key")
    for name, path in (("tls_certificate", certificate), ("tls_key", key)):
        _check(name, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a callback OpenSSL would ask for a passphrase on the terminal, and a server would
        # wait for ever.
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        mismatch = getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
        why = (
            "the key belongs to another certificate"
            if mismatch
            else f"not PEM files that can be used: {error}"
        )
        raise Unprocessable(f"tls_certificate={certificate} and tls_key={key}: {why}") from None
    return context


def _check(name: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise Unprocessable(f"{name}={path}: {error.strerror}") from error


def _no_passphrase() -> str:
    raise ValueError("the key is encrypted; it has to be without a passphrase")

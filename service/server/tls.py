"""A server's TLS certificate and key, reloaded when their files change."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

from common.atomic import file_signature
from common.errors import Unprocessable
from service.log import log
from service.server.certificate_expiry import expires_at

CHECK_S = 1.0
"""Least time between two checks of the files."""


class Certificate:
    """A certificate for new connections, reloaded when its files change; open ones keep theirs."""

    def __init__(
        self, certificate: str, key: str, *, expires: Callable[[float], None] = lambda _: None
    ) -> None:
        """Raises Unprocessable when the files are unusable, or only one is named.

        expires: gets when a certificate expires that is used from now on, seconds since 1970.
        """
        self._files = (certificate, key)
        # Before they are read, so that a change in between is noticed by the next check.
        self._signatures = self._read_signatures()
        self.context = server_context(certificate, key)
        """None without a certificate."""
        self._expires = expires
        if self.context:
            expires(expires_at(Path(certificate)))
        self._due = time.monotonic() + CHECK_S

    def refresh(self) -> None:
        """Reload changed files for new connections; log unusable ones and ignore them."""
        if self.context and time.monotonic() >= self._due:
            self._due = time.monotonic() + CHECK_S
            signatures = self._read_signatures()
            if signatures != self._signatures:
                self._signatures = signatures
                self._reload()

    def _read_signatures(self) -> list[tuple[int, ...]]:
        signatures: list[tuple[int, ...]] = []
        for path in filter(None, self._files):
            try:
                signatures.append(file_signature(Path(path).stat()))
            except OSError:
                signatures.append(())
        return signatures

    def _reload(self) -> None:
        try:
            # Checked first: an unusable pair must not replace the working one.
            server_context(*self._files)
            assert self.context is not None  # there were files
            self.context.load_cert_chain(*self._files)
            self._expires(expires_at(Path(self._files[0])))
        except (Unprocessable, OSError) as error:
            log("certificate not reloaded", why=error)
        else:
            log("certificate reloaded", file=self._files[0])


def server_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """Return a server's TLS context; None when no files are named.

    certificate, key: PEM files; the certificate, followed by its chain up to the root.
    Raises Unprocessable naming the file that is missing, unreadable or does not match.
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
        # Without a callback OpenSSL would ask for a passphrase on the terminal and block.
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        mismatch = getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
        why = (
            "the key belongs to another certificate"
            if mismatch
            else f"not usable PEM files: {error}"
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
    raise ValueError("the key is encrypted; it must have no passphrase")

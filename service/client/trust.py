"""Which certificates a client trusts."""

from __future__ import annotations

import ssl

from common.errors import InputError


def client_context(authorities: str) -> ssl.SSLContext:
    """Return a context that trusts only the certificates of a PEM file. Raises InputError."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:  # ssl.SSLError is one
        raise InputError(
            f"{authorities} is not a certificate file: {error.strerror or error}"
        ) from None

"""Which certificates a client trusts."""

from __future__ import annotations

import ssl

from common.errors import InputError


def client_context(authorities: str) -> ssl.SSLContext:
    """Return what a client trusts: the certificates in a PEM file, and no others. Raises InputError."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:  # ssl.SSLError is one
        raise InputError(
            f"{authorities} is no file of certificates: {error.strerror or error}"
        ) from None

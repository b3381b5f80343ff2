"""The server's certificate: its names, and the days it is still valid."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from common.errors import Unprocessable
from service.doctor.finding import Finding, bad, graded
from service.server.certificate_expiry import expires_at
from service.server.tls import server_context

SOON_DAYS = 14.0
RENEW = "renew it; a running server takes the new files by itself"
PARTIAL_CHAIN, NO_CHECK_TIME = 0x80000, 0x200000
"""Flags of OpenSSL, X509_V_FLAG_...: trust the certificate itself, at any time."""
MOST_ROUNDS = 10


def check_certificate(certificate: str, key: str, *, now: float) -> list[Finding]:
    """Check the pair as the server loads it; nothing if none is named. now: seconds since 1970."""
    try:
        context = server_context(certificate, key)
    except Unprocessable as error:
        return [bad("certificate", str(error), "name the PEM files of a certificate and its key")]
    if context is None:
        return []
    try:
        fields = read_certificate(context, certificate)
        return [check_days(fields, ends=expires_at(Path(certificate)), now=now)]
    except ssl.SSLError as error:
        return [bad("certificate", f"{certificate}: no client trusts it: {error}", RENEW)]


def check_days(fields: dict[str, Any], *, ends: float, now: float) -> Finding:
    """Judge the days left. fields: as of ssl.SSLSocket.getpeercert. ends: of the whole chain."""
    days = (ends - now) / 86_400
    begun = ssl.cert_time_to_seconds(fields["notBefore"]) <= now
    names = [value for kind, value in fields.get("subjectAltName", ()) if kind != "URI"]
    when = "" if begun else f", from {fields['notBefore']} on"
    return graded(
        "certificate",
        f"for {', '.join(names) or 'no name'}; {days:.0f} days left{when}",
        bad_if=days <= 0 or not begun or not names,
        attention_if=days < SOON_DAYS,
        todo=RENEW if names else "make one with a subjectAltName: clients accept no other",
    )


def read_certificate(server: ssl.SSLContext, path: str) -> dict[str, Any]:
    """Return the fields that a client sees, by a handshake in memory. Raises ssl.SSLError."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(path)
    client.verify_flags |= ssl.VerifyFlags(PARTIAL_CHAIN | NO_CHECK_TIME)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = client.wrap_bio(down, up)
    here = server.wrap_bio(up, down, server_side=True)
    for _ in range(MOST_ROUNDS):
        for side in (there, here):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return dict(there.getpeercert() or {})

"""Whether this process traces, and where to; OpenTelemetry is imported only if it does."""

from __future__ import annotations

import importlib.util
import os
from urllib.parse import urlsplit

from common.errors import Unprocessable
from service.log import log
from service.tracing.spans import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Standard environment variables that turn tracing on."""
CONSOLE = "console"
"""In place of an address: spans are written to stdout."""
PATH = "/v1/traces"
"""Added to an address without one, as OTLP says."""


def check_tracing(endpoint: str) -> None:
    """Raise Unprocessable when the setting `otel` cannot be followed."""
    if not endpoint:
        return
    if endpoint != CONSOLE and urlsplit(endpoint).scheme not in ("http", "https"):
        raise Unprocessable(
            "otel must be `console`, or the http:// or https:// address of an OTLP receiver"
        )
    if not _is_installed():
        raise Unprocessable(f"otel: {_MISSING}")


def open_tracer(endpoint: str, *, ratio: float, role: str) -> Tracer | None:
    """Return a tracer, None if neither the setting nor the environment asks for one.

    ratio: of the requests and streams that are kept though nothing fails. role: gateway or worker.
    """
    from_environment = any(map(os.environ.get, ENDPOINTS))
    if not (endpoint or from_environment) or os.environ.get("OTEL_SDK_DISABLED", "") == "true":
        return None
    if not _is_installed():
        # The variables of a whole cluster must not keep a server from starting.
        log("tracing is off", why=_MISSING)
        return None
    from service.tracing.otel import Exporter

    parts = urlsplit(endpoint)
    address = (
        parts._replace(path=PATH).geturl() if parts.netloc and parts.path in ("", "/") else endpoint
    )
    exporter = Exporter(address, attributes={"service.name": "timbre", "timbre.role": role})
    log("tracing", ratio=ratio, to=endpoint or "the environment's collector")
    return Tracer(exporter.export, ratio=ratio, close=exporter.close)


_MISSING = "the extra `otel` is not installed: pip install 'timbre[otel]'"


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False

"""`timbre worker`: runs models for gateways, here or on other machines."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common.errors import TimbreError
from common.terminal import say

KEYS_OR_INSECURE = "add --set keys=FILE, or --set insecure=true"


def main(argv: list[str]) -> int:
    """Run until SIGTERM or SIGINT; return 0, 1 for a failure, 2 for invalid arguments."""
    given = _arguments(argv)
    burst, others = given.pop("burst"), given.pop("set")
    from service.log import configure
    from service.queue.redis_connection import connect
    from service.settings import Settings, parse, redis_address
    from service.tracing.start import check_tracing

    try:
        given |= parse(others)
        given["redis"] = redis_address(given.get("redis"))
        settings = Settings(**given)
        connect(settings.redis)
        check_tracing(settings.otel)
        configure(**settings.log_options)
        if settings.metrics_port:
            check_metrics(settings)
    except TimbreError as error:
        say(f"timbre worker: {error}", error=True)
        return 2
    from setproctitle import setproctitle

    from service.server import worker

    setproctitle("timbre: worker")
    if settings.metrics_port:
        from service.server.sockets import bind_address

        try:
            bind_address(settings.metrics_host, settings.metrics_port).close()
        except OSError as error:
            say(f"timbre worker: cannot listen on {error.filename}: {error.strerror}", error=True)
            return 1
    return worker.run(settings, burst=burst)


def check_metrics(settings: Any) -> None:
    """Raise NotAllowed or Unprocessable for a port for metrics that must not be as it is set."""
    settings.check_exposure("metrics_host", otherwise=KEYS_OR_INSECURE)
    if settings.guards_metrics:
        from service.cli.serve import check_secrets

        check_secrets(settings)


def _arguments(argv: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="timbre worker", description=__doc__)
    parser.add_argument(
        "--redis", metavar="URL", help="as in BEHAVIOUR.md; better in the environment: TIMBRE_REDIS"
    )
    parser.add_argument(
        "--artefacts",
        type=Path,
        metavar="DIR",
        help="folder of NAME/VERSION/ artefacts (the shipped)",
    )
    parser.add_argument(
        "--metrics-port", type=int, metavar="PORT", help="answer GET /metrics here (nowhere)"
    )
    parser.add_argument("--burst", action="store_true", help="exit when no jobs are pending")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="models, max_batch, providers or others, see SETTINGS.md; may be repeated",
    )
    return {
        name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None
    }

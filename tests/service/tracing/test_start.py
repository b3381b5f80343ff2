"""Whether a process traces: by its settings, by the standard variables, never by accident."""

import sys

import pytest

from common.errors import Unprocessable
from service.settings import Settings, parse
from service.tracing.start import ENDPOINTS, check_tracing, open_tracer


@pytest.fixture
def opened(monkeypatch):
    """Open a tracer for this address; it is closed with the test."""
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    tracers = []

    def start(endpoint):
        tracer = open_tracer(endpoint, ratio=0.5, role="gateway")
        tracers.append(tracer)
        return tracer

    yield start
    for tracer in tracers:
        if tracer:
            tracer.close()


def test_nothing_is_traced_by_default(opened):
    assert opened(Settings().otel) is None


@pytest.mark.parametrize("variable", ENDPOINTS)
def test_the_standard_variables_turn_it_on_and_off(opened, monkeypatch, variable):
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert opened("")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert opened("") is None


def test_without_the_extra_the_setting_is_rejected_and_the_variable_ignored(
    opened, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(Unprocessable, match=r"timbre\[otel\]"):
        check_tracing("http://collector:4318")
    monkeypatch.setenv(ENDPOINTS[0], "http://collector:4318")
    assert opened("") is None
    assert "tracing is off" in capsys.readouterr().err


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "grpc://collector:4317", "yes", "/v1/traces"]
)
def test_an_address_of_another_kind_is_rejected_without_repeating_it(endpoint):
    with pytest.raises(Unprocessable, match="otel must be") as caught:
        check_tracing(endpoint)
    assert endpoint not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["", "console", "http://collector:4318", "https://a/b/traces"])
def test_these_addresses_are_accepted(endpoint):
    check_tracing(endpoint)


@pytest.mark.parametrize(("ratio", "accepted"), [("0", True), ("1", True), ("1.1", False),
                                                  ("-0.1", False), ("nan", False)])  # fmt: skip
def test_the_ratio_is_between_0_and_1(ratio, accepted):
    given = parse([f"otel_ratio={ratio}"])
    if accepted:
        assert Settings(**given).otel_ratio == float(ratio)
    else:
        with pytest.raises(Unprocessable, match="otel_ratio"):
            Settings(**given)

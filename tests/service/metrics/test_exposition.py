"""The text that Prometheus reads, by the parsers of its own client library."""

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from service.metrics.exposition import OPEN_METRICS, TEXT, expose, media_type
from service.metrics.metrics import AGE_S, Metrics
from service.metrics.totals import Totals

PARSERS = {TEXT: parse_text, OPEN_METRICS: parse_open_metrics}
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
"""What Prometheus 3 sends."""
ODD = 'a"b\\c\nd,e}f ü'


def exposed(metrics, kind, now=100.0):
    return expose(metrics.families, Totals(metrics).read(), kind=kind, now=now)


def samples(metrics, kind):
    families = PARSERS[kind](exposed(metrics, kind))
    return {
        (each.name, *each.labels.values()): each.value
        for family in families
        for each in family.samples
    }


@pytest.mark.parametrize("kind", PARSERS)
def test_what_is_counted_is_what_a_parser_reads(kind):
    metrics = Metrics()
    metrics.requests.add("/v1/models/{name}/classify", "toy", "200", by=3)
    metrics.streams.set(2, ODD)
    metrics.queue_oldest.set(97.5, "toy", "live")
    metrics.coverage.add("heard", by=0.1)
    metrics.model_info.set(1, "toy", "2", "CPU")
    metrics.model_info.set(0, "toy", "1", "CPU")
    for seconds in (0.001, 0.0015, 7):
        metrics.window_age.observe(seconds, "toy", "total")
    found = samples(metrics, kind)
    age = "timbre_window_age_seconds"
    assert found["timbre_requests_total", "/v1/models/{name}/classify", "toy", "200"] == 3
    assert found["timbre_streams", ODD] == 2
    assert found["timbre_queue_oldest_seconds", "toy", "live"] == 2.5
    assert found["timbre_coverage_seconds_total", "heard"] == 0.1
    assert found["timbre_model_info", "toy", "2", "CPU"] == 1
    assert ("timbre_model_info", "toy", "1", "CPU") not in found
    buckets = [found[f"{age}_bucket", "toy", "total", str(bound)] for bound in AGE_S]
    assert buckets == [1] + [2] * (len(AGE_S) - 1)
    assert found[f"{age}_bucket", "toy", "total", "+Inf"] == found[f"{age}_count", "toy", "total"]
    assert found[f"{age}_sum", "toy", "total"] == 7.0025


@pytest.mark.parametrize("kind", PARSERS)
def test_every_metric_has_its_kind_and_help_before_anything_was_counted(kind):
    metrics = Metrics()
    told = {family.name: family for family in PARSERS[kind](exposed(metrics, kind))}
    for name, family in metrics.families.items():
        assert told[name.removesuffix("_total")].type == family.kind
        assert told[name.removesuffix("_total")].documentation == family.text


def test_open_metrics_ends_with_its_mark_and_the_other_format_has_none():
    assert exposed(Metrics(), OPEN_METRICS).endswith("\n# EOF\n")
    assert "EOF" not in exposed(Metrics(), TEXT)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("application/json", TEXT),
        ("application/openmetrics-text", OPEN_METRICS),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPEN_METRICS),
        ("application/openmetrics-text; version=2.0.0", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5", TEXT),
        (PROMETHEUS, OPEN_METRICS),
        ("a;q=b,;,,==;q=9999", TEXT),
    ],
)
def test_the_format_follows_the_accept_header(accept, kind):
    assert media_type(accept) == kind

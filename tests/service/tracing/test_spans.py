"""Traces: which are kept, what travels, and that none grows without a bound."""

import pytest

from common.errors import Busy
from service.tracing.spans import (
    MAX_SPANS,
    Context,
    Tracer,
    begin_job,
    in_queue,
    is_kept,
    read_traceparent,
    record_batch,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def tracing():
    """Make a tracer of a ratio; what it keeps is in its `kept`."""

    def start(ratio):
        kept = []
        tracer = Tracer(kept.extend, ratio=ratio)
        tracer.kept = kept
        return tracer

    return start


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (VALID, True),
        (VALID[:-2] + "00", False),
        (VALID[:-2] + "03", True),
        ("01" + VALID[2:] + "-of-later-versions", True),
    ],
)
def test_a_valid_traceparent_is_read(text, sampled):
    assert read_traceparent(text) == Context(int(TRACE, 16), int(SPAN, 16), sampled)


@pytest.mark.parametrize(
    "text",
    [
        "", "ff" + VALID[2:], VALID + "-more", VALID.upper(), VALID + "\n", " " + VALID,
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", VALID[:-1], "01" + VALID[2:] + "x",
        "01" + VALID[2:] + "-" + "a" * 200, "00-٣bf92f3577b34da6a3ce929d0e0e473-" + SPAN + "-01",
    ],
)  # fmt: skip
def test_an_invalid_traceparent_is_none(text):
    assert read_traceparent(text) is None


@pytest.mark.parametrize(("extra", "read"), [(128 - 56, True), (129 - 56, False)])
def test_a_traceparent_has_a_longest(extra, read):
    assert (read_traceparent("01" + VALID[2:] + "-" + "a" * extra) is not None) is read


@pytest.mark.parametrize(
    ("status", "kept"),
    [(200, False), (428, False), (429, True), (430, False), (499, False), (500, True), (504, True)],
)
def test_what_the_server_did_not_do_is_kept(status, kept):
    assert is_kept(status) is kept


def test_a_context_is_written_as_it_is_read():
    assert read_traceparent(VALID).traceparent == VALID


@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0])
def test_the_ratio_decides_by_the_trace_id(tracing, ratio):
    tracer = tracing(ratio)
    sampled = sum(tracer.begin("a", begin=0).trace.sampled for _ in range(10_000))
    assert abs(sampled - 10_000 * ratio) < 300


@pytest.mark.parametrize("sampled", [False, True])
def test_the_caller_decides_for_its_traces(tracing, sampled):
    context = read_traceparent(VALID)._replace(sampled=sampled)
    tracer = tracing(0.0 if sampled else 1.0)
    span = tracer.begin("a", begin=1, parent=context)
    span.trace.finish()
    assert len(tracer.kept) == sampled
    assert (span.trace.trace_id, span.parent_id) == context[:2]


def test_what_fails_is_kept_whole_at_ratio_0(tracing):
    tracer = tracing(0.0)
    good, bad = (tracer.begin(name, begin=1) for name in ("good", "bad"))
    for span in (good, bad):
        span.stages(begin=1, waiting=250, decode=500)
    bad.trace.failed = True
    good.trace.finish()
    bad.trace.finish()
    assert [(each.name, each.begin, each.parent_id) for each in tracer.kept] == [
        ("bad", 1, 0), ("waiting", 1, bad.span_id), ("decode", 1.25, bad.span_id),
    ]  # fmt: skip
    assert bad.end > 0
    assert good.trace.spans == bad.trace.spans == []


def test_a_batch_links_its_sampled_and_failed_jobs_only(tracing):
    tracer = tracing(0.0)
    unsampled, failed = tracer.begin("a", begin=0), tracer.begin("b", begin=0)
    sampled = tracer.begin("c", begin=0, sampled=True)
    batch = tracer.begin("batch", begin=2, sampled=False)
    jobs = [(unsampled, ""), (failed, "Failed"), (sampled, "")]
    record_batch(batch, jobs, "toy", begin=2, end=3)
    assert tracer.kept == [batch]
    assert batch.links == [failed.context, sampled.context]
    assert (batch.error, batch.end) == ("Failed", 3)
    calls = [span.trace.spans[-1] for span, _ in jobs]
    ids = batch.context[:2]
    assert [[link[:2] for link in call.links] for call in calls] == [[], [ids], [ids]]
    assert [(call.name, call.begin, call.end) for call in calls] == [("model toy", 2, 3)] * 3


def test_a_batch_without_any_of_them_is_not_kept(tracing):
    tracer = tracing(0.0)
    jobs = [(tracer.begin("a", begin=0), "")]
    record_batch(tracer.begin("batch", begin=2, sampled=False), jobs, "toy", begin=2, end=3)
    assert tracer.kept == []


def test_a_trace_has_a_greatest_number_of_jobs(tracing):
    root = tracing(1.0).begin("a", begin=0)
    jobs = [begin_job(root, "toy", "1") for _ in range(MAX_SPANS + 10)]
    assert sum(job is not None for job in jobs) == MAX_SPANS - 1
    assert len(root.trace.spans) == MAX_SPANS


def test_a_job_outside_of_any_request_is_not_traced():
    assert begin_job(None, "toy", "1") is None


def test_a_job_ends_with_its_error(tracing):
    job = begin_job(tracing(1.0).begin("a", begin=0), "toy", "1")
    with pytest.raises(Busy), in_queue(job):
        raise Busy("full")
    assert job.error == "Busy"
    assert job.end >= job.begin

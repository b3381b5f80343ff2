"""The list of metrics."""

import errno
import os
import re
from pathlib import Path

from service.metrics.metrics import Metrics
from service.metrics.totals import Totals

PROTOCOL = Path(__file__).parents[3] / "PROTOCOL.md"
NAMES = """
timbre_requests_total{route,model,status} timbre_request_seconds{route}
timbre_windows_total{model} timbre_dropped_windows_total{model,reason} timbre_streams{model}
timbre_window_age_seconds{model,stage} timbre_batch_size{model} timbre_queue_jobs{model,kind}
timbre_queue_oldest_seconds{model,kind} timbre_loop_lag_seconds
timbre_model_info{model,version,provider} timbre_restarts_total{process}
timbre_events_total{model,label} timbre_coverage_seconds_total{state}
"""


def test_the_names_that_others_rely_on_are_there_with_their_labels():
    families = Metrics().families.values()
    told = {f"{f.name}{{{','.join(f.labels)}}}".removesuffix("{}") for f in families}
    assert set(NAMES.split()) <= told


def test_the_protocol_has_every_metric_with_its_labels_and_its_kind():
    rows = re.findall(
        r"^\| `(timbre_\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", PROTOCOL.read_text(), re.MULTILINE
    )
    families = Metrics().families.values()
    assert sorted(rows) == sorted((f.name, ",".join(f.labels), f.kind) for f in families)


def test_every_name_says_its_kind_and_every_metric_what_it_is():
    for family in Metrics().families.values():
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        assert family.text.endswith("."), family.name


def test_a_process_counts_for_itself_where_the_folder_is_full(tmp_path, monkeypatch, capfd):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    metrics = Metrics(tmp_path, "gateway-0")
    metrics.windows.add("toy")
    assert Totals(metrics).read()["timbre_windows_total"] == {("toy",): [1]}
    assert "metrics of a process are not shared" in capfd.readouterr().err

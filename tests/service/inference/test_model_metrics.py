"""Which models the metrics show."""

from models.store import Store
from service.inference.model_metrics import show_models
from service.metrics.metrics import Metrics
from service.metrics.totals import Totals


def test_only_the_current_versions_are_shown_and_their_counts_begin_at_zero(artefacts):
    store, metrics = Store(artefacts), Metrics()
    for version in ("1", "2"):
        show_models(metrics, [store.load("toy", version), store.load("toy-net")])
    totals = Totals(metrics).read()
    assert totals["timbre_model_info"] == {
        ("toy", "1", "CPU"): [0],
        ("toy", "2", "CPU"): [1],
        ("toy-net", "1", "CPU"): [1],
    }
    assert totals["timbre_windows_total"] == {("toy",): [0], ("toy-net",): [0]}
    assert totals["timbre_dropped_windows_total"]["toy", "late"] == [0]

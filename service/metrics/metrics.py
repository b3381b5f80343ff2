"""Every metric of the server. The names are an interface: PROTOCOL.md tells what each means."""

from __future__ import annotations

from pathlib import Path

from service.log import log
from service.metrics.families import Age, Counter, Family, Gauge, Histogram, Info, Largest, Latest
from service.metrics.slot import SUFFIX, Labels, Slot

REQUEST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
AGE_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
STATES = ("heard", "silent", "dropped", "unanswered", "missing")
"""`unanswered`: received, in no window that was answered or dropped. `missing`: never received."""
BATCH = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class Metrics:
    """What one process counts. Each attribute is a metric; another one is one more line here.

    The processes of a machine share a folder; `Totals` gives the sums over it.
    """

    def __init__(self, folder: Path | None = None, process: str = "gateway-0") -> None:
        """Go on with the counts of the process that had this name before; gauges begin at 0.

        folder: of the slots; None, or one that is full, which is logged: nobody else sees them.
        """
        self.folder, self.slot = _open(folder, process)
        self._declare_requests()
        self._declare_windows()
        self._declare_inference()
        self._declare_models()
        self._declare_machine()
        self.families: dict[str, Family] = {
            each.name: each for each in vars(self).values() if isinstance(each, Family)
        }

    def _declare_requests(self) -> None:
        self.requests = self._counter(
            "timbre_requests_total", ("route", "model", "status"), "Requests that were answered."
        )
        self.request_seconds = self._histogram(
            "timbre_request_seconds",
            ("route",),
            "Seconds from the headers of a request to those of its response.",
            REQUEST_S,
        )
        self.loop_lag = self._histogram(
            "timbre_loop_lag_seconds",
            (),
            "How late the event loop ran, every 10 ms while there is work.",
            AGE_S,
        )

    def _declare_windows(self) -> None:
        self.windows = self._counter(
            "timbre_windows_total", ("model",), "Windows of streams and clips that have scores."
        )
        self.dropped_windows = self._counter(
            "timbre_dropped_windows_total",
            ("model", "reason"),
            "Windows of streams that were told to be dropped.",
        )
        self.window_age = self._histogram(
            "timbre_window_age_seconds",
            ("model", "stage"),
            "Age of a stream's window when it is answered, and what each stage took of it.",
            AGE_S,
        )
        self.streams = Gauge(self.slot, "timbre_streams", ("model",), "Open streams.")
        self.events = self._counter(
            "timbre_events_total", ("model", "label"), "Events of streams that began."
        )
        self.coverage = self._counter(
            "timbre_coverage_seconds_total",
            ("state",),
            "Seconds of the sound of streams, by what became of them.",
        )
        for state in STATES:
            self.coverage.expect(state)

    def _declare_inference(self) -> None:
        version = ("model", "version")
        self.inferences = self._counter(
            "timbre_infer_requests_total",
            (*version, "result"),
            "Requests of the Open Inference Protocol that succeeded or failed.",
        )
        self.inference_rows = self._counter(
            "timbre_infer_rows_total", version, "Rows of those that succeeded."
        )
        self.inference_seconds = self._counter(
            "timbre_infer_seconds_total",
            (*version, "stage"),
            "Seconds that these requests took, and each stage of those that succeeded.",
        )
        self.last_inference = Latest(
            self.slot,
            "timbre_infer_last_timestamp_seconds",
            version,
            "When the last of them succeeded, in seconds since 1970.",
        )

    def _declare_models(self) -> None:
        kinds = ("model", "kind")
        self.batch_size = self._histogram(
            "timbre_batch_size", ("model",), "Tensors in one model call.", BATCH
        )
        self.queue_jobs = Gauge(
            self.slot, "timbre_queue_jobs", kinds, "Jobs that have no result yet."
        )
        self.queue_oldest = Age(
            self.slot, "timbre_queue_oldest_seconds", kinds, "Age of the oldest of these jobs."
        )
        self.model_info = Info(
            self.slot,
            "timbre_model_info",
            ("model", "version", "provider"),
            "Versions that are served, and what each runs on.",
        )

    def _declare_machine(self) -> None:
        self.restarts = self._counter(
            "timbre_restarts_total", ("process",), "Processes that were started again."
        )
        for role in ("gateway", "worker"):
            self.restarts.expect(role)
        self.workers = Largest(
            self.slot, "timbre_workers", (), "Workers of the queue in Redis that are alive."
        )
        self.certificate_expiry = Largest(
            self.slot,
            "timbre_certificate_expiry_timestamp_seconds",
            (),
            "When the TLS certificate expires, in seconds since 1970; 0 without one.",
        )

    def _counter(self, name: str, labels: Labels, text: str) -> Counter:
        return Counter(self.slot, name, labels, text)

    def _histogram(
        self, name: str, labels: Labels, text: str, bounds: tuple[float, ...]
    ) -> Histogram:
        return Histogram(self.slot, name, labels, text, bounds=bounds)


def _open(folder: Path | None, process: str) -> tuple[Path | None, Slot]:
    """Return the folder, None if it cannot be used, and the slot of a process."""
    if folder is not None:
        try:
            return folder, Slot(folder / f"{process}{SUFFIX}")
        except OSError as error:
            log("metrics of a process are not shared", process=process, why=error)
    return None, Slot()

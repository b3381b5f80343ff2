"""Runs ONNX graphs. The one file of the service that imports ONNX Runtime."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from common.errors import ArtefactError, Unprocessable
from common.memory import trim
from models.export.compact_forest import compact_forest
from models.export.self_contained import check_self_contained
from models.processor_time import of_this_thread
from models.providers import CPU, PREFERENCE, Providers, engine_folder, one_line, options_of

if TYPE_CHECKING:
    from features.config import Tensor

SUFFIX = "ExecutionProvider"
LEAST_S = 0.05
"""Seconds between two looks at a clock."""
FOREST_ROWS = 1_024
"""In one run of a compact forest, which has all scores of all trees in memory at once."""
LARGE, LARGE_ROWS = 2**14, 8
"""Bytes of a tensor, from which on a run on the processor has so many rows at most: their memory is
kept for the next run, 47 MB of `instruments` for 32 rows and 8 MB for 8, which are as fast each."""
DTYPES: dict[str, type[np.generic]] = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}


_run_options: ContextVar[Any] = ContextVar("run_options", default=None)


class Session:
    """An ONNX graph with one input and one output, ready to run. Safe to share between threads."""

    def __init__(
        self,
        graph: bytes,
        *,
        accelerate: bool = True,
        providers: Providers | None = None,
        trial: Callable[[Session], None] | None = None,
    ) -> None:
        """Load the graph on the first provider that runs it, or on the CPU if not `accelerate`.

        providers: by default all. trial: raises what keeps a provider from being used, such as
        other scores; by default a run of one row, except on the CPU.
        Raises ArtefactError if the graph cannot be run, or takes data from other files; what the
        trial raises on the last provider.
        """
        check_self_contained(graph)
        compact = compact_forest(graph)
        self._is_forest = compact is not graph
        self.provider: str
        """What it runs on: Tensorrt, CUDA or CPU as ONNX Runtime spells them."""
        self.refused: dict[str, str] = {}
        """Why a provider before that one is not used, by its name."""
        providers = providers or Providers()
        self._low_memory = providers.low_memory
        names = _usable(providers) if accelerate else (CPU,)
        for at in range(len(names)):
            try:
                self._open(compact, names[at:])
                if trial:
                    trial(self)
                elif names[at] != CPU:
                    self._run_once()
            except Exception as error:
                if at == len(names) - 1:
                    raise
                self.refused[names[at]] = one_line(error.__cause__ or error)
            else:
                break
        trim()

    def _open(self, graph: bytes, names: tuple[str, ...]) -> None:
        """Open the graph on the first provider; what it lacks, the others compute."""
        # Imported here so that `timbre --help` does not wait for it.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread a session: parallelism is processes, and a small graph loses more to a pool
        # than it gains.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = not self._low_memory
        # Blocks for each number of rows, beside those that are there: 21 MB of a network.
        options.enable_mem_pattern = False
        engines = engine_folder(runtime()) if "Tensorrt" in names else None
        providers = [(f"{name}{SUFFIX}", options_of(name, engines)) for name in names]
        try:
            # By default ONNX Runtime prints what is missing and continues without the options of
            # the other providers.
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=providers, enable_fallback=0
            )
        except Exception as error:
            raise ArtefactError(f"ONNX Runtime rejects the graph: {error}") from error
        # Kept for a second start on another provider, which there never is: 12 MB of a forest.
        self._session._model_bytes = None  # noqa: SLF001 - there is no other way
        self.provider = self._session.get_providers()[0].removesuffix(SUFFIX)
        if self.provider != names[0]:
            raise ArtefactError("ONNX Runtime left it out: its libraries do not load")
        self._read_signature()

    def _run_once(self) -> None:
        if all(isinstance(size, int) for size in self.shape):
            self.predict(np.zeros((1, *self.shape), self.dtype))

    def _read_signature(self) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        takes, gives = (
            [item.type for item in inputs],
            [(item.type, len(item.shape)) for item in outputs],
        )
        if gives != [("tensor(float)", 2)] or len(takes) != 1 or takes[0] not in DTYPES:
            raise ArtefactError(
                "a graph must have one float32 or uint8 input and one float32 output (n, labels)"
            )
        self._input, self._outputs = inputs[0].name, [outputs[0].name]
        self.dtype = np.dtype(DTYPES[takes[0]])
        self.shape: tuple[Any, ...] = tuple(inputs[0].shape[1:])
        """Shape of one tensor, without the batch."""
        self.labels: Any = outputs[0].shape[1]
        """Scores of one tensor."""
        self._most_rows = self._rows_of_a_run()

    def _rows_of_a_run(self) -> int:
        if self._is_forest:
            return FOREST_ROWS
        if self.provider != CPU or not all(isinstance(size, int) for size in self.shape):
            return sys.maxsize
        large = math.prod(self.shape) * self.dtype.itemsize >= LARGE
        return LARGE_ROWS if large else sys.maxsize

    @property
    def names(self) -> tuple[str, str]:
        """The names of the input and of the output in the graph."""
        return self._input, self._outputs[0]

    def predict(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """Return scores (n, labels) of a batch (n, *shape).

        Raises Unprocessable if the batch is of another dtype or shape, or empty.
        """
        if batch.dtype != self.dtype or batch.shape[1:] != self.shape or len(batch) == 0:
            raise Unprocessable(
                f"the model takes {self.dtype} (n, {', '.join(map(str, self.shape))}), "
                f"not {batch.dtype} {batch.shape}"
            )
        if len(batch) > self._most_rows:
            starts = range(0, len(batch), self._most_rows)
            return np.concatenate([self.predict(batch[at : at + self._most_rows]) for at in starts])
        scores: npt.NDArray[np.float32] = self._session.run(
            self._outputs, {self._input: batch}, _run_options.get()
        )[0]
        return scores


@contextmanager
def run_limit(seconds: float) -> Iterator[None]:
    """End the runs of this thread after so many seconds in all; they raise TimeoutError then.

    Seconds of its processor time: a busy machine ends none. A run ends between two operators, or
    rounds of a loop: a single operator cannot be ended.
    """
    import onnxruntime

    options: Any = onnxruntime.RunOptions()
    # What it would print is raised as well.
    options.log_severity_level = 4
    clock, ended = of_this_thread(), threading.Event()
    until = clock() + seconds

    def watch() -> None:
        with suppress(OSError):  # the thread has ended, and its runs with it
            while not ended.wait(max(LEAST_S, until - clock())):
                if clock() >= until:
                    options.terminate = True
                    return

    threading.Thread(target=watch, name="limit", daemon=True).start()
    token = _run_options.set(options)
    try:
        yield
    except Exception as error:
        if options.terminate:
            raise TimeoutError(f"the graph ran for {seconds:g} s") from error
        raise
    finally:
        _run_options.reset(token)
        ended.set()


def listed() -> tuple[str, ...]:
    """Return the providers that this build of ONNX Runtime has, whether they run or not."""
    import onnxruntime

    found = [name.removesuffix(SUFFIX) for name in onnxruntime.get_available_providers()]
    return tuple(name for name in PREFERENCE if name in found)


def runtime() -> str:
    """Return the version of ONNX Runtime."""
    import onnxruntime

    return str(onnxruntime.__version__)


def _usable(providers: Providers) -> tuple[str, ...]:
    found = listed()
    names = tuple(name for name in providers.names if name in found)
    if not names:
        raise ArtefactError(
            f"this build of ONNX Runtime has {', '.join(found)}, not {', '.join(providers.names)}"
        )
    return names

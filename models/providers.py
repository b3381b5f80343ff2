"""The providers of ONNX Runtime: which are tried, with which options, and where engines are kept.

A provider that is listed may be unable to run: the list is made when the library is built, and
knows neither the GPU nor its driver.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from common.errors import Unprocessable

PREFERENCE = ("Tensorrt", "CUDA", "CPU")
"""Best first, as ONNX Runtime spells them, without `ExecutionProvider`."""
CPU = "CPU"
ENGINE_TIMEOUT_S = 1_800.0
"""Seconds in which TensorRT must have built the engine of a network, by default."""
MAX_REASON = 300
"""Characters of the reason why a provider is not used."""
PREFIX = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
TENSORRT = ("libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.8")


class Report(Protocol):
    """What is told of events, as service.log.log."""

    def __call__(self, event: str, **details: object) -> None:
        """Report an event."""


def unreported(event: str, **details: object) -> None:
    """Report nothing."""


@dataclass(frozen=True, kw_only=True)
class Providers:
    """Where models run."""

    names: tuple[str, ...] = PREFERENCE
    """Tried in this order; the first that runs is used."""
    engine_timeout: float = ENGINE_TIMEOUT_S
    """Seconds in which TensorRT must have built the engine of a network."""
    low_memory: bool = False
    """Whether the runtime gives back the memory of a call, at the price of speed."""
    max_batch: int = 32
    """Rows of one call, for which models are warmed up."""
    report: Report = unreported
    """Told of providers that are not used, and of what takes long to load or to build."""


def read_names(given: Sequence[str]) -> tuple[str, ...]:
    """Return the names of `tensorrt`, `cuda`, `cpu` as in PREFERENCE; all if none is given.

    Raises Unprocessable on another name, and on one that is given twice.
    """
    known = {name.lower(): name for name in PREFERENCE}
    for name in given:
        if name not in known:
            raise Unprocessable(f"providers={name!r:.80} must be of {', '.join(known)}")
    if len(set(given)) < len(given):
        raise Unprocessable(f"providers={','.join(given)} names one twice")
    return tuple(known[name] for name in given) or PREFERENCE


def options_of(name: str, engines: Path | None) -> dict[str, str]:
    """Return the options of a provider. engines: the folder of TensorRT's engines, if any."""
    if name == "CUDA":
        # Products of 10 bits (TF32) would give other than the golden scores.
        return {"use_tf32": "0"}
    if name == "Tensorrt" and engines:
        kinds = ("engine", "timing")
        return {f"trt_{kind}_cache_enable": "1" for kind in kinds} | {
            f"trt_{kind}_cache_path": str(engines) for kind in kinds
        }
    return {}


def one_line(error: object) -> str:
    """Return the message of an error on one line, without ONNX Runtime's codes."""
    text = " ".join(PREFIX.sub("", str(error).strip()).split())
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 3]}..."


def missing_library(words: str) -> str:
    """Return which shared library the loader did not find, as it says so on stderr; or nothing."""
    found = re.search(r"(\S+\.so[.\d]*): (cannot open shared object file|undefined symbol)", words)
    return found[0] if found else ""


def engine_folder(runtime: str) -> Path | None:
    """Return the folder of what is known of this machine's accelerators, made where it is missing.

    An engine fits one board, driver, TensorRT and precision only: each combination has a folder.
    runtime: the version of ONNX Runtime. None where no folder can be written.
    """
    key = hashlib.sha256(repr((runtime, *machine())).encode()).hexdigest()[:16]
    users = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    folder = Path(users, "timbre", "engines", key)
    if not folder.is_absolute():
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def machine(root: Path = Path("/proc")) -> tuple[str, ...]:
    """Return what an engine is bound to: board, GPUs, driver, TensorRT, precision. root: /proc."""
    gpus = sorted(root.glob("driver/nvidia/gpus/*/information"))
    models = [line for gpu in gpus for line in _text(gpu).splitlines() if "Model" in line]
    precision = f"float32, TF32 {os.environ.get('NVIDIA_TF32_OVERRIDE', '')}"
    board, driver = _text(root / "device-tree/model"), _text(root / "driver/nvidia/version")
    return (board, *models, driver, _tensorrt(), precision)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""


def _tensorrt() -> str:
    """Return the version of TensorRT that ONNX Runtime finds; empty without one."""
    for name in TENSORRT:
        try:
            version: Callable[[], int] = ctypes.CDLL(name).getInferLibVersion
        except (OSError, AttributeError):
            continue
        return str(version())
    return ""

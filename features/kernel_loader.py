"""Loads the compiled kernels from an object file; numba is needed only to make it.

So a process that computes features needs neither numba nor the 50 MB that compiling takes.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

from common.atomic import write_atomic
from features.object_file import ObjectFile, UnsupportedError

Entry: TypeAlias = Callable[..., int]
ENTRIES = {
    "analyse": 10, "keep": 7, "tuning_bin": 3, "summarise": 5, "mean_cepstra": 6, "gather_mel": 5,
    "mix_int16": 4, "mix_float32": 4,
}  # fmt: skip
"""The functions of `features.kernel_compiler`, and how many numbers each takes."""
SOURCES = (
    "layout", "arrays", "simd", "transform", "kernels", "window", "cepstrum", "mixing",
    "kernel_compiler",
)  # fmt: skip
PROCESSOR = ("vendor_id", "cpu family", "model", "stepping", "flags")
"""Of /proc/cpuinfo on x86."""
FOLDER = Path(__file__).parent
_loaded: list[Any] = []
"""Kept: the code is freed with what has loaded it."""


def symbol(name: str) -> str:
    """Return the name of an entry in the object file."""
    return f"timbre_{name}"


@cache
def entries() -> dict[str, Entry]:
    """Return the entries by name; they release the GIL. The first call on a machine takes 10 s."""
    data = _object()
    try:
        _loaded.append(loaded := ObjectFile(data))
        addresses = {name: loaded.address(symbol(name)) for name in ENTRIES}
    except UnsupportedError:
        addresses = _addresses_by_llvm(data)
    found: dict[str, Entry] = {}
    for name, count in ENTRIES.items():
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)
        found[name] = kind(addresses[name])
    return found


def _addresses_by_llvm(data: bytes) -> dict[str, int]:
    """Return the addresses of the entries, loaded by LLVM: 50 MB, for every processor it knows."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_triple(binding.get_process_triple()).create_target_machine(
        codemodel="jitdefault"
    )
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    _loaded.append(engine)
    engine.add_object_file(binding.ObjectFileRef.from_data(data))
    engine.finalize_object()
    return {name: engine.get_function_address(symbol(name)) for name in ENTRIES}


def address(array: npt.NDArray[Any]) -> int:
    """Return the address of a contiguous array, valid as long as the array is referenced."""
    begin: int = array.__array_interface__["data"][0]
    return begin


def _object() -> bytes:
    """Return the object file for this code and processor, compiled if needed."""
    name = f"kernels-{_key()}.o"
    for place in _places():
        with suppress(OSError):
            return (place / name).read_bytes()
    # In a process of its own, so that this one stays without numba.
    paths = os.pathsep.join([str(FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "features.kernel_compiler"]
    made = subprocess.run(  # noqa: S603 - ours
        command, check=True, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": paths}
    ).stdout
    _keep(name, made)
    return made


def _places() -> list[Path]:
    """Return the folders of object files: beside the code, else in the user's cache."""
    # Not Path.expanduser, which raises without a home.
    users = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return [FOLDER / "__pycache__", *([Path(users, "timbre")] if Path(users).is_absolute() else [])]


def compiled_file() -> Path | None:
    """Return the object file of this code and processor; None before the first `entries`."""
    paths = (place / f"kernels-{_key()}.o" for place in _places())
    return next((path for path in paths if path.exists()), None)


def cache_folder() -> Path | None:
    """Return the user's folder of object files and of other things that are made again."""
    return _places()[-1] if len(_places()) > 1 else None


def _keep(name: str, made: bytes) -> None:
    """Write an object file to the first writable folder; without one, every start compiles it."""
    for place in _places():
        with suppress(OSError):
            write_atomic(place / name, made)
            return


def _key() -> str:
    """Return the hash of everything that the object file depends on."""
    hashed = hashlib.sha256()
    for name in SOURCES:
        hashed.update((FOLDER / f"{name}.py").read_bytes())
    hashed.update(repr(_machine()).encode())
    return hashed.hexdigest()[:16]


def _machine() -> tuple[object, ...]:
    """Return what tells this processor and compiler from others, without LLVM where possible."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = sorted({line for line in lines if line.startswith(PROCESSOR)})
    except OSError:
        processor = []
    if processor:
        return (*processor, importlib.metadata.version("llvmlite"))
    from llvmlite import binding

    return (
        binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(),
        binding.llvm_version_info,
    )

"""Loads the compiled kernels: those that are shipped, else those that are compiled here.

A process that loads shipped ones needs neither numba nor the 50 MB of LLVM. Compiled here, which
needs numba, are kernels for other machines, and those whose sources have changed.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
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
from common.errors import TimbreError
from features.kernels.processor import level

Entry: TypeAlias = Callable[..., int]
ENTRIES = {
    "analyse": 10, "keep": 7, "tuning_bin": 3, "summarise": 5, "mean_cepstra": 6, "gather_mel": 5,
    "mix_int16": 4, "mix_float32": 4,
}  # fmt: skip
"""The functions of `features.kernels.compiler`, and how many numbers each takes."""
SOURCES = (
    "layout", "arrays", "simd", "transform", "frames", "window", "cepstrum", "mixing", "compiler",
)  # fmt: skip
FOLDER = Path(__file__).parent
SHIPPED = FOLDER / "compiled"
"""Shared libraries, a file for each level of `processor`; `make kernels` writes them."""
_loaded: list[Any] = []
"""Kept: the code is freed with what has loaded it."""


def symbol(name: str) -> str:
    """Return the name of an entry in a shared library or object file."""
    return f"timbre_{name}"


@cache
def entries() -> dict[str, Entry]:
    """Return the entries by name; they release the GIL.

    Where none are shipped, the first call on a machine takes half a minute, and raises TimbreError
    without numba.
    """
    path = shipped()
    if path:
        return load(path)
    addresses = _addresses_by_llvm(_object())
    return {name: _type(count)(addresses[name]) for name, count in ENTRIES.items()}


def load(path: Path) -> dict[str, Entry]:
    """Return the entries of a shared library. Raises OSError."""
    library = ctypes.CDLL(str(path))
    return {name: _type(count)((symbol(name), library)) for name, count in ENTRIES.items()}


def _type(count: int) -> Any:
    """Return the type of a function of so many numbers."""
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)


def shipped() -> Path | None:
    """Return the shipped kernels for this machine; None where there are none of these sources."""
    best = level()
    path = SHIPPED / library_name(best) if best else None
    return path if path and path.exists() else None


def library_name(at: str) -> str:
    """Return the file name of the shipped kernels of a level, which tells other sources' apart."""
    return f"{at}-{_of_sources().hexdigest()[:12]}.so"


def _addresses_by_llvm(data: bytes) -> dict[str, int]:
    """Return the addresses of the entries, loaded by LLVM, for every processor it knows."""
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


def compile_kernels(*arguments: str) -> bytes:
    """Run `features.kernels.compiler`; return what it prints. Raises TimbreError without numba."""
    if not importlib.util.find_spec("numba"):
        raise TimbreError(
            "no compiled kernels are shipped for this machine or for the changed sources in "
            f"{FOLDER}: to compile them here, install numba (pip install 'timbre[kernels]')"
        )
    # In a process of its own, so that this one stays without numba.
    root = str(FOLDER.parent.parent)
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    # Nothing of the machine that compiles: LLVM's passes come later, for the machine that runs it.
    fixed = {"NUMBA_OPT": "0", "NUMBA_CPU_NAME": "generic", "PYTHONHASHSEED": "0"}
    return subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-m", "features.kernels.compiler", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | fixed | {"PYTHONPATH": paths},
    ).stdout


def _object() -> bytes:
    """Return the object file for this code and processor, compiled if needed."""
    name = _object_name()
    for place in _places():
        with suppress(OSError):
            return (place / name).read_bytes()
    made = compile_kernels()
    _keep(name, made)
    return made


def _places() -> list[Path]:
    """Return the folders of object files: beside the code, else in the user's cache."""
    # Not Path.expanduser, which raises without a home.
    users = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return [FOLDER / "__pycache__", *([Path(users, "timbre")] if Path(users).is_absolute() else [])]


def compiled_file() -> Path | None:
    """Return the file of the kernels of this code and processor; None before it is compiled."""
    path = shipped()
    if path or not importlib.util.find_spec("llvmlite"):
        return path
    paths = (place / _object_name() for place in _places())
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


def _of_sources() -> Any:
    """Return the hash of all that the kernels are made of."""
    hashed = hashlib.sha256()
    for name in SOURCES:
        hashed.update((FOLDER / f"{name}.py").read_bytes())
    return hashed


def _object_name() -> str:
    """Return the file name of the object file, which tells other processors' and LLVMs' apart."""
    from llvmlite import binding

    hashed = _of_sources()
    host = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    hashed.update(repr((*host, binding.llvm_version_info)).encode())
    return f"kernels-{hashed.hexdigest()[:16]}.o"

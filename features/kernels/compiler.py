"""Compiles the kernels to machine code, which runs without numba.

`python -m features.kernels.compiler` writes the object file for this processor to its standard
output; with a folder, it writes the shared libraries there that are shipped.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from llvmlite import binding
from numba import njit, types

from features.kernels import cepstrum, frames, mixing, window
from features.kernels.arrays import doubles, floats, integers, rows32, shorts
from features.kernels.layout import BANDS, BINS, HALF, HOP, LANES, N_FFT, PAIR, PEAKS, STRIDE
from features.kernels.loader import ENTRIES, library_name, symbol
from features.kernels.processor import LEVELS

MANY = 2**31
"""Length of arrays whose length only the caller knows."""
CPUS = {"aarch64": "generic"}
"""LLVM's names of the levels that it calls otherwise."""
SAFE = ("-z", "now", "-z", "relro", "-z", "noexecstack", "-z", "text")


def analyse(tables, scratch, rows, out, signal, offset, start, stop, count, full):
    """Run `frames.analyse`; tables, scratch, out: addresses of their parts' addresses."""
    t, s, o = integers(tables, 11), integers(scratch, 5), integers(out, 2)
    bands = t[8]
    return frames.analyse(
        floats(signal, MANY),
        offset,
        start,
        stop,
        (
            doubles(t[0], N_FFT), doubles(t[1], MANY), doubles(t[2], MANY), integers(t[3], HALF),
            integers(t[4], bands), integers(t[5], bands + 1), floats(t[6], MANY),
            doubles(t[7], 1)[0], (t[9], t[10]),
        ),
        (
            floats(s[0], HOP * STRIDE), doubles(s[1], HALF * PAIR), floats(s[2], BINS * LANES),
            floats(s[3], BINS * LANES), floats(s[4], BINS * LANES),
        ),
        integers(rows, count),
        (rows32(o[0], bands), rows32(o[1], PEAKS)),
        full != 0,
    )  # fmt: skip


def keep(rows, count, out, bands, mel_at, edges, full):
    """Run `frames.keep`; rows: the address of the addresses of `count` rows."""
    o = integers(out, 2)
    parts = rows32(o[0], bands), rows32(o[1], PEAKS)
    frames.keep(integers(rows, count), parts, mel_at, doubles(edges, 101), full != 0)
    return 0


def tuning_bin(rows, count, scratch):
    """Run `window.tuning_bin`."""
    return window.tuning_bin(integers(rows, count), floats(scratch, MANY))


def summarise(rows, count, tuning, bank, out):
    """Run `window.summarise`."""
    window.summarise(integers(rows, count), tuning, rows32(bank, BINS), floats(out, 6))
    return 0


def mean_cepstra(rows, count, cosines, turns, out, size):
    """Run `cepstrum.mean_cepstra` for the first `size` coefficients."""
    tables = floats(cosines, BANDS), floats(turns, MANY)
    cepstrum.mean_cepstra(integers(rows, count), *tables, floats(out, size))
    return 0


def gather_mel(rows, count, bands, mel_at, out):
    """Run `window.gather_mel`."""
    window.gather_mel(integers(rows, count), mel_at, rows32(out, bands))
    return 0


def mix_int16(samples, channels, count, out):
    """Run `mixing.mix_int16` on `count` samples of so many channels."""
    mixing.mix_int16(shorts(samples, MANY), channels, floats(out, count))
    return 0


def mix_float32(samples, channels, count, out):
    """Run `mixing.mix_float32`."""
    mixing.mix_float32(floats(samples, MANY), channels, floats(out, count))
    return 0


def assembly() -> str:
    """Return the LLVM code of all entries, of no machine yet; inner functions are its own."""
    whole = binding.parse_assembly("")
    for entry in (
        analyse, keep, tuning_bin, summarise, mean_cepstra, gather_mel, mix_int16, mix_float32,
    ):  # fmt: skip
        whole.link_in(binding.parse_assembly(_assembly(entry)))
    whole.verify()
    for function in whole.functions:
        if not function.is_declaration and not function.name.startswith(symbol("")):
            function.linkage = "internal"
    for variable in whole.global_variables:
        if variable.linkage.name == "common":
            variable.linkage = "internal"
    return str(whole)


def compiled(code: str, triple: str, **options: str) -> bytes:
    """Return the object file of LLVM code; triple and options: the machine, as LLVM names it."""
    machine = binding.Target.from_triple(triple).create_target_machine(opt=3, **options)
    module = binding.parse_assembly(code)
    module.triple, module.data_layout = triple, str(machine.target_data)
    tuning = binding.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization, tuning.slp_vectorization = True, False
    passes = binding.create_pass_builder(machine, tuning)
    passes.getModulePassManager().run(module, passes)
    return bytes(machine.emit_object(module))


def for_here() -> bytes:
    """Return the object file for this processor, for `loader` to load."""
    triple = binding.get_process_triple()
    return compiled(
        assembly(),
        triple,
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        # As numba does for code that is loaded into a running process.
        reloc="static" if triple.startswith("x86") else "default",
        codemodel="jitdefault",
    )


def ship(folder: Path) -> None:
    """Write the shared libraries for all levels to a folder, in the place of those in it."""
    code = assembly()
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.so"):
        old.unlink()
    for machine, levels in LEVELS.items():
        for level in levels:
            options = {"reloc": "pic", "codemodel": "small", "cpu": CPUS.get(level, level)}
            made = compiled(code, f"{machine}-unknown-linux-gnu", **options)
            _link(made, machine, folder / library_name(level))


def _link(made: bytes, machine: str, path: Path) -> None:
    """Write the shared library of an object file, with the linker of binutils for the machine."""
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(made)
        file.flush()
        linker = [f"{machine}-linux-gnu-ld", "--shared", "--strip-all"]
        options = ["--build-id=none", "--hash-style=gnu", *SAFE]
        subprocess.run([*linker, *options, "-o", path, file.name], check=True)  # noqa: S603 - ours


def _assembly(entry):
    """Return the LLVM code of an entry, behind a function with the C calling convention."""
    name, count = entry.__name__, ENTRIES[entry.__name__]
    signature = types.int64(*[types.int64] * count)
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
    compiled = njit(signature, error_model="numpy", **options)(entry).overloads[signature.args]
    given = ", ".join(f"i64 %{place}" for place in range(count))
    return (
        compiled.library.get_llvm_str()
        + f"""
define i64 @{symbol(name)}({given}) {{
  %result = alloca i64
  %trouble = alloca ptr
  call i32 @{compiled.fndesc.llvm_func_name}(ptr %result, ptr %trouble, {given})
  %value = load i64, ptr %result
  ret i64 %value
}}
"""
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        ship(Path(sys.argv[1]))
    else:
        sys.stdout.buffer.write(for_here())

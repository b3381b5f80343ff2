"""Compiles the kernels to machine code for this processor, which runs without numba.

`python -m features.kernel_compiler` writes the object file to its standard output.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import sys

from llvmlite import binding
from numba import njit, types

from features import cepstrum, kernels, mixing, window
from features.arrays import doubles, floats, integers, rows32, rows64, shorts
from features.kernel_loader import ENTRIES, symbol
from features.layout import BANDS, BINS, HALF, HOP, LANES, N_FFT, PAIR, PEAKS, STRIDE

MANY = 2**31
"""Length of arrays whose length only the caller knows."""


def analyse(tables, scratch, frames, signal, offset, start, stop, row, count, full):
    """Run `kernels.analyse`; tables, scratch, frames: addresses of their parts' addresses."""
    t, s, f = integers(tables, 11), integers(scratch, 5), integers(frames, 7)
    bands = t[8]
    return kernels.analyse(
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
        (
            rows64(f[0], 6), rows32(f[1], bands), rows32(f[2], BINS), rows32(f[3], PEAKS),
            rows32(f[4], PEAKS), integers(f[5], MANY), integers(f[6], MANY),
        ),
        row,
        count,
        full != 0,
    )  # fmt: skip


def tuning_bin(rows, count, frames, edges, scratch):
    """Run `window.tuning_bin`; rows: the address of `count` numbers of rows."""
    f = integers(frames, 7)
    chosen, notes, heights = integers(rows, count), rows32(f[3], PEAKS), rows32(f[4], PEAKS)
    return window.tuning_bin(
        chosen, notes, heights, integers(f[5], MANY), doubles(edges, 101), floats(scratch, MANY)
    )


def summarise(rows, count, frames, tuning, bank, out):
    """Run `window.summarise`."""
    f = integers(frames, 7)
    chosen, tuned = integers(rows, count), integers(f[6], MANY)
    window.summarise(
        chosen,
        rows64(f[0], 6),
        rows32(f[2], BINS),
        tuned,
        tuning,
        rows32(bank, BINS),
        floats(out, 6),
    )
    return 0


def mean_cepstra(rows, count, frames, cosines, turns, out, size):
    """Run `cepstrum.mean_cepstra` for the first `size` coefficients."""
    chosen, mel = integers(rows, count), floats(integers(frames, 7)[1], MANY)
    tables = floats(cosines, BANDS), floats(turns, MANY)
    cepstrum.mean_cepstra(chosen, mel, *tables, floats(out, size))
    return 0


def mix_int16(samples, channels, count, out):
    """Run `mixing.mix_int16` on `count` samples of so many channels."""
    mixing.mix_int16(shorts(samples, MANY), channels, floats(out, count))
    return 0


def mix_float32(samples, channels, count, out):
    """Run `mixing.mix_float32`."""
    mixing.mix_float32(floats(samples, MANY), channels, floats(out, count))
    return 0


def build() -> bytes:
    """Return the object file with all entries, as C functions."""
    target = binding.Target.from_triple(binding.get_process_triple())
    machine = target.create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=3,
        # As numba does for code that is loaded into a running process.
        reloc="static" if target.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )
    whole = binding.parse_assembly("")
    for entry in (analyse, tuning_bin, summarise, mean_cepstra, mix_int16, mix_float32):
        whole.link_in(binding.parse_assembly(_assembly(entry)))
    whole.verify()
    return bytes(machine.emit_object(whole))


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
    sys.stdout.buffer.write(build())

"""An object file is loaded as LLVM loads it, or said to be unsupported; never half."""

import ctypes
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from features import kernel_loader, object_file
from features.kernel_loader import ENTRIES, address, symbol
from features.object_file import ObjectFile, UnsupportedError


@pytest.fixture(scope="module")
def data():
    made = kernel_loader._object()
    try:
        ObjectFile(made)
    except UnsupportedError as reason:
        pytest.skip(f"LLVM loads the kernels of this machine: {reason}")
    return made


def changed(data, at, form, *values):
    copy = bytearray(data)
    struct.pack_into(form, copy, at, *values)
    return bytes(copy)


def section_headers(data):
    """Offset and fields of each section's header."""
    begin, size, count = (struct.unpack_from("<Q", data, 40)[0], 64, data[60] + 256 * data[61])
    return [
        (begin + size * at, struct.unpack_from("<IIQQQQIIQQ", data, begin + size * at))
        for at in range(count)
    ]


def test_its_functions_give_what_they_give_when_llvm_loads_them(data):
    loaded, by_llvm = ObjectFile(data), kernel_loader._addresses_by_llvm(data)
    samples = np.random.default_rng(0).integers(-32_768, 32_767, (1_000, 3), np.int16)
    results = []
    for place in (loaded.address(symbol("mix_int16")), by_llvm["mix_int16"]):
        mix = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 4)(place)
        out = np.zeros(1_000, np.float32)
        mix(address(samples), 3, 1_000, address(out))
        results.append(out)
    assert results[0].any()
    np.testing.assert_array_equal(*results)
    assert by_llvm.keys() == ENTRIES.keys()
    assert all(loaded.address(symbol(name)) for name in ENTRIES)


def test_its_memory_cannot_be_written_once_it_is_loaded(data):
    loaded = ObjectFile(data)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(loaded._memory))
    (rights,) = [
        line.split()[1]
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        if int(line.split("-")[0], 16) <= begin < int(line.split("-")[1].split()[0], 16)
    ]
    assert rights[:3] == "r-x"


def test_a_name_that_is_not_there_is_an_error(data):
    with pytest.raises(KeyError):
        ObjectFile(data).address("timbre_nothing")


@pytest.mark.parametrize("length", [0, 10, 63, 64, 1_000, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_unsupported(data, length):
    with pytest.raises(UnsupportedError):
        ObjectFile(data[: int(length if length >= 1 else length * len(data))])


def test_another_format_processor_or_kind_of_file_is_unsupported(data):
    for at, form, value in (
        (0, "<B", 0),
        (4, "<B", 1),
        (5, "<B", 2),
        (16, "<H", 3),
        (18, "<H", 183),
    ):
        with pytest.raises(UnsupportedError, match="not an object file for x86-64"):
            ObjectFile(changed(data, at, form, value))


def test_a_reference_of_another_type_is_unsupported(data):
    kinds = {at: fields for at, fields in section_headers(data) if fields[1] == object_file.RELA}
    first = next(iter(kinds.values()))
    with pytest.raises(UnsupportedError, match="relocations of type 2"):
        ObjectFile(changed(data, first[4] + 8, "<I", 2))
    with pytest.raises(UnsupportedError):
        ObjectFile(changed(data, first[4] + 12, "<I", 2**31))  # no such symbol
    with pytest.raises(UnsupportedError):
        ObjectFile(changed(data, first[4], "<Q", 2**40))  # outside of the code


def test_writable_data_is_unsupported(data):
    at, fields = next(
        (at, fields)
        for at, fields in section_headers(data)
        if fields[1] == object_file.PROGBITS and fields[2] & object_file.ALLOC and fields[5]
    )
    with pytest.raises(UnsupportedError, match="writable"):
        ObjectFile(changed(data, at + 8, "<Q", fields[2] | object_file.WRITE))


def test_an_unknown_function_of_the_c_library_is_unsupported(data):
    with pytest.raises(UnsupportedError, match="memzzz"):
        ObjectFile(data.replace(b"\0memset\0", b"\0memzzz\0"))


def test_other_systems_are_unsupported(data, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UnsupportedError, match="win32"):
        ObjectFile(data)

"""Loads an object file of compiled functions into this process, as a linker would; x86-64 Linux.

It spares a process the 50 MB of LLVM. Only what our kernels consist of is taken: code, constants,
and absolute or 64-bit relative references; anything else is `Unsupported`.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

PAGE = mmap.PAGESIZE
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QIIq")
MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian, version 1
RELOCATABLE, X86_64 = 1, 62
PROGBITS, SYMTAB, RELA, REL = 1, 2, 4, 9
WRITE, ALLOC, TLS = 0x1, 0x2, 0x400
UNDEFINED = 0
ABSOLUTE_64, RELATIVE_64 = 1, 24  # R_X86_64_64, R_X86_64_PC64
READ_EXECUTE = mmap.PROT_READ | mmap.PROT_EXEC


class UnsupportedError(Exception):
    """The object file or the machine is of another kind than this loader knows."""


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int


class _Symbol(NamedTuple):
    name: int
    info: int
    other: int
    section: int
    value: int
    size: int


class ObjectFile:
    """The functions of an object file, callable as long as this object lives."""

    def __init__(self, data: bytes) -> None:
        """Raises UnsupportedError."""
        if sys.platform != "linux":
            raise UnsupportedError(f"{sys.platform} is not linux")
        self._data = data
        try:
            self._sections = self._read_sections()
            self._symbols = self._read_symbols()
            self._load()
        except (struct.error, ValueError, IndexError, AttributeError, OSError) as error:
            raise UnsupportedError(str(error)) from error

    def address(self, name: str) -> int:
        """Return the address of a function. Raises KeyError."""
        return self._named[name]

    def _read_sections(self) -> list[_Section]:
        header = _HEADER.unpack_from(self._data)
        magic, kind, machine = header[:3]
        if not magic.startswith(MAGIC) or (kind, machine) != (RELOCATABLE, X86_64):
            raise UnsupportedError("not an object file for x86-64")
        begin, size, count = header[6], header[11], header[12]
        return [
            _Section(*_SECTION.unpack_from(self._data, begin + size * at)) for at in range(count)
        ]

    def _read_symbols(self) -> list[_Symbol]:
        (table,) = [section for section in self._sections if section.kind == SYMTAB]
        self._strings = self._sections[table.link].offset
        return [_Symbol(*fields) for fields in _SYMBOL.iter_unpack(self._content(table))]

    def _content(self, section: _Section) -> bytes:
        content = self._data[section.offset : section.offset + section.size]
        if len(content) != section.size:
            raise UnsupportedError("the object file is cut off")
        return content

    def _name(self, symbol: _Symbol) -> str:
        begin = self._strings + symbol.name
        return self._data[begin : self._data.index(0, begin)].decode()

    def _load(self) -> None:
        """Copy code and constants to memory of their own, resolve references, make it read-only."""
        places, size = {}, 0
        for at, section in enumerate(self._sections):
            # .eh_frame is for exceptions, which the kernels do not have.
            if section.flags & ALLOC and section.size and section.kind == PROGBITS:
                if section.flags & (WRITE | TLS):
                    raise UnsupportedError("there is writable data")
                size = -(-size // section.align) * section.align
                places[at] = size
                size += section.size
        self._memory = mmap.mmap(-1, -(-size // PAGE) * PAGE)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for at, place in places.items():
            self._memory[place : place + self._sections[at].size] = self._content(
                self._sections[at]
            )
        self._addresses = {at: begin + place for at, place in places.items()}
        for section in self._sections:
            if section.info in places and section.kind in {RELA, REL}:
                self._relocate(section, places[section.info], begin)
        if ctypes.CDLL(None, use_errno=True).mprotect(
            ctypes.c_void_p(begin), ctypes.c_size_t(len(self._memory)), READ_EXECUTE
        ):
            raise OSError(ctypes.get_errno(), "mprotect")
        self._named = {
            self._name(symbol): self._addresses[symbol.section] + symbol.value
            for symbol in self._symbols
            if symbol.section in self._addresses and symbol.name
        }

    def _relocate(self, section: _Section, place: int, begin: int) -> None:
        for at, kind, target in self._references(section):
            if kind not in {ABSOLUTE_64, RELATIVE_64}:
                raise UnsupportedError(f"relocations of type {kind}")
            where = place + at
            value = target - (begin + where) if kind == RELATIVE_64 else target
            struct.pack_into("<Q", self._memory, where, value % 2**64)

    def _references(self, section: _Section) -> Iterator[tuple[int, int, int]]:
        """Yield place, type and target of each reference of a section."""
        if section.kind == REL:
            raise UnsupportedError("relocations without addends")
        for at, kind, symbol, addend in _RELOCATION.iter_unpack(self._content(section)):
            yield at, kind, self._target(self._symbols[symbol]) + addend

    def _target(self, symbol: _Symbol) -> int:
        if symbol.section == UNDEFINED:
            # memset and the like, of the C library in this process.
            found = ctypes.CDLL(None)[self._name(symbol)]
            return ctypes.cast(found, ctypes.c_void_p).value or 0
        if symbol.section not in self._addresses:
            raise UnsupportedError(f"a reference to section {symbol.section}")
        return self._addresses[symbol.section] + symbol.value

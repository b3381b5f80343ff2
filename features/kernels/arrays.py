"""Arrays inside kernels that are made of an address, and so need none of numba's memory."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array


def _make_array(scalar: Any, dimensions: int) -> Any:
    """Make an intrinsic: from an address and the length of the last axis to an array view."""
    kind = types.Array(scalar, dimensions, "C")

    @intrinsic
    def array(typingctx, address, length):
        def codegen(context, builder, signature, args):
            built, size = context.make_array(kind)(context, builder), scalar.bitwidth // 8
            count, item = args[1], ir.IntType(64)(size)
            # Of rows there are as many as the caller knows of.
            shape = [ir.IntType(64)(2**31)] * (dimensions - 1) + [count]
            strides = [builder.mul(count, item)] * (dimensions - 1) + [item]
            data = builder.inttoptr(args[0], built.data.type)
            populate_array(
                built, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None
            )
            return built._getvalue()  # noqa: SLF001 - numba's own way

        return kind(types.int64, types.int64), codegen

    return array


floats, doubles, integers, shorts, octets = (
    _make_array(kind, 1)
    for kind in (types.float32, types.float64, types.int64, types.int16, types.uint8)
)
rows32 = _make_array(types.float32, 2)


@intrinsic(prefer_literal=True)
def room(typingctx, size):
    """The address of so many bytes (a literal), which last as long as the function runs."""
    if not isinstance(size, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, args):
        block = ir.ArrayType(ir.IntType(64), size.literal_value // 8)
        return builder.ptrtoint(cgutils.alloca_once(builder, block), ir.IntType(64))

    return types.int64(size), codegen

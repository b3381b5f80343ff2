"""Eight lanes of arithmetic at once, for numba kernels.

`F64x8` and `F32x8` are numba types for a vector of eight floats; LLVM maps them to whatever the
machine has (one AVX-512 register, two of AVX2, four of NEON). Loops over lanes written in plain
Python do not vectorise here, because LLVM cannot prove that the arrays do not overlap.

Inside kernels: `load64(array, i)`, `store64(array, i, v)`, `splat64(x)` and their 32-bit twins on
flat contiguous arrays (i in elements, not checked), `+ - *`, `product8`, `divide8`, `fma8`,
`sqrt8`, `abs8`, `max8`, `min8`, `narrow(v)`, `widen(v)`, `lane(v, i)`, `greater8` (a bit per lane),
`transpose8`.
Source: numba's extension interface (`numba.extending`).
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"
from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from features.kernels.layout import LANES


class _Vector(types.Type):
    """A vector of `LANES` floats of `bits` bits each."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__(name=f"F{bits}x{LANES}")


F64x8, F32x8 = _Vector(64), _Vector(32)
_ELEMENT = {64: ir.DoubleType(), 32: ir.FloatType()}
_SCALAR = {64: types.float64, 32: types.float32}


def _llvm(vector: _Vector) -> ir.VectorType:
    return ir.VectorType(_ELEMENT[vector.bits], LANES)


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: _Vector) -> None:
        super().__init__(dmm, fe_type, _llvm(fe_type))


def _pointer(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: _Vector
) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _llvm(vector).as_pointer())


def _make_load(vector: _Vector) -> Any:
    @intrinsic
    def load(typingctx, array, index):
        def codegen(context, builder, signature, args):
            pointer = _pointer(context, builder, signature.args[0], args[0], args[1], vector)
            return builder.load(pointer, align=vector.bits // 8)

        return vector(array, types.intp), codegen

    return load


def _make_store(vector: _Vector) -> Any:
    @intrinsic
    def store(typingctx, array, index, value):
        def codegen(context, builder, signature, args):
            pointer = _pointer(context, builder, signature.args[0], args[0], args[1], vector)
            builder.store(args[2], pointer, align=vector.bits // 8)
            return context.get_dummy_value()

        return types.none(array, types.intp, vector), codegen

    return store


def _make_splat(vector: _Vector) -> Any:
    @intrinsic
    def splat(typingctx, value):
        def codegen(context, builder, signature, args):
            first = builder.insert_element(
                ir.Constant(_llvm(vector), ir.Undefined), args[0], ir.IntType(32)(0)
            )
            return builder.shuffle_vector(
                first, ir.Constant(_llvm(vector), ir.Undefined), _mask([0] * LANES)
            )

        return vector(_SCALAR[vector.bits]), codegen

    return splat


load64, load32 = _make_load(F64x8), _make_load(F32x8)
store64, store32 = _make_store(F64x8), _make_store(F32x8)
splat64, splat32 = _make_splat(F64x8), _make_splat(F32x8)


def _overload_binary(python_operator: Any, instruction: str) -> None:
    @intrinsic
    def apply(typingctx, left, right):
        def codegen(context, builder, signature, args):
            # `contract` lets LLVM fuse a product and a sum; it never reorders.
            return getattr(builder, instruction)(*args, flags=("contract",))

        return left(left, left), codegen

    @overload(python_operator)
    def operate(left, right):
        if isinstance(left, _Vector) and left == right:
            return lambda left, right: apply(left, right)  # noqa: PLW0108 (numba reads its source)
        return None


_overload_binary(operator.add, "fadd")
_overload_binary(operator.sub, "fsub")
_overload_binary(operator.mul, "fmul")


@intrinsic
def product8(typingctx, left, right):
    """Lane-wise product, rounded by itself: never fused with a sum."""

    def codegen(context, builder, signature, args):
        # For some processors LLVM fuses what is added by a sum of `contract`, whatever made it.
        return _library(builder, "llvm.arithmetic.fence", left, [builder.fmul(*args)])

    return left(left, left), codegen


@intrinsic
def divide8(typingctx, left, right):
    """Lane-wise quotient, 0 where the divisor is 0."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(_llvm(left), None)
        return builder.select(builder.fcmp_ordered("==", args[1], zero), zero, builder.fdiv(*args))

    return left(left, left), codegen


def _library(builder, name, vector, args):
    """Call an LLVM intrinsic that works lane by lane."""
    kind = ir.FunctionType(_llvm(vector), [_llvm(vector)] * len(args))
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f{vector.bits}"), args
    )


@intrinsic
def sqrt8(typingctx, value):
    """Lane-wise square root."""

    def codegen(context, builder, signature, args):
        return _library(builder, "llvm.sqrt", value, args)

    return value(value), codegen


@intrinsic
def abs8(typingctx, value):
    """Lane-wise magnitude."""

    def codegen(context, builder, signature, args):
        return _library(builder, "llvm.fabs", value, args)

    return value(value), codegen


@intrinsic
def fma8(typingctx, a, b, c):
    """Lane-wise a * b + c, rounded once where the processor can: elsewhere it would be a call."""

    def codegen(context, builder, signature, args):
        product = builder.fmul(args[0], args[1], flags=("contract",))
        return builder.fadd(product, args[2], flags=("contract",))

    return a(a, a, a), codegen


def _make_extreme(comparison):
    @intrinsic
    def extreme(typingctx, left, right):
        def codegen(context, builder, signature, args):
            return builder.select(builder.fcmp_ordered(comparison, *args), *args)

        return left(left, left), codegen

    return extreme


# Of numbers only: NaN never gets here.
max8, min8 = _make_extreme(">"), _make_extreme("<")


@intrinsic
def narrow(typingctx, value):
    """Round eight doubles to floats."""

    def codegen(context, builder, signature, args):
        return builder.fptrunc(args[0], _llvm(F32x8))

    return F32x8(F64x8), codegen


@intrinsic
def widen(typingctx, value):
    """Turn eight floats into doubles."""

    def codegen(context, builder, signature, args):
        return builder.fpext(args[0], _llvm(F64x8))

    return F64x8(F32x8), codegen


@intrinsic
def lane(typingctx, value, index):
    """One lane as a scalar."""

    def codegen(context, builder, signature, args):
        return builder.extract_element(args[0], builder.trunc(args[1], ir.IntType(32)))

    return _SCALAR[value.bits](value, types.intp), codegen


@intrinsic
def greater8(typingctx, left, right):
    """Lane-wise comparison as bits: bit i is set where left > right in lane i."""

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(builder.fcmp_ordered(">", *args), ir.IntType(LANES))
        return builder.zext(bits, ir.IntType(64))

    return types.int64(left, left), codegen


@intrinsic
def count_ones(typingctx, bits):
    """How many bits are set."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.int64), codegen


@intrinsic
def lowest_bit(typingctx, bits):
    """Index of the lowest set bit; `bits` must not be 0."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.int64), codegen


@intrinsic
def transpose8(typingctx, source, at, source_step, target, to, target_step):
    """Transpose an 8 x 8 tile: row i (at + i * source_step) becomes column i of `target`."""

    def codegen(context, builder, signature, args):
        from_type, to_type = signature.args[0], signature.args[3]
        integer = ir.IntType(64)
        rows = []
        for i in range(LANES):
            index = builder.add(args[1], builder.mul(args[2], integer(i)))
            rows.append(
                builder.load(_pointer(context, builder, from_type, args[0], index, F32x8), align=4)
            )
        # Three rounds of the perfect shuffle of rows i and i + 4 leave every element at its mirror
        # place.
        low, high = _mask([0, 8, 1, 9, 2, 10, 3, 11]), _mask([4, 12, 5, 13, 6, 14, 7, 15])
        for _ in range(3):
            pairs = [(rows[i], rows[i + 4]) for i in range(4)]
            rows = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in (low, high)]
        for i in range(LANES):
            index = builder.add(args[4], builder.mul(args[5], integer(i)))
            builder.store(
                rows[i], _pointer(context, builder, to_type, args[3], index, F32x8), align=4
            )
        return context.get_dummy_value()

    size = types.intp
    return types.none(source, size, size, target, size, size), codegen


def _mask(lanes):
    return ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes)

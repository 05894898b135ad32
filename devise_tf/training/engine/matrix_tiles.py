"""Products of small matrices, written down as vector instructions for the functions that Numba compiles.

LLVM does not keep such tiles in registers by itself, and a call of a BLAS costs much beside such a product. Tiles take
addresses, because the rows that they join lie scattered in large tables.

Numba's cache does not look at this file: after a change here, touch the files that use it.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

# The CPU that Numba compiles for, which is also part of the key of its cache; features are "+avx2,-avx512f,...".
_WIDE = "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")
# Floats a vector register, and the tiles that leave room in 32 of the wide registers or 16 of the others.
LANES = 16 if _WIDE else 8
ROWS = 4
COLUMNS = 4 if _WIDE else 2
VECTORS = 4 if _WIDE else 2
BYTES = 4 * LANES

_FLOAT, _INT32, _INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)


def _const(value):
    return ir.Constant(_INT64, value)


def _pointer(builder, address, kind):
    return builder.inttoptr(address, kind.as_pointer())


def _load(builder, address, kind=_VECTOR):
    value = builder.load(_pointer(builder, address, kind))
    value.align = 8 if kind is _INT64 else 4
    return value


def _store(builder, address, value):
    builder.store(value, _pointer(builder, address, value.type)).align = 4


def _shuffle(builder, a, b, lanes):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT32, len(lanes)), lanes))


def _fma(builder, a, b, c):
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    # One instruction where the CPU has it, two where it has not; `llvm.fma` would call a function there.
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32"), [a, b, c])


def _accumulators(builder, count):
    slots = [cgutils.alloca_once(builder, _VECTOR) for _ in range(count)]
    for slot in slots:
        builder.store(_ZERO, slot)
    return slots


@intrinsic
def dot_tile(typing_context, rows, columns, column_stride, row_bytes, out, out_stride):
    """out[r, c] = row r . column c, for 4 rows and `COLUMNS` columns.

    `rows` is the address of 4 addresses of float rows; columns lie `column_stride` bytes apart from `columns` on; rows
    and columns are `row_bytes` long, a multiple of a register; rows of `out` lie `out_stride` bytes apart.
    """

    def codegen(context, builder, signature, arguments):
        rows, columns, column_stride, row_bytes, out, out_stride = arguments
        left = [_load(builder, builder.add(rows, _const(8 * r)), _INT64) for r in range(ROWS)]
        right = [builder.add(columns, builder.mul(column_stride, _const(c))) for c in range(COLUMNS)]
        sums = _accumulators(builder, ROWS * COLUMNS)
        with cgutils.for_range_slice(builder, _const(0), row_bytes, _const(BYTES), inc=True) as (offset, _):
            a = [_load(builder, builder.add(address, offset)) for address in left]
            b = [_load(builder, builder.add(address, offset)) for address in right]
            for index, slot in enumerate(sums):
                value = _fma(builder, a[index // COLUMNS], b[index % COLUMNS], builder.load(slot))
                builder.store(value, slot)
        # Adds the lanes of all sums at once: each round halves the lanes of a sum and puts two sums in one register.
        vectors, lanes = [builder.load(slot) for slot in sums], LANES
        while lanes > 1:
            half = lanes // 2
            low = [lane for start in range(0, 2 * LANES, lanes) for lane in range(start, start + half)]
            high = [lane + half for lane in low]
            vectors = [
                builder.fadd(_shuffle(builder, a, b, low), _shuffle(builder, a, b, high))
                for a, b in zip(vectors[::2], vectors[1::2], strict=True)
            ]
            lanes = half
        for r in range(ROWS):
            vector, first = vectors[r * COLUMNS // LANES], r * COLUMNS % LANES
            values = _shuffle(builder, vector, vector, list(range(first, first + COLUMNS)))
            _store(builder, builder.add(out, builder.mul(out_stride, _const(r))), values)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


def _make_axpy_tile(vectors):
    @intrinsic
    def axpy_tile(typing_context, rows, weights, row_stride, source_stride, sources, count, offset):
        """row r += sum over the `count` sources s of weights[r, s] * source s, for 4 rows, from byte `offset` on.

        `rows` and `sources` are addresses of addresses of float rows, of which `vectors` registers are added;
        weights[r, s] lies `r * row_stride + s * source_stride` bytes behind `weights`.
        """

        def codegen(context, builder, signature, arguments):
            rows, weights, row_stride, source_stride, sources, count, offset = arguments
            sums = _accumulators(builder, ROWS * vectors)
            strides = [builder.mul(row_stride, _const(r)) for r in range(ROWS)]
            with cgutils.for_range(builder, count) as loop:
                source = _load(builder, builder.add(sources, builder.mul(loop.index, _const(8))), _INT64)
                source = builder.add(source, offset)
                values = [_load(builder, builder.add(source, _const(BYTES * v))) for v in range(vectors)]
                weight = builder.add(weights, builder.mul(loop.index, source_stride))
                for r in range(ROWS):
                    scalar = _load(builder, builder.add(weight, strides[r]), _FLOAT)
                    spread = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(_INT32, 0))
                    spread = _shuffle(builder, spread, spread, [0] * LANES)
                    for v in range(vectors):
                        slot = sums[r * vectors + v]
                        builder.store(_fma(builder, spread, values[v], builder.load(slot)), slot)
            for r in range(ROWS):
                row = builder.add(_load(builder, builder.add(rows, _const(8 * r)), _INT64), offset)
                for v in range(vectors):
                    address = builder.add(row, _const(BYTES * v))
                    total = builder.fadd(_load(builder, address), builder.load(sums[r * vectors + v]))
                    _store(builder, address, total)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), codegen

    return axpy_tile


axpy_1, axpy_2, axpy_3, axpy_4 = (_make_axpy_tile(vectors) for vectors in (1, 2, 3, 4))

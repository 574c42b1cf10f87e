"""The door between xdfn and the array libraries. All that is written above it uses an array's own namespace, `xp`, and
the names below; only the modules behind it know a library by name.

Arrays       Array, Gradient, Product, DType, Host, Foreign, Namespace: what types mean here
Places       namespace(x): its array-API functions.  place(x), resolve_place("cupy:1"): a library and a device;
             HOST is that of NumPy.  traits(x): what the library can do.
             require_array, require_place, require_shape, function_name: errors that say how to mend it
Dtypes       real_dtype, real_name, has_float64; tiny, largest, eps: the range of a dtype
Computing    computing(x): the context of all computing with x
Array-likes  as_array: lists, frames, what speaks DLPack.  ArrayLike: their type
Transfer     to_numpy, read: from the device.  put, to_place, stream_rows: to it.  as_real, fresh_copy
Making       arange, constants, ones_row, unit_rows
Gradients    product, concatenate, write, subtract: for arrays, for pairs (A, B) that stand for A B, and for RowSums
Operations   sign, positive, sigmoid, add, divide, axpby, take, take_rows, take_into, row_numbers, elementwise, kernel,
             bias_activation, activation_pullback.  with_rows_together: X as batches want it
Many steps   record: a step's calls of NumPy, made again.  scan: steps as one compiled loop of JAX
Threads      blas_threads, one_blas_thread: those of NumPy's products
Ranks        Communicator: joins processes that train together.  summed: the sum over all of them.  overlaps,
             start_sum, finish_sums: beside other work.  gather_texts, broadcast_by_sum: what else sums alone can do.
              NCCLCommunicator, new_id: those of NCCL
Randomness   xdfn.backend.random

To add a library: a line in `place._IMPORTS` and, if it can do more than the standard, one in `place._TRAITS`.
"""

from xdfn.backend._blas import blas_threads, one_blas_thread
from xdfn.backend._jax import scan
from xdfn.backend._nccl import NCCLCommunicator, new_id
from xdfn.backend._numpy import take_into, with_rows_together
from xdfn.backend._recorder import Replay, UnrecordedError, record
from xdfn.backend.array import Array, DType, Foreign, Host, Namespace
from xdfn.backend.comm import (
    Communicator,
    broadcast_by_sum,
    finish_sums,
    gather_texts,
    overlaps,
    start_sum,
    summed,
)
from xdfn.backend.convert import ArrayLike, as_array
from xdfn.backend.ops import (
    Gradient,
    Product,
    RowSums,
    activation_pullback,
    add,
    arange,
    axpby,
    bias_activation,
    concatenate,
    constants,
    divide,
    elementwise,
    kernel,
    ones_row,
    positive,
    product,
    row_numbers,
    sigmoid,
    sign,
    subtract,
    take,
    take_rows,
    unit_rows,
    write,
)
from xdfn.backend.place import (
    HOST,
    Place,
    Traits,
    computing,
    eps,
    function_name,
    has_float64,
    largest,
    namespace,
    place,
    real_dtype,
    real_name,
    require_array,
    require_place,
    require_shape,
    resolve_place,
    tiny,
    traits,
)
from xdfn.backend.transfer import as_real, fresh_copy, put, read, stream_rows, to_numpy, to_place

__all__ = [
    "HOST",
    "Array",
    "ArrayLike",
    "Communicator",
    "DType",
    "Foreign",
    "Gradient",
    "Host",
    "NCCLCommunicator",
    "Namespace",
    "Place",
    "Product",
    "Replay",
    "RowSums",
    "Traits",
    "UnrecordedError",
    "activation_pullback",
    "add",
    "arange",
    "as_array",
    "as_real",
    "axpby",
    "bias_activation",
    "blas_threads",
    "broadcast_by_sum",
    "computing",
    "concatenate",
    "constants",
    "divide",
    "elementwise",
    "eps",
    "finish_sums",
    "fresh_copy",
    "function_name",
    "gather_texts",
    "has_float64",
    "kernel",
    "largest",
    "namespace",
    "new_id",
    "one_blas_thread",
    "ones_row",
    "overlaps",
    "place",
    "positive",
    "product",
    "put",
    "read",
    "real_dtype",
    "real_name",
    "record",
    "require_array",
    "require_place",
    "require_shape",
    "resolve_place",
    "row_numbers",
    "scan",
    "sigmoid",
    "sign",
    "start_sum",
    "stream_rows",
    "subtract",
    "summed",
    "take",
    "take_into",
    "take_rows",
    "tiny",
    "to_numpy",
    "to_place",
    "traits",
    "unit_rows",
    "with_rows_together",
    "write",
]

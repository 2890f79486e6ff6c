"""Make arrays from a distribution and a seed, or from given values.

Every array is drawn from a random stream of its own, keyed by its name and the seed, so that no
array is a copy of another: a cotangent equal to x would hide a transposed outer product.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.errors import ArrayError
from gradcheck_cli.text import format_shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shape = tuple[int, ...]

LARGEST = sys.float_info.max
MAX_AXES = 32  # of an array: as many as every version of numpy allows


class Drawn(Struct, frozen=True):
    """An array drawn from a distribution, times `scale`, plus `offset`.

    Two distributions have parameters of their own: `integers` are from `low` to below `high`,
    without scale and offset; an entry of a `mask` is 1 with probability `keep`, else 0.
    """

    distribution: str = "normal"
    scale: float = 1.0
    offset: float = 0.0
    low: int = 0
    high: int = 2
    keep: float = 0.5

    def array(self, name: str, shape: Shape, seed: int) -> NDArray[Any]:
        """Draw the array of this name; the same name, shape and seed give the same array."""
        import numpy as np

        stream = np.random.default_rng([seed, crc32(name.encode())])
        drawn = np.asarray(_DRAW[self.distribution](self, stream, shape))
        return drawn if drawn.dtype.kind == "i" else np.asarray(drawn * self.scale + self.offset)


def _draw_one_hot(drawn: Drawn, stream: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
    """A single 1 among the outputs of every sample, which are along the last axis; in a column of
    shape (…, M, 1), along the axis before it."""
    import numpy as np

    sizes = shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape
    outputs = sizes[-1] if sizes else 1
    samples = math.prod(sizes[:-1])
    hot = np.zeros((samples, outputs))
    hot[np.arange(samples), stream.integers(outputs, size=samples)] = 1.0
    return hot.reshape(shape)


def _fill(value: float, shape: Shape) -> NDArray[np.float64]:
    import numpy as np

    return np.full(shape, value)


_DRAW: dict[str, Callable[[Drawn, np.random.Generator, Shape], Any]] = {
    "normal": lambda drawn, stream, shape: stream.standard_normal(shape),
    "uniform": lambda drawn, stream, shape: stream.uniform(-1.0, 1.0, shape),
    "one-hot": _draw_one_hot,
    "sign": lambda drawn, stream, shape: stream.choice((-1.0, 1.0), shape),
    "zeros": lambda drawn, stream, shape: _fill(0.0, shape),
    "ones": lambda drawn, stream, shape: _fill(1.0, shape),
    "integers": lambda drawn, stream, shape: stream.integers(drawn.low, drawn.high, size=shape),
    "mask": lambda drawn, stream, shape: (stream.random(shape) < drawn.keep) * 1.0,
}
DISTRIBUTIONS = tuple(_DRAW)


class Given(Struct, frozen=True):
    """An array that the config gives inline, as nested lists, or by a file."""

    values: Any

    def array(self, name: str, shape: Shape, seed: int) -> NDArray[Any]:
        """A copy of the values; whole numbers stay whole, and a single number fills the shape."""
        import numpy as np

        array = np.array(self.values)
        array = array if array.dtype.kind in "ib" else array.astype(np.float64, copy=False)
        return np.full(shape, array) if array.ndim == 0 else array.reshape(shape)


Source = Drawn | Given


def draw(
    name: str, shape: Shape, seed: int, dtype: Any, source: Drawn | None = None
) -> NDArray[Any]:
    """Draw an array of this type, normal by default; for a complex type, both parts are drawn."""
    import numpy as np

    drawn = source or Drawn()
    made = drawn.array(name, shape, seed)
    if np.dtype(dtype).kind == "c":
        made = made + 1j * drawn.array(f"imaginary part of {name}", shape, seed)
    return np.asarray(made).astype(dtype, copy=False)


class ArraySpec(Struct, frozen=True):
    """What an array is made from: its shape and the source of its values."""

    shape: Shape
    source: Source

    def resize(self, size: int, other: int) -> ArraySpec:
        """The spec with another size for all axes of this size.

        Given values are cut to it. Whole numbers drawn below the old size, such as labels, are
        drawn below the new one.
        """
        import numpy as np

        shape = tuple(other if axis == size else axis for axis in self.shape)
        if isinstance(self.source, Drawn):
            high = other if self.source.high == size else self.source.high
            return ArraySpec(shape, replace(self.source, high=high))
        values = np.asarray(self.source.values)
        if values.ndim == 0 or shape == self.shape:
            return self
        return ArraySpec(shape, Given(values[tuple(slice(axis) for axis in shape)]))

    def array(self, name: str, seed: int, dtype: str, *, floats: bool = False) -> NDArray[Any]:
        """Make the array, with floats of `dtype`.

        floats: whether whole numbers become floats, too; else they stay whole.
        Raises ArrayError where a value is too large for `dtype`.
        """
        import numpy as np

        with np.errstate(all="ignore"):
            if floats and isinstance(self.source, Drawn):
                made = draw(name, self.shape, seed, dtype, self.source)
            else:
                made = self.source.array(name, self.shape, seed)
                if floats or made.dtype.kind == "f":
                    made = made.astype(dtype, copy=False)
        if not np.isfinite(made).all():
            raise ArrayError(f"{name} is not finite in {dtype}; give it a smaller scale")
        return made


def inline_shape(values: Any, *, booleans: bool = False) -> Shape:
    """The shape of nested lists of numbers; booleans: whether booleans are allowed, too.

    Raises ArrayError where the lists are ragged or empty, or hold anything else.
    """
    if not isinstance(values, list):
        if isinstance(values, bool) and booleans:
            return ()
        if isinstance(values, bool) or not isinstance(values, int | float):
            shown = "nothing" if values is None else repr(values)
            raise ArrayError(f"an array holds numbers, not {shown}")
        if abs(values) > LARGEST:
            raise ArrayError("an array holds numbers of float64; this one is too large")
        return ()
    if not values:
        raise ArrayError("an array needs at least one number")
    shapes = [inline_shape(item, booleans=booleans) for item in values]
    if len(set(shapes)) > 1:
        odd = next(index for index, shape in enumerate(shapes) if shape != shapes[0])
        raise ArrayError(
            f"the rows differ: row 0 is of shape {format_shape(shapes[0])}, "
            f"row {odd} of {format_shape(shapes[odd])}"
        )
    return (len(values), *shapes[0])

"""Where input arrays come from: drawn from a seed, given inline, read from .npy or .csv.

Every drawn array has a random stream of its own, keyed by its name and the seed, so that no array
is ever a copy of another: a cotangent equal to x would hide a transposed outer product.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from msgspec import Struct

from gradcheck_cli.errors import ArrayError
from gradcheck_cli.text import format_shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shape = tuple[int, ...]

LARGEST = sys.float_info.max
LARGEST_FILE = 4 * 2**30  # bytes

DISTRIBUTIONS = ("normal", "uniform", "one-hot", "sign", "zeros", "ones", "integers", "mask")


class Drawn(Struct, frozen=True):
    """An array drawn from a distribution, times `scale`, plus `offset`.

    integers are whole numbers from `low` to below `high`, as they are; a mask holds a 1 with the
    probability `keep`, else a 0.
    """

    distribution: str = "normal"
    scale: float = 1.0
    offset: float = 0.0
    low: int = 0
    high: int = 2
    keep: float = 0.5

    def array(self, name: str, shape: Shape, seed: int) -> NDArray[Any]:
        """The array of this name: the same for the same name, shape and seed."""
        import numpy as np

        stream = np.random.default_rng([seed, crc32(name.encode())])
        match self.distribution:
            case "normal":
                drawn = stream.standard_normal(shape)
            case "uniform":
                drawn = stream.uniform(-1.0, 1.0, shape)
            case "sign":
                drawn = stream.choice((-1.0, 1.0), shape)
            case "one-hot":
                drawn = _one_hot(stream, shape)
            case "integers":
                return stream.integers(self.low, self.high, size=shape)
            case "mask":
                drawn = (stream.random(shape) < self.keep).astype(np.float64)
            case _:
                drawn = np.full(shape, 1.0 if self.distribution == "ones" else 0.0)
        return np.asarray(drawn * self.scale + self.offset)


def _one_hot(stream: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
    """One 1 among the outputs of every sample: a row, or the whole of a column vector."""
    import numpy as np

    samples, outputs = (1, math.prod(shape)) if shape[-1] == 1 else (shape[0], shape[-1])
    hot = np.zeros((samples, outputs))
    hot[np.arange(samples), stream.integers(outputs, size=samples)] = 1.0
    return hot.reshape(shape)


class Given(Struct, frozen=True):
    """An array the config gives, inline (nested lists) or by a file that was read."""

    values: Any
    origin: str

    def array(self, name: str, shape: Shape, seed: int) -> NDArray[Any]:
        """The given values, whole numbers as such; a single number fills the shape."""
        import numpy as np

        array = np.asarray(self.values)
        array = array if array.dtype.kind in "ib" else array.astype(np.float64)
        return np.full(shape, array) if array.ndim == 0 else array.reshape(shape)


Source = Drawn | Given


def inline_shape(values: Any) -> Shape:
    """The shape of nested lists of numbers. Raises ArrayError where they are ragged or empty."""
    if not isinstance(values, list):
        if isinstance(values, bool) or not isinstance(values, int | float):
            shown = "nothing" if values is None else repr(values)
            raise ArrayError(f"an array holds numbers, not {shown}")
        if abs(values) > LARGEST:
            raise ArrayError("an array holds numbers of float64; this one is too large")
        return ()
    if not values:
        raise ArrayError("an array needs at least one number")
    shapes = [inline_shape(item) for item in values]
    if len(set(shapes)) > 1:
        odd = next(index for index, shape in enumerate(shapes) if shape != shapes[0])
        raise ArrayError(
            f"the rows differ: row 0 is of shape {format_shape(shapes[0])}, "
            f"row {odd} of {format_shape(shapes[odd])}"
        )
    return (len(values), *shapes[0])


def _read_npy(path: Path) -> Any:
    import numpy as np

    with path.open("rb") as file:
        return np.load(file, allow_pickle=False)


def _read_csv(path: Path) -> Any:
    import numpy as np

    # Read here, because numpy would also follow URLs and unpack archives.
    text = path.read_text(encoding="utf-8-sig")
    lines = [line for line in text.splitlines() if line.partition("#")[0].strip()]
    if not lines:
        raise ArrayError(f"'{path.as_posix()}' holds no numbers")
    return np.loadtxt(lines, delimiter=",", ndmin=2)


def _csv_fault(path: Path) -> str:
    """The first line of a file that is not like comma-separated numbers, in words."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return "is not text in UTF-8"
    width = len(lines[0].split(","))
    for position, line in enumerate(lines, start=1):
        cells = line.split(",")
        for cell in cells:
            try:
                float(cell)
            except ValueError:
                header = "; a header line must go" if position == 1 else ""
                return f"is not comma-separated numbers: line {position} has '{cell[:40]}'{header}"
        if len(cells) != width:
            return f"has {len(cells)} numbers in line {position}, but {width} in line 1"
    return "is not comma-separated numbers"


def read_file(path: Path) -> NDArray[Any]:
    """The array in a .npy or .csv file. Pickles are refused: they run code when they are read.

    Raises ArrayError for a file that is missing, of another kind, not numeric or not finite.
    """
    import numpy as np

    shown = path.as_posix()
    try:
        if path.exists() and not path.is_file():
            raise ArrayError(f"cannot read '{shown}': it is not a regular file")
        if path.stat().st_size > LARGEST_FILE:
            raise ArrayError(f"'{shown}' is larger than {LARGEST_FILE / 2**30:.0f} GiB")
        array = _read_npy(path) if path.suffix.lower() == ".npy" else _read_csv(path)
    except OSError as error:
        raise ArrayError(f"cannot read '{shown}': {error.strerror or error}") from error
    except MemoryError as error:
        raise ArrayError(f"'{shown}' is too large for memory") from error
    except ArrayError:
        raise
    except Exception as error:  # numpy's readers raise whatever a broken header makes of them
        if path.suffix.lower() != ".npy":
            raise ArrayError(f"'{shown}' {_csv_fault(path)}") from error
        if "pickle" in str(error).lower():
            raise ArrayError(
                f"'{shown}' holds Python objects (a pickle), which would run code; "
                "save plain numbers with numpy.save"
            ) from error
        raise ArrayError(f"'{shown}' is not a .npy file: {str(error).splitlines()[0]}") from error
    if not isinstance(array, np.ndarray):
        raise ArrayError(f"'{shown}' is an archive; save one array with numpy.save")
    if array.dtype.kind not in "fiu":
        raise ArrayError(f"'{shown}' holds {array.dtype} values; real numbers are needed")
    if array.size == 0:
        raise ArrayError(f"'{shown}' holds no numbers: its shape is {array.shape}")
    if not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ArrayError(f"'{shown}' is not finite at {where}")
    return array

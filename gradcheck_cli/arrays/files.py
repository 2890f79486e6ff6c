"""Read arrays from .npy and .csv files, which may come from anybody.

A file is read once, and no more than a bound. Messages never quote what it holds, since its path
may be a link to a secret.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gradcheck_cli.errors import ArrayError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARRAY_FILES = (".npy", ".csv")
# Bytes of a .npy: a check holds three arrays of its size, and may take 4 GiB in all.
LARGEST_NPY = 4 * 2**30 // 3
LARGEST_CSV = 64 * 2**20  # bytes of a .csv; reading it takes some eight times as much memory


def read_file(path: Path, shown: str | None = None) -> NDArray[Any]:
    """Read the array in a .npy or .csv file; pickles are refused, since reading one runs code.

    shown: the name of the file in errors; None: its path.
    Raises ArrayError where the file is missing, of another kind, not numeric or not finite.
    """
    shown = shown or path.as_posix()
    try:
        # Opening a pipe would wait for its writer.
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ArrayError(f"cannot read '{shown}': it is not a regular file")
            is_npy = path.suffix.lower() == ".npy"
            most = LARGEST_NPY if is_npy else LARGEST_CSV
            if status.st_size > most:
                hint = "" if is_npy else "; numpy.save writes a .npy file, which may be larger"
                raise ArrayError(f"'{shown}' is larger than {most / 2**20:,.0f} MiB{hint}")
            array = _read_npy(file, shown) if is_npy else _read_csv(file, shown)
    except OSError as error:
        raise ArrayError(f"cannot read '{shown}': {error.strerror or error}") from error
    except MemoryError as error:
        raise ArrayError(f"'{shown}' is too large for memory") from error
    _refuse_unusable(array, shown)
    return array


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_npy(file: BinaryIO, shown: str) -> NDArray[Any]:
    import numpy as np

    try:
        array = np.load(file, allow_pickle=False)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # numpy may raise anything for a broken header
        if "pickle" in str(error).lower():
            raise ArrayError(
                f"'{shown}' holds Python objects (a pickle), which would run code; "
                "save plain numbers with numpy.save"
            ) from error
        # numpy's messages about a broken header may name its own objects, which help nobody.
        lines = [line for line in str(error).splitlines()[:1] if " object at 0x" not in line]
        reason = "".join(f": {line}" for line in lines)
        raise ArrayError(f"'{shown}' is not a .npy file{reason}") from error
    if not isinstance(array, np.ndarray):
        raise ArrayError(f"'{shown}' is an archive; save one array with numpy.save")
    return array


def _read_csv(file: BinaryIO, shown: str) -> NDArray[Any]:
    import numpy as np

    data = file.read(LARGEST_CSV)
    lines = (line for _, line in _number_lines(data))
    try:
        # numpy gets lines, not the path: by itself it would also follow URLs and unpack archives.
        first = next(lines, None)
        if first is None:
            raise ArrayError(f"'{shown}' holds no numbers")
        return np.loadtxt(chain([first], lines), delimiter=",", ndmin=2)
    except UnicodeDecodeError as error:
        raise ArrayError(f"'{shown}' is not text in UTF-8") from error
    except ValueError as error:
        raise ArrayError(f"'{shown}' {_csv_fault(_number_lines(data))}") from error


def _number_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """The lines of a .csv that hold numbers, with their numbers from 1 and without comments."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig")
    for position, line in enumerate(text, start=1):
        numbers = line.partition("#")[0].strip()
        if numbers:
            yield position, numbers


def _csv_fault(lines: Iterable[tuple[int, str]]) -> str:
    """What is wrong with the first line that is not comma-separated numbers."""
    first, width = 0, 0
    for position, line in lines:
        cells = line.split(",")
        for place, cell in enumerate(cells, start=1):
            if not _is_number(cell):
                header = "; a header line must go" if position == 1 else ""
                where = f"line {position}, cell {place}"
                return f"is not comma-separated numbers: {where} must be a number{header}"
        first, width = (first, width) if first else (position, len(cells))
        if len(cells) != width:
            return f"has {len(cells)} numbers in line {position}, but {width} in line {first}"
    return "is not comma-separated numbers"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _refuse_unusable(array: NDArray[Any], shown: str) -> None:
    """Raise ArrayError unless an array holds finite real numbers."""
    import numpy as np

    if array.dtype.kind not in "fiu":
        raise ArrayError(f"'{shown}' holds {array.dtype} values; real numbers are needed")
    if array.size == 0:
        raise ArrayError(f"'{shown}' holds no numbers: its shape is {array.shape}")
    if not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ArrayError(f"'{shown}' is not finite at {where}")

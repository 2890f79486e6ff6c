"""Input arrays: drawn from a seed, given inline, or read from .npy or .csv files."""

from gradcheck_cli.arrays.files import ARRAY_FILES, read_file
from gradcheck_cli.arrays.sources import (
    DISTRIBUTIONS,
    MAX_AXES,
    ArraySpec,
    Drawn,
    Given,
    Shape,
    Source,
    draw,
    inline_shape,
)

__all__ = [
    "ARRAY_FILES",
    "DISTRIBUTIONS",
    "MAX_AXES",
    "ArraySpec",
    "Drawn",
    "Given",
    "Shape",
    "Source",
    "draw",
    "inline_shape",
    "read_file",
]

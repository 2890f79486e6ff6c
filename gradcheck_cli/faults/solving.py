"""What a wrong gradient was made of, by least squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.measure.compare import Comparison

Float = NDArray[np.float64]

INDEPENDENT = 1e-10  # singular values below this share of the largest leave a solution open


def solved(parts: Float, found: Comparison, at: NDArray[np.intp], target: Float) -> Float | None:
    """The weights with which parts add up to a target, in units of what each entry may be off.

    parts: parts × entries, of the entries at these positions; target: of all measured entries.
    None where the entries do not tell them.
    """
    with np.errstate(all="ignore"):
        weight = 1.0 / found.allowed.ravel()[at]
        matrix, wanted = (parts * weight).T, target.ravel()[at] * weight
    known = np.isfinite(matrix).all(axis=1) & np.isfinite(wanted)
    matrix, wanted = matrix[known], wanted[known]
    scale = np.max(np.abs(matrix), initial=0.0)
    if not np.isfinite(scale) or scale == 0.0:
        return None
    weights, _, rank, _ = np.linalg.lstsq(matrix / scale, wanted / scale, rcond=INDEPENDENT)
    return np.asarray(weights) if rank == len(parts) else None

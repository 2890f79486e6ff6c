"""Families on which finite differences easily go wrong: flat, mixed, saturated, inexact."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.zoo import functions as f
from tests.benchmarks.zoo.family import Draw, Family, Function, Random
from tests.benchmarks.zoo.smooth import Spec, flat, one_hot, signs

DEAD, INVARIANT, MIXED, SATURATED, CORNERS, SINGLE, INEXACT, EDGE = (
    "dead zones",
    "invariance zeros",
    "mixed scales",
    "saturated",
    "near corners",
    "float32",
    "inexact forwards",
    "edge of the numbers",
)


def near(*shape: int, at: tuple[float, ...] = (0.0,), within: float = 1e-3) -> Draw:
    """Numbers at corners, some of them further off by 1e-9 to `within`, the others anywhere."""

    def draw(random: Random) -> Any:
        x = random.normal(size=shape)
        apart = within * 10.0 ** random.uniform(-6, 0, shape) * random.choice([-1, 1], shape)
        return np.where(random.uniform(size=shape) < 0.3, random.choice(at, shape) + apart, x)

    return draw


def times(factor: float, *shape: int) -> Draw:
    return lambda random: factor * random.normal(size=shape)


def columns(low: float, high: float, *shape: int) -> Draw:
    """Every column at a scale of its own, spread evenly over decades, in random order."""

    def draw(random: Random) -> Any:
        scales = 10.0 ** random.permutation(np.linspace(low, high, shape[-1]))
        return random.normal(size=shape) * scales

    return draw


def balanced(x: Any, random: Random) -> dict[str, Any]:
    """With constant weights that bring its columns to one scale."""
    return {"x": x, "_w": random.normal(size=(x.shape[1], 3)) / np.max(np.abs(x), 0)[:, None]}


def cornered(random: Random, distances: Draw) -> dict[str, Any]:
    """A layer whose constant bias brings its outputs to these distances from 0."""
    x, w = random.normal(size=(4, 5)), random.normal(size=(5, 3))
    return {"x": x, "w": w, "_b": distances(random) - x @ w}


DEAD_ZONES: tuple[Spec, ...] = (
    ("hard threshold", {"x": (4, 5)}, lambda x: x * (f.real(f.absolute(x)) > 1)),
    ("hinge of square", {"x": (4, 5)}, lambda x: f.relu(x * x - 1)),
    ("soft threshold", {"x": (4, 5)}, lambda x: f.relu(x - 1) - f.relu(-x - 1)),
    ("cubic spline", {"x": (4, 5)}, lambda x: f.relu(x) ** 3 - 2 * f.relu(x - 1) ** 3),
    ("all dead", {"x": flat(4, 5, low=-0.9)}, lambda x: f.relu(x - 1)),
    ("all dead, a jump", {"x": flat(4, 5, low=-0.9)}, lambda x: x * (f.real(f.absolute(x)) > 1)),
    ("all dead, sum", {"x": flat(4, 5, low=-0.9)}, lambda x: f.relu(x * x - 1).sum((-1, -2))),
    (
        "insensitive squared",
        {"x": (4, 5)},
        lambda x: f.relu(f.absolute(x) - 1) ** 2,
    ),
    ("dead and a little live", {"x": (4, 5)}, lambda x: f.relu(x - 3) + 1e-3 * x),
    (
        "triplet with margin",
        {"a": (4, 3), "p": (4, 3), "n": times(3, 4, 3)},
        lambda a, p, n: f.relu(f.norm(a - p, -1) - f.norm(a - n, -1) + 1),
    ),
    (
        "contrastive with margin",
        {"x": (6, 3), "y": (6, 3)},
        lambda x, y: f.relu(1 - f.norm(x - y, -1)) ** 2,
    ),
    ("svm", {"x": (5, 4), "w": (4,), "_t": signs(5)}, lambda x, w, t: f.relu(1 - t * (x @ w) * 3)),
    (
        "multiclass hinge",
        {"x": times(3, 4, 5), "_t": one_hot(4, 5)},
        lambda x, t: f.relu(x - (x * t).sum(-1)[..., None] + 1 - t).sum(-1),
    ),
    ("relu6", {"x": times(4, 4, 5)}, lambda x: f.clip(x, 0.0, 6.0)),
    ("hard tanh", {"x": times(2, 4, 5)}, lambda x: f.clip(x, -1.0, 1.0)),
    ("hard sigmoid", {"x": times(3, 4, 5)}, lambda x: f.clip(0.2 * x + 0.5, 0.0, 1.0)),
    (
        "dead unit of two layers",
        {"x": (3, 4), "w": (4, 5), "_v": (5, 2)},
        lambda x, w, v: f.relu(x @ w - 3) @ v,
    ),
    ("step", {"x": (4, 5)}, lambda x: np.where(f.real(x) > 0, 1.0, 0.0) + 0 * x),
    (
        "clipped ratio",
        {"x": (4, 5), "_a": (4, 5)},
        lambda x, a: f.minimum(np.exp(x) * a, f.clip(np.exp(x), 0.8, 1.2) * a),
    ),
    ("max of others", {"x": (4, 5)}, lambda x: f.largest(x)),
    (
        "margin ranking",
        {"x": (6,), "y": (6,), "_t": signs(6)},
        lambda x, y, t: f.relu(-t * (x - y) + 0.5),
    ),
)
INVARIANCES: tuple[Spec, ...] = (
    (
        "bias before batch norm",
        {"x": (6, 3), "w": (3, 4), "b": (1, 4)},
        lambda x, w, b: f.batch_norm(x @ w + b),
    ),
    (
        "bias before batch norm and relu",
        {"x": (6, 3), "w": (3, 4), "b": (1, 4)},
        lambda x, w, b: f.relu(f.batch_norm(x @ w + b)),
    ),
    (
        "key bias",
        {"q": (3, 4), "k": (5, 4), "v": (5, 2), "b": (1, 4)},
        lambda q, k, v, b: f.attention(q, k + b, v),
    ),
    ("shift of logits", {"x": (4, 5), "s": (4, 1)}, lambda x, s: f.softmax(x + s)),
    (
        "shift of cross entropy",
        {"x": (4, 5), "s": (1, 1), "_t": one_hot(4, 5)},
        lambda x, s, t: -(t * f.log_softmax(x + s)).sum(-1),
    ),
    ("shift of layer norm", {"x": (4, 5), "s": (4, 1)}, lambda x, s: f.layer_norm(x + s)),
    (
        "scale of direction",
        {"x": (4, 5), "s": flat(4, 1)},
        lambda x, s: f.cosine(x * s, np.ones(5)),
    ),
    (
        "difference",
        {"x": (4, 5), "s": (1, 1)},
        lambda x, s: np.tanh((x + s)[..., 1:] - (x + s)[..., :-1]),
    ),
    ("unused", {"x": (4, 5), "s": (1, 3)}, lambda x, s: np.tanh(x) + 0 * s.sum(-1, keepdims=True)),
)
MIXTURES: tuple[Spec, ...] = (
    (
        "columns balanced by weights",
        lambda r: balanced(columns(-9, 3, 5, 4)(r), r),
        lambda x, w: np.tanh(x @ w),
    ),
    (
        "features and weights",
        {
            "x": lambda r: r.normal(size=(5, 4)) * 10.0 ** np.array([-9, -5, 0, 3]),
            "w": lambda r: r.normal(size=(4, 3)) / 10.0 ** np.array([-9, -5, 0, 3])[:, None],
        },
        lambda x, w: np.tanh(x @ w),
    ),
    (
        "features and weights, sigmoid",
        {
            "x": lambda r: r.normal(size=(5, 4)) * 10.0 ** np.array([-6, -2, 2, 6]),
            "w": lambda r: r.normal(size=(4, 3)) / 10.0 ** np.array([-6, -2, 2, 6])[:, None],
        },
        lambda x, w: f.sigmoid(x @ w),
    ),
    (
        "time stamps",
        {
            "x": lambda r: np.stack(
                [1.7e9 + 1e5 * r.normal(size=5), r.normal(size=5), r.normal(size=5)], 1
            )
        },
        lambda x: np.sin((x[..., 0] - 1.7e9) / 1e5) + np.tanh(x[..., 1] * x[..., 2]),
    ),
    (
        "units",
        {"x": lambda r: r.normal(size=(6, 3)) * np.array([1e-6, 1.0, 1e6])},
        lambda x: np.exp(-((x / np.array([1e-6, 1.0, 1e6])) ** 2).sum(-1)),
    ),
    (
        "rows of scales",
        {"x": lambda r: r.normal(size=(5, 4)) * 10.0 ** np.arange(-9, 6, 3)[:, None]},
        lambda x: f.softmax(x / 10.0 ** np.arange(-9, 6, 3)[:, None]),
    ),
    (
        "every entry its own",
        {"x": lambda r: r.normal(size=(16,)) * 10.0 ** np.linspace(-9, 3, 16)},
        lambda x: np.sin(x / 10.0 ** np.linspace(-9, 3, 16)),
    ),
    (
        "learning rates",
        {"p": lambda r: np.exp(r.normal(size=6)) * 10.0 ** np.array([-5, -3, -1, 0, 2, 4])},
        lambda p: np.log(p),
    ),
    (
        "layer norm of mixed rows",
        {"x": lambda r: r.normal(size=(4, 5)) * 10.0 ** np.array([-3, 0, 2, 4])[:, None]},
        lambda x: f.layer_norm(x, 0.0),
    ),
    (
        "squared error, mixed",
        {
            "x": lambda r: r.normal(size=(5, 4)) * 10.0 ** np.array([-9, -3, 0, 3]),
            "w": lambda r: r.normal(size=4) / 10.0 ** np.array([-9, -3, 0, 3]),
            "_t": (5,),
        },
        lambda x, w, t: (x @ w - t) ** 2,
    ),
    (
        "gaussian kernel of units",
        {
            "x": lambda r: r.normal(size=(4, 3)) * np.array([1e-4, 1.0, 1e4]),
            "s": lambda r: np.exp(0.2 * r.normal(size=(1, 3))) * np.array([1e-4, 1.0, 1e4]),
        },
        lambda x, s: np.exp(
            -(((x[..., :, None, :] - x[..., None, :, :]) / s[..., None, :]) ** 2).sum(-1)
        ),
    ),
    (
        "large offset",
        {"x": lambda r: np.array([1e6, 0.0, 1.0, 2.0]) + r.normal(size=(4, 4))},
        lambda x: np.cos(x[..., 0] - 1e6) * np.tanh(x[..., 1:]).sum(-1),
    ),
)
SATURATIONS: tuple[Spec, ...] = (
    ("softmax of large logits", {"x": times(20, 5, 6)}, f.softmax),
    ("softmax of larger logits", {"x": times(100, 5, 6)}, f.softmax),
    (
        "softmax of an affine, large",
        {"x": (4, 5), "w": times(15, 5, 4)},
        lambda x, w: f.softmax(x @ w),
    ),
    (
        "cross entropy of large logits",
        {"x": times(30, 5, 6), "_t": one_hot(5, 6)},
        lambda x, t: -(t * f.log_softmax(x)).sum(-1),
    ),
    ("attention, sharp", {"q": times(8, 3, 4), "k": times(8, 4, 4), "v": (4, 3)}, f.attention),
    ("tanh, saturated", {"x": (4, 5), "w": times(10, 5, 3)}, lambda x, w: np.tanh(x @ w)),
    ("sigmoid, saturated", {"x": (4, 5), "w": times(30, 5, 3)}, lambda x, w: f.sigmoid(x @ w)),
    ("softplus, far out", {"x": times(30, 4, 5)}, f.softplus),
    ("lstm, saturated", {"x": times(5, 3, 1, 2), "w": times(5, 2, 8), "u": times(3, 2, 8)}, f.lstm),
    ("rnn, saturated", {"x": (4, 1, 3), "w": times(6, 3, 4), "u": times(3, 4, 4)}, f.recurrent),
    ("gaussian far out", {"x": times(4, 4, 5)}, lambda x: np.exp(-x * x)),
    (
        "logistic, certain",
        {"x": times(20, 5, 4), "_t": signs(5, 4)},
        lambda x, t: f.softplus(-t * x),
    ),
    (
        "cross entropy of probabilities",
        {"x": times(12, 4, 5), "_t": one_hot(4, 5)},
        lambda x, t: -np.log((f.softmax(x) * t).sum(-1)),
    ),
    (
        "gated, closed",
        {"x": (4, 5), "w": times(12, 5, 6)},
        lambda x, w: (x @ w)[..., :3] * f.sigmoid((x @ w)[..., 3:]),
    ),
    (
        "log-sum-exp of large",
        {"x": times(40, 4, 5)},
        lambda x: (
            np.log(np.exp(x - np.max(f.real(x), -1, keepdims=True)).sum(-1)) + np.max(f.real(x), -1)
        ),
    ),
    (
        "temperature",
        {"x": (4, 5), "t": lambda r: r.uniform(0.02, 0.1, (1, 1))},
        lambda x, t: f.softmax(x / t),
    ),
)
CORNERED: tuple[Spec, ...] = (
    ("relu near", {"x": near(4, 5)}, f.relu),
    ("relu within 1e-6", {"x": near(4, 5, within=1e-6)}, f.relu),
    ("absolute near", {"x": near(4, 5)}, f.absolute),
    ("leaky near", {"x": near(4, 5)}, lambda x: f.maximum(x, 0.2 * x)),
    ("clip near", {"x": near(4, 5, at=(-1.125, 0.875))}, lambda x: f.clip(x, -1.125, 0.875)),
    ("clip", {"x": (4, 5)}, lambda x: f.clip(x, -1.125, 0.875)),
    ("|sin|", {"x": near(4, 5, at=(0.0, np.pi))}, lambda x: f.absolute(np.sin(x))),
    ("relu of shifted", {"x": near(4, 5, at=(0.7,))}, lambda x: f.relu(x - 0.7)),
    (
        "maximum that nearly ties",
        {"x": near(4, 5, at=(np.pi / 12,))},
        lambda x: f.maximum(np.sin(3 * x), np.cos(3 * x)),
    ),
    (
        "max pool, near ties",
        {"x": lambda r: np.round(r.normal(size=(6, 4)), 1) + 1e-4 * r.normal(size=(6, 4))},
        lambda x: f.largest(x),
    ),
    ("relu layer near", lambda r: cornered(r, near(4, 3)), lambda x, w, b: f.relu(x @ w + b)),
    ("relu of tanh near", {"x": near(4, 5)}, lambda x: f.relu(np.tanh(x))),
    (
        "huber near",
        {"x": near(4, 5, at=(1.0, -1.0))},
        lambda x: np.where(np.abs(f.real(x)) < 1, x * x / 2, f.absolute(x) - 0.5),
    ),
    (
        "hinge near",
        {"x": near(5, 4, at=(1.0, -1.0)), "_t": signs(5, 4)},
        lambda x, t: f.relu(1 - t * x).sum(-1),
    ),
    ("prelu near", {"x": near(4, 5), "a": flat(1, 1)}, lambda x, a: f.relu(x) - a * f.relu(-x)),
    (
        "absolute of sum",
        lambda r: cornered(r, near(4, 3)),
        lambda x, w, b: f.absolute(x @ w + b).sum(-1),
    ),
    ("two kinks", {"x": near(4, 5, at=(0.0, 0.01))}, lambda x: f.relu(x) - 2 * f.relu(x - 0.01)),
    (
        "norm near zero",
        {"x": lambda r: r.normal(size=(5, 3)) * 10.0 ** r.uniform(-6, 0, (5, 1))},
        lambda x: f.norm(x, -1),
    ),
    ("sqrt near zero", {"x": lambda r: 10.0 ** r.uniform(-8, 0, (4, 4))}, np.sqrt),
    ("exp of absolute", {"x": near(4, 5)}, lambda x: np.exp(-f.absolute(x))),
)


def low_precision(dtype: Any, function: Function) -> Function:
    """The function, its outputs and input rounded to a type of few digits."""
    return lambda *values: np.asarray(
        function(*(np.asarray(v).astype(dtype) for v in values))
    ).astype(np.float64)


def rounded(digits: int, function: Function) -> Function:
    return lambda *values: np.round(function(*values), digits)


def fixed_point(tolerance: float) -> Function:
    """z = tanh(x + z w), iterated until it moves by less than a tolerance."""

    def solve(x: Any, w: Any) -> Any:
        z = np.tanh(x + 0 * (x @ w))
        going = np.ones((*z.shape[:-2], 1, 1), dtype=bool)
        for _ in range(1000):
            new = np.where(going, np.tanh(x + z @ w), z)
            going = np.max(np.abs(new - z), axis=(-2, -1), keepdims=True) >= tolerance
            z = new
            if not going.any():
                break
        return z

    return solve


def solved(x: Any, w: Any) -> Any:
    """The same, for as often as changes nothing."""
    z = 0 * x
    for _ in range(200):
        z = np.tanh(x + z @ w)
    return z


def adaptive(tolerance: float) -> Function:
    """∫₀¹ sin(a·t) eᵗ dt by Simpson's rule, halved until it moves by less than a tolerance."""

    def simpson(a: Any, count: int) -> Any:
        t = np.linspace(0.0, 1.0, 2 * count + 1)
        weights = np.where(np.arange(2 * count + 1) % 2 == 1, 4.0, 2.0)
        weights[0] = weights[-1] = 1.0
        return np.sin(a[..., None] * t) @ (weights * np.exp(t)) / (6 * count)

    def solve(a: Any) -> Any:
        count, found = 1, simpson(a, 1)
        going = np.ones(a.shape, dtype=bool)
        while going.any() and count < 2**12:
            count *= 2
            new = np.where(going, simpson(a, count), found)
            going = np.abs(new - found) >= tolerance
            found = new
        return found

    return solve


def integral(a: Any) -> Any:
    """Its closed form: Im (e^(1 + ia) − 1)/(1 + ia)."""
    return (np.exp(1) * (np.sin(a) - a * np.cos(a)) + a) / (1 + a * a)


def newton(tolerance: float) -> Function:
    """The cube root by Newton's method, until it moves by less than a tolerance of itself."""

    def solve(x: Any) -> Any:
        y = np.ones_like(x)
        going = np.ones((*x.shape[:-1], 1), dtype=bool)  # each of several points for itself
        for _ in range(100):
            new = np.where(going, y - (y - x / (y * y)) / 3, y)
            moves = np.abs(new - y) >= tolerance * np.abs(new)
            going = np.any(moves, axis=-1, keepdims=True)
            y = new
            if not going.any():
                break
        return y

    return solve


def inexact() -> list[Family]:
    """Forwards that compute what their backward is of, but not to all digits."""
    xw = {"x": (4, 5), "w": (5, 3)}
    contraction = {"x": (2, 3), "w": times(0.3, 3, 3)}

    def tanh(x: Any, w: Any) -> Any:
        return np.tanh(x @ w)

    rows: tuple[tuple[str, Any, Function, Function], ...] = (
        ("float16 tanh", xw, tanh, low_precision(np.float16, tanh)),
        ("float16 affine", xw, lambda x, w: x @ w, low_precision(np.float16, lambda x, w: x @ w)),
        ("float16 softmax", {"x": (4, 5)}, f.softmax, low_precision(np.float16, f.softmax)),
        ("float16 sigmoid", {"x": (4, 5)}, f.sigmoid, low_precision(np.float16, f.sigmoid)),
        ("float32 inside", xw, tanh, low_precision(np.float32, tanh)),
        ("float32 softmax inside", {"x": (4, 5)}, f.softmax, low_precision(np.float32, f.softmax)),
        ("rounded to 3 decimals", xw, tanh, rounded(3, tanh)),
        ("rounded to 6 decimals", xw, tanh, rounded(6, tanh)),
        ("squares to 3 decimals", {"x": (4, 5)}, lambda x: x * x, rounded(3, lambda x: x * x)),
        ("squares to 1 decimal", {"x": (4, 5)}, lambda x: x * x, rounded(1, lambda x: x * x)),
        ("fixed point at 1e-4", contraction, solved, fixed_point(1e-4)),
        ("fixed point at 1e-8", contraction, solved, fixed_point(1e-8)),
        ("fixed point at 1e-12", contraction, solved, fixed_point(1e-12)),
        ("newton at 1e-3", {"x": flat(6, low=0.3, high=5)}, _cube_root, newton(1e-3)),
        ("newton at 1e-10", {"x": flat(6, low=0.3, high=5)}, _cube_root, newton(1e-10)),
        ("adaptive at 1e-4", {"a": flat(4, low=1, high=9)}, integral, adaptive(1e-4)),
        ("adaptive at 1e-8", {"a": flat(4, low=1, high=9)}, integral, adaptive(1e-8)),
        ("table of 1000 values", {"x": flat(4, 4)}, np.sin, _by_table),
        (
            "float16 loss",
            {"x": (4, 5)},
            lambda x: (x * x).sum((-1, -2)),
            low_precision(np.float16, lambda x: (x * x).sum((-1, -2))),
        ),
    )
    return [
        Family(name, INEXACT, inputs, function, forward) for name, inputs, function, forward in rows
    ]


def _cube_root(x: Any) -> Any:
    return np.exp(np.log(x) / 3)


def _by_table(x: Any) -> Any:
    """sin by the nearest of 1,000 values on [0, 1]."""
    return np.sin(np.round(x * 1000) / 1000)


def single() -> list[Family]:
    """The same in float32 throughout."""
    rows: tuple[Spec, ...] = (
        ("affine, single", {"x": (4, 5), "w": (5, 3)}, lambda x, w: x @ w),
        ("tanh, single", {"x": (4, 5), "w": (5, 3)}, lambda x, w: np.tanh(x @ w)),
        ("relu, single", {"x": (4, 5), "w": (5, 3)}, lambda x, w: f.relu(x @ w)),
        ("softmax, single", {"x": (4, 5)}, f.softmax),
        ("squared, single", {"x": (4, 5)}, lambda x: (x * x).sum(-1)),
        (
            "cross entropy, single",
            {"x": (5, 4), "_t": one_hot(5, 4)},
            lambda x, t: -(t.astype(x.dtype) * f.log_softmax(x)).sum(-1),
        ),
        ("saturated tanh, single", {"x": (4, 5), "w": times(4, 5, 3)}, lambda x, w: np.tanh(x @ w)),
        ("cosine, single", {"x": (4, 5), "y": (4, 5)}, f.cosine),
        (
            "cosine of alike, single",
            {
                "x": lambda r: 1 + 0.1 * r.normal(size=(4, 5)),
                "_y": lambda r: np.ones(5, np.float32),
            },
            f.cosine,
        ),
        ("layer norm, single", {"x": (4, 5)}, f.layer_norm),
        ("batch norm, single", {"x": (6, 3), "w": (3, 4)}, lambda x, w: f.batch_norm(x @ w)),
        ("gru, single", {"x": (3, 1, 2), "w": (2, 9), "u": (3, 9)}, lambda x, w, u: f.gru(x, w, u)),
        ("attention, single", {"q": (3, 4), "k": (4, 4), "v": (4, 3)}, f.attention),
        ("absolute, single", {"x": near(4, 5)}, f.absolute),
        ("hinge of square, single", {"x": (4, 5)}, lambda x: f.relu(x * x - 1)),
        ("large logits, single", {"x": times(10, 4, 5)}, f.softmax),
    )
    return [
        Family(name, SINGLE, inputs, function, dtype="float32") for name, inputs, function in rows
    ]


def edges() -> list[Family]:
    """Numbers near the smallest and the largest that there are."""
    rows: list[tuple[str, float, Function, Function, bool]] = (
        [
            (f"2x at {scale:.0e}", scale, lambda x: 2 * x, lambda x: 0 * x + 2, scale < 1e-300)
            for scale in (1e-315, 1e-310, 1e-307, 1e-305, 1e-300, 1e-250, 1e250, 1e300, 1e305)
        ]
        + [
            (f"x² at {scale:.0e}", scale, lambda x: x * x, lambda x: 2 * x, True)
            for scale in (1e-200, 1e-155, 1e153)
        ]
        + [
            (f"tanh at {scale:.0e}", scale, np.tanh, lambda x: 1 / np.cosh(x) ** 2, scale < 1e-300)
            for scale in (1e-310, 1e-300, 1e-200)
        ]
    )
    return [
        Family(
            name,
            EDGE,
            {"x": times(scale, 5)},
            function,
            exact=slope,
            unknowable=bad,
        )
        for name, scale, function, slope, bad in rows
    ]


def families() -> list[Family]:
    """All of this module."""
    tables = {
        DEAD: DEAD_ZONES,
        INVARIANT: INVARIANCES,
        MIXED: MIXTURES,
        SATURATED: SATURATIONS,
        CORNERS: CORNERED,
    }
    named = [
        Family(name, group, inputs, function)
        for group, table in tables.items()
        for name, inputs, function in table
    ]
    return named + inexact() + single() + edges()

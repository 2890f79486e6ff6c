"""jax and autograd, each in a process of its own: jax forbids forks in one that imported it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.command import run_words

JAX = """
import jax
import jax.numpy as jnp
import numpy as np
from gradcheck_cli import Numeric, Verdict, check, double_backward, from_jax, from_value_and_grad
from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.frameworks.layers import as_function_of_arrays

x = np.linspace(-2.0, 2.0, 7)


@jax.custom_vjp
def tanh(x):
    return jnp.tanh(x)


def forward(x):
    return jnp.tanh(x), x


def right(x, g):
    return (g * (1 - jnp.tanh(x) ** 2),)


def wrong(x, g):
    return (g * (1 - jnp.tanh(x)),)


tanh.defvjp(forward, right)
assert check(tanh, inputs=x).verdict == Verdict.PASS
tanh.defvjp(forward, wrong)
assert check(tanh, inputs=x + 0.1).verdict == Verdict.FAIL


def net(params, x, labels):
    hidden = jnp.maximum(x @ params["first"]["W"], 0)
    logits = hidden @ params["last"][0]
    return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels].mean()


draw = np.random.default_rng(0).normal
params = {"first": {"W": draw(size=(2, 3))}, "last": [draw(size=(3, 2))]}
inputs = {"params": params, "x": draw(size=(4, 2))}
result = check(net, inputs=inputs, constants={"labels": np.array([0, 1, 1, 0])})
names = [gradient.name for gradient in result.gradients]
assert names == ["params.first.W", "params.last[0]", "x"], names
assert result.verdict == Verdict.PASS, result
assert check(jax.jit(jnp.sin), inputs=x).verdict == Verdict.PASS
assert np.array_equal(as_function_of_arrays(jnp.square, None, "float64")(x), x**2)  # no float32
assert check(from_jax(jnp.sin, x, dtype="float32")).verdict == Verdict.PASS


def noisy(x, key):
    return jax.random.normal(key, x.shape) * x


both = as_function_of_arrays(jax.value_and_grad(lambda x: jnp.sum(x**3)), None, "float64")
assert check(from_value_and_grad(both, x)).verdict == Verdict.PASS
assert check(from_jax(noisy, x, {"key": jax.random.key(0)})).verdict == Verdict.PASS
try:
    from_jax(lambda x: jnp.sin(x.astype("float32")), x)
except CodeError as error:
    assert "without jax_enable_x64" in str(error)
else:
    raise AssertionError


for dtype in ("float16", "bfloat16"):
    inputs = draw(size=(2, 4)), draw(size=(4, 3))
    result = check(from_jax(lambda x, w: jnp.tanh(x @ w), inputs, dtype=dtype))
    assert result.verdict == Verdict.PASS
    assert any(f"the backward in {dtype} is compared" in note for note in result.notes)
    tanh.defvjp(forward, lambda x, g: (1.02 * right(x, g)[0],))
    assert check(from_jax(tanh, x, dtype=dtype)).verdict == Verdict.FAIL


def cast(x):
    wide = x.astype(jnp.float32)
    return jnp.sin(wide)


result = check(from_jax(cast, x, dtype="bfloat16"))
assert result.verdict == Verdict.PASS
assert any("in cast: wide is float32" in note for note in result.notes), result.notes


@jax.custom_vjp
def slope(g, x):
    return 3 * x**2 * g


@jax.custom_vjp
def cube(x):
    return x**3


def twice(factor):
    slope.defvjp(
        lambda g, x: (3 * x**2 * g, (g, x)),
        lambda saved, v: (3 * saved[1] ** 2 * v, factor * saved[1] * saved[0] * v),
    )
    cube.defvjp(lambda x: (x**3, x), lambda x, g: (slope(g, x),))
    result = check(double_backward(from_jax(cube, x)))
    return [str(gradient.verdict) for gradient in result.gradients]


assert twice(6) == ["pass", "pass", "pass"]
assert twice(3) == ["pass", "fail", "pass"]
both = from_jax(lambda w, a: jnp.tanh(a @ w), {"w": draw(size=(3, 1)), "a": draw(size=(2, 3))})
result = check(double_backward(both))
assert [gradient.name for gradient in result.gradients] == ["w", "a", "w", "a", "δ"]
assert result.verdict == Verdict.PASS
many = from_jax(lambda x, w: jnp.tanh(x @ w), {"x": draw(size=(4, 30)), "w": draw(size=(30, 2))})
result = check(many, numeric=Numeric(mode="entries"))
assert result.verdict == Verdict.PASS
stacked = "many points of x were evaluated at once, by jax.vmap"
assert [note for note in result.notes if "points" in note] == [stacked]


@jax.custom_vjp
def relu(z):
    return jnp.maximum(z, 0)


relu.defvjp(lambda z: (relu(z), z), lambda z, g: (g,))
data = draw(size=(3, 4))


@jax.jit
def compiled(W):
    h = relu(data @ W) + 1
    return (h * h).sum()


@jax.jit
def named(W):
    z = data @ W
    h = relu(z) + 1
    return (h * h).sum()


for function, place in ((compiled, "∂L/∂(data @ W)"), (named, "∂L/∂z")):
    (result,) = check(from_jax(function, {"W": draw(size=(4, 2))})).gradients
    assert result.diagnosis.code == "GC131", result.diagnosis
    assert f"without f′(z), at {place} (" in result.diagnosis.observation, result.diagnosis


calls = []


def over_time(x, W):
    calls.append(len(calls))

    def step(h, part):
        return tanh(part + h @ W), None

    return jax.lax.scan(step, jnp.zeros(2), x)[0]


def drawn_over_time(x):
    drawn = np.random.default_rng().normal()
    return jax.lax.fori_loop(0, 3, lambda _, h: h * x * drawn, x)


series = {"x": draw(size=(3, 2)), "W": draw(size=(2, 2))}
tanh.defvjp(forward, right)
result = check(from_jax(jax.checkpoint(over_time), series))
assert result.verdict == Verdict.PASS, result
assert len(calls) < 20 < result.evaluations, len(calls)  # a loop is compiled once, not in each
calls.clear()
result = check(double_backward(from_jax(over_time, series)))
assert result.verdict == Verdict.PASS, result
assert len(calls) < 60 < result.evaluations, len(calls)
assert "draws at random" in check(from_jax(drawn_over_time, x)).gradients[0].reason
"""

AUTOGRAD = """
import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive
from gradcheck_cli import Verdict, check, double_backward, from_autograd

draw = np.random.default_rng(0).normal


def layer(x, w):
    return anp.tanh(anp.dot(x, w))


assert check(layer, inputs={"x": draw(size=(2, 3)), "w": draw(size=(3, 2))}).verdict == Verdict.PASS


@primitive
def logsumexp(x):
    return np.log(np.sum(np.exp(x)))


defvjp(logsumexp, lambda ans, x: lambda g: g * np.exp(x - ans))
assert check(logsumexp, inputs=draw(size=4)).verdict == Verdict.PASS
defvjp(logsumexp, lambda ans, x: lambda g: g * np.exp(ans - x))
result = check(from_autograd(logsumexp, draw(size=4)))
assert result.verdict == Verdict.FAIL
both = from_autograd(layer, {"x": draw(size=(2, 3)), "w": draw(size=(3, 2))})
assert check(double_backward(both)).verdict == Verdict.PASS
"""


@pytest.mark.parametrize(("framework", "script"), [("jax", JAX), ("autograd", AUTOGRAD)])
def test_the_reverse_mode_of_a_framework_is_checked(
    framework: str, script: str, tmp_path: Path
) -> None:
    if find_spec(framework) is None:
        pytest.skip(f"no {framework} here")
    path = tmp_path / "script.py"
    path.write_text(script, encoding="utf-8")
    done = run_words([sys.executable, path], env={"OPENBLAS_NUM_THREADS": "1"}, timeout=300)
    assert done.returncode == 0, done.stderr

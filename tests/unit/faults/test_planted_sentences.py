"""Mistakes as people write them, by the sentence that the report has for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_functions
from gradcheck_cli.result import Diagnosis

Array = Any  # functions of users have no types
draw = np.random.default_rng(5).normal


def diagnose(forward: Any, backward: Any, **inputs: Array) -> Diagnosis:
    """What is said of the last gradient that is wrong."""
    result = check(from_functions(forward, backward, inputs))
    found = [one.diagnosis for one in result.gradients if one.verdict == "fail"]
    assert found
    assert found[-1] is not None
    return found[-1]


X, W, B, KERNEL = draw(size=(4, 3)), draw(size=(3, 5)), draw(size=5), draw(size=(2, 3, 3))


def relu_net(x: Array, W: Array, b: Array) -> Array:
    z = x @ W + b
    h = np.maximum(z, 0)
    return h @ KERNEL[0, :1].repeat(5, 0)


def relu_net_masked_by_the_gradient(delta: Array, x: Array, W: Array, b: Array) -> Array:
    dh = delta @ KERNEL[0, :1].repeat(5, 0).T
    dz = dh * (dh > 0)
    return dz @ W.T, x.T @ dz, dz.sum(0)


def test_a_mask_of_the_upstream_gradient() -> None:
    found = diagnose(relu_net, relu_net_masked_by_the_gradient, x=X, W=W, b=B)
    assert found.code == "GC132"
    assert "the slope or mask is that of the upstream gradient, at ∂L/∂z" in found.observation


def test_a_bias_with_the_sum_of_the_gradient_of_the_weights() -> None:
    found = diagnose(
        lambda x, W, b: x @ W + b,
        lambda delta, x, W, b: (delta @ W.T, x.T @ delta, (x.T @ delta).sum(0)),
        x=X, W=W, b=B,
    )  # fmt: skip
    assert (found.code, found.observation) == ("GC142", "it is ∂L/∂W, summed over axis 0")


def windows(x: Array, w: Array) -> Array:
    """A convolution of images with a padding of one."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    return np.array(
        [[[[np.sum(image[i : i + 3, j : j + 3] * kernel) for j in range(4)] for i in range(4)]
          for kernel in w] for image in padded]
    )  # fmt: skip


def windows_backward(delta: Array, x: Array, w: Array, *, start: int, add: bool) -> Array:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    dx, dw = np.zeros_like(padded), np.zeros_like(w)
    for i in range(4):
        for j in range(4):
            term = np.tensordot(delta[:, :, i, j], padded[:, i : i + 3, j : j + 3], (0, 0))
            dw = dw + term if add else term
            dx[:, i : i + 3, j : j + 3] += np.tensordot(delta[:, :, i, j], w, 1)
    return dx[:, start : start + 4, start : start + 4], dw


IMAGES = draw(size=(2, 4, 4))


def test_a_padding_that_is_cut_off_elsewhere() -> None:
    found = diagnose(
        windows,
        lambda delta, x, w: windows_backward(delta, x, w, start=0, add=True),
        x=IMAGES, w=KERNEL,
    )  # fmt: skip
    assert found.code == "GC110"
    assert found.observation == (
        "it is shifted by 1 along axis 1 and axis 2, but for what comes in at the edge"
    )


def test_the_last_window_alone() -> None:
    found = diagnose(
        windows,
        lambda delta, x, w: windows_backward(delta, x, w, start=1, add=False),
        x=IMAGES, w=KERNEL,
    )  # fmt: skip
    assert found.code == "GC139"
    assert "every entry is the term of the last place of the output alone" in found.observation


def test_windows_of_images_that_overwrite() -> None:
    def overwrite(delta: Array, x: Array, w: Array) -> Array:
        dx, right = np.zeros((2, 6, 6)), windows_backward(delta, x, w, start=1, add=True)[1]
        for i in range(4):
            for j in range(4):
                dx[:, i : i + 3, j : j + 3] = np.tensordot(delta[:, :, i, j], w, 1)
        return dx[:, 1:5, 1:5], right

    found = diagnose(windows, overwrite, x=IMAGES, w=KERNEL)
    assert found.code == "GC139"
    assert "each entry is the term of the last place of the output" in found.observation


def test_a_tile_for_a_repeat() -> None:
    found = diagnose(
        lambda x: x.reshape(2, 2, 3, 2).mean((1, 3)),
        lambda delta, x: np.tile(delta, (2, 2)) / 4,
        x=draw(size=(4, 6)),
    )
    assert found.code == "GC110"
    assert found.observation == "its entries are those of the numeric gradient in another order"


@pytest.mark.parametrize("count", [5, 20])
def test_statistics_over_another_count(count: int) -> None:
    def backward(delta: Array, x: Array) -> Array:
        std = x.std(1, keepdims=True)
        xhat = (x - x.mean(1, keepdims=True)) / std
        back = delta.sum(1, keepdims=True) + xhat * (delta * xhat).sum(1, keepdims=True)
        return (delta - back / count) / std

    def forward(x: Array) -> Array:
        mean = x.mean(1, keepdims=True)
        std = x.std(1, keepdims=True)
        return (x - mean) / std

    x = draw(size=(4, 10))
    found = diagnose(forward, backward, x=x)
    assert found.code == "GC145"
    assert found.observation.startswith("what flows through mean (")
    assert " and through std (" in found.observation
    assert f"is {'2' if count == 5 else '0.5 = 1/2'} " in found.observation


def test_a_factor_that_is_an_input_of_one_number() -> None:
    def forward(x: Array, temperature: Array) -> Array:
        return temperature * np.tanh(x / temperature)

    def backward(delta: Array, x: Array, temperature: Array) -> Array:
        y = np.tanh(x / temperature)
        by_temperature = np.sum(delta * (y - x / temperature * (1 - y * y)))
        return delta * (1 - y * y) / temperature, by_temperature[None]

    found = diagnose(forward, backward, x=X, temperature=np.array([1.7]))
    assert found.code == "GC103"
    assert "1/temperature" in found.observation


def test_no_upstream_gradient_is_solved_for_that_nobody_has() -> None:
    x = np.append(draw(size=7), 12.0)  # its tanh is flat: what is behind it could be anything

    def forward(x: Array) -> Array:
        return np.tanh(x)[:, None] * np.ones(3)

    found = diagnose(forward, lambda delta, x: np.cos(np.arange(8.0)), x=x)
    assert found.code != "GC128"


def rnn(x: Array, W: Array, U: Array, b: Array) -> Array:
    """The sum of the states of a net over time; x is T×n×N."""
    h, total = np.zeros((x.shape[1], len(b))), 0.0
    for step in x:
        h = np.tanh(step @ W + h @ U + b)
        total = total + h
    return total


def rnn_backward(
    delta: Array, x: Array, W: Array, U: Array, b: Array, *, slip: str = "none", last: bool = False
) -> Array:
    """last: whether the last state alone is what the forward gives, not their sum."""
    hs = [np.zeros((x.shape[1], len(b)))]
    for step in x:
        hs.append(np.tanh(step @ W + hs[-1] @ U + b))
    dx, dW, dU, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
    carry = 0.0
    for t in reversed(range(len(x))):
        slope = hs[t + 1] if slip == "function" else 1 - hs[t + 1] ** 2
        dz = (delta * (not last or t == len(x) - 1) + carry) * slope
        dx[t] = dz @ W.T
        carry = {"none": dz @ U.T, "no carry": 0.0, "sign": -dz @ U.T, "transpose": dz @ U}.get(
            slip, (delta + carry) @ U.T if slip == "no slope" else dz @ U.T
        )
        dW, db = dW + x[t].T @ dz, db + dz.sum(0)
        dU = dU + hs[t + 1 if slip == "late" else t].T @ dz
    return dx, dW, dU, db


STEPS, RECURRENT = draw(size=(3, 2, 3)), draw(size=(5, 5))


def test_the_state_after_a_step_for_the_state_before() -> None:
    found = diagnose(
        rnn,
        lambda delta, x, W, U, b: rnn_backward(delta, x, W, U, b, slip="late"),
        x=STEPS, W=W, U=RECURRENT, b=B,
    )  # fmt: skip
    assert found.code == "GC146"
    assert found.observation.startswith("it is the product of ∂L/∂h (")
    assert found.observation.endswith(") in the place of h of the step before")


BACK = "in what goes back from h ("


@pytest.mark.parametrize(
    ("slip", "code", "said"),
    [
        ("no carry", "GC145", "without what goes back from h ("),
        ("sign", "GC145", "with −1 times what goes back from h ("),
        ("transpose", "GC106", f"with a matrix in the place of its transpose {BACK}"),
        ("no slope", "GC131", f"without f′(z) below a tanh {BACK}"),
        ("function", "GC135", "with y for f′ below h ("),
    ],
)
def test_what_goes_back_from_step_to_step(slip: str, code: str, said: str) -> None:
    result = check(
        from_functions(
            rnn,
            lambda delta, x, W, U, b: rnn_backward(delta, x, W, U, b, slip=slip),
            {"x": STEPS, "W": W, "U": RECURRENT, "b": B},
        )
    )
    found = [one.diagnosis for one in result.gradients if one.verdict == "fail"]
    assert len(found) == 4
    for diagnosis in found:
        assert diagnosis is not None
        assert diagnosis.code == code
        assert f"it is the gradient {said}" in diagnosis.observation
    steps = "to that of the step before" if slip != "function" else "if that is a tanh"
    assert all(one is not None and steps in one.observation for one in found)


def test_the_right_backward_of_steps_passes() -> None:
    inputs = {"x": STEPS, "W": W, "U": RECURRENT, "b": B}
    assert check(from_functions(rnn, rnn_backward, inputs)).verdict == "pass"


def test_another_gate_for_the_factor_of_a_gate() -> None:
    def gated(x: Array, W: Array, U: Array) -> Array:
        t = 1 / (1 + np.exp(-x @ U))
        h = np.tanh(x @ W)
        return t * h + (1 - t) * x

    def backward(delta: Array, x: Array, W: Array, U: Array) -> Array:
        h, t = np.tanh(x @ W), 1 / (1 + np.exp(-x @ U))
        dh, dt = delta * t * (1 - h * h), delta * h * t * (1 - t)  # h for h − x
        return dh @ W.T + dt @ U.T + delta * (1 - t), x.T @ dh, x.T @ dt

    found = diagnose(gated, backward, x=X, W=draw(size=(3, 3)), U=draw(size=(3, 3)))
    assert found.code == "GC146"
    assert "as the factor of what goes back from the output to t (" in found.observation


def test_the_input_of_an_activation_in_a_product() -> None:
    def net(x: Array, W: Array, V: Array) -> Array:
        z = x @ W
        h = np.tanh(z)
        s = h @ V
        return np.sum(np.log1p(np.exp(s)), 0)

    def backward(delta: Array, x: Array, W: Array, V: Array) -> Array:
        z = x @ W
        ds = delta / (1 + np.exp(-np.tanh(z) @ V))
        return (ds @ V.T / np.cosh(z) ** 2) @ W.T, x.T @ (ds @ V.T / np.cosh(z) ** 2), z.T @ ds

    found = diagnose(net, backward, x=X, W=W, V=draw(size=(5, 2)))
    assert found.code == "GC146"
    assert "it is the product of ∂L/∂s (" in found.observation
    assert " with z (" in found.observation
    assert found.observation.endswith("in the place of h")


def test_a_product_with_what_comes_back_before_a_softmax_says_what_it_should_be_with() -> None:
    def softmax(s: Array) -> Array:
        return np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)

    def attention(q: Array, k: Array, v: Array) -> Array:
        scores = q @ k.T / np.sqrt(q.shape[1])
        p = softmax(scores)
        return p @ v

    def backward(delta: Array, q: Array, k: Array, v: Array) -> Array:
        p = softmax(q @ k.T / np.sqrt(q.shape[1]))
        dp = delta @ v.T
        ds = p * (dp - (dp * p).sum(axis=1, keepdims=True)) / np.sqrt(q.shape[1])
        return dp @ k, ds.T @ q, p.T @ delta

    found = diagnose(attention, backward, q=draw(size=(4, 3)), k=draw(size=(5, 3)), v=W.T)
    assert found.code == "GC146"
    assert found.observation.startswith("it is the product of ∂L/∂p (")
    assert found.observation.endswith("with k in the place of that of ∂L/∂scores")


def test_gradients_that_one_upstream_gradient_gives_together() -> None:
    labels = np.array([0, 2, 1, 2])

    def loss(x: Array, W: Array, b: Array) -> Array:
        scores = np.tanh(x) @ W + b
        e = np.exp(scores)
        p = e / e.sum(1, keepdims=True)
        return -np.log(p[np.arange(4), labels]).mean()

    def backward(x: Array, W: Array, b: Array) -> Array:
        e = np.exp(np.tanh(x) @ W + b)
        d = e / e.sum(1, keepdims=True) / 4
        d[np.arange(4), labels] -= 1  # before the division it would be right
        return d @ W.T * (1 - np.tanh(x) ** 2), np.tanh(x).T @ d, d.sum(0)

    # ∂L/∂scores has 12 entries, no less than each gradient has, and less than all of them.
    inputs = {"x": X, "W": draw(size=(3, 3)), "b": draw(size=3)}
    for one in check(from_functions(loss, backward, inputs)).gradients:
        assert one.diagnosis is not None
        assert one.diagnosis.code == "GC128"
        assert one.diagnosis.observation.startswith(
            "∂L/∂x, ∂L/∂W and ∂L/∂b are all the gradient for another upstream gradient than "
            "∂L/∂scores ("
        )
        assert one.diagnosis.observation.endswith(
            "4 of 12 entries differ: [0, 0], [1, 2], [2, 1] and [3, 2]"
        )


def test_a_row_that_should_be_zero_does_not_come_from_elsewhere() -> None:
    words, known = np.array([[0, 3], [1, 2]]), np.array([[1.0, 0.0], [1.0, 1.0]])

    def backward(delta: Array, table: Array) -> Array:
        found = np.zeros_like(table)
        np.add.at(found, words, np.repeat(delta[:, None], 2, 1))  # without the mask
        return found

    found = diagnose(
        lambda table: (table[words] * known[:, :, None]).sum(1), backward, table=draw(size=(4, 3))
    )
    assert found.code != "GC110"


def test_rows_divided_by_their_norm_once_more() -> None:
    def backward(delta: Array, x: Array) -> Array:
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        y = x / norm
        return (delta - y * (delta * y).sum(1, keepdims=True)) / norm**2

    found = diagnose(lambda x: x / np.linalg.norm(x, axis=1, keepdims=True), backward, x=X)
    assert found.code == "GC130"
    assert "it is the numeric gradient times 1/‖x‖ of each row" in found.observation


def test_weights_after_an_update_beside_a_mask() -> None:
    known = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])

    def loss(P: Array, Q: Array) -> Array:
        E = known * (P @ Q.T - 1)
        return 0.5 * np.sum(E**2) + 0.1 * np.sum(Q**2)

    def backward(P: Array, Q: Array) -> Array:
        E = known * (P @ Q.T - 1)
        dP = E @ Q
        return dP, E.T @ (P - 0.05 * dP) + 0.2 * Q

    found = diagnose(loss, backward, P=draw(size=(4, 2)), Q=draw(size=(3, 2)))
    assert (found.code, found.observation) == (
        "GC118",
        "it is the gradient for P − 0.05 · ∂L/∂P",
    )


def test_a_factor_that_is_left_out_on_the_way_back() -> None:
    def gated(x: Array, W: Array, U: Array) -> Array:
        t = 1 / (1 + np.exp(-x @ U))
        h = np.sin(x @ W)
        return t * h + x

    def backward(delta: Array, x: Array, W: Array, U: Array) -> Array:
        h, t = np.sin(x @ W), 1 / (1 + np.exp(-x @ U))
        dh, dt = delta * np.cos(x @ W), delta * h * t * (1 - t)  # δ for δ t
        return dh @ W.T + dt @ U.T + delta, x.T @ dh, x.T @ dt

    found = diagnose(gated, backward, x=X, W=draw(size=(3, 3)), U=draw(size=(3, 3)))
    assert found.code == "GC146"
    assert found.observation.startswith(
        "it is the gradient with the upstream gradient in the place of ∂L/∂h ("
    )
    assert found.cause.startswith("what lies between the two, a factor or a derivative")


@pytest.mark.parametrize(
    ("slip", "code", "said"),
    [
        ("sign", "GC145", "and the output to that of the step before"),
        ("transpose", "GC106", "and the output to that of the step before"),
        ("function", "GC135", "and the output, if that is a tanh"),
        ("late", "GC146", "in the place of h and the output of the step before"),
    ],
)
def test_steps_of_which_the_last_is_the_output(slip: str, code: str, said: str) -> None:
    def last(x: Array, W: Array, U: Array, b: Array) -> Array:
        h = np.zeros((x.shape[1], len(b)))
        for step in x:
            h = np.tanh(step @ W + h @ U + b)
        return h

    def backward(delta: Array, x: Array, W: Array, U: Array, b: Array) -> Array:
        return rnn_backward(delta, x, W, U, b, slip=slip, last=True)

    found = diagnose(last, backward, x=STEPS, W=W, U=RECURRENT, b=B)
    assert (found.code, said in found.observation) == (code, True)


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "n·var, a sum for a mean, in the place of var ("), (3, "var by n − 1 for n in the place")],
)
def test_a_variance_that_is_computed_anew(count: int, said: str) -> None:
    def norm(x: Array, g: Array) -> Array:
        mu = x.mean(1, keepdims=True)
        var = x.var(1, keepdims=True)
        return g * (x - mu) / np.sqrt(var + 1e-5)

    def backward(delta: Array, x: Array, g: Array) -> Array:
        centred = x - x.mean(1, keepdims=True)
        scale = 1 / np.sqrt((centred**2).sum(1, keepdims=True) / count + 1e-5)
        xhat, d = centred * scale, delta * g
        back = d.mean(1, keepdims=True) + xhat * (d * xhat).mean(1, keepdims=True)
        return scale * (d - back), (delta * xhat).sum(0)

    inputs = {"x": draw(size=(5, 4)), "g": draw(size=4)}
    for one in check(from_functions(norm, backward, inputs)).gradients:
        assert one.diagnosis is not None
        assert one.diagnosis.code == "GC146"
        assert f"it is the gradient with {said}" in one.diagnosis.observation


def test_an_exponential_is_not_taken_for_a_sigmoid() -> None:
    def forward(u: Array, W: Array) -> Array:
        return -np.log(1 / (1 + np.exp(-(W @ u))))

    def backward(delta: Array, u: Array, W: Array) -> Array:
        p = 1 / (1 + np.exp(-(W @ u)))
        return W.T @ (delta * (p - 1)), np.outer(delta * p, u)  # p for p − 1

    W = np.abs(draw(size=(3, 2)))  # so that the exponentials are between 0 and 1
    found = diagnose(forward, backward, u=np.array([0.5, 1.2]), W=W)
    assert "sigmoid" not in found.observation


@pytest.mark.parametrize(
    ("forward", "backward", "wrong"),
    [
        (
            lambda x, w: x @ np.sign(w),
            lambda delta, x, w: (delta @ np.sign(w).T, (x.T @ delta) * (np.abs(w) <= 2)),
            "w",
        ),
        (
            lambda x, gate: x * (gate > 0),
            lambda delta, x, gate: (delta * (gate > 0), delta * x),
            "gate",
        ),
    ],
    ids=["sign", "comparison"],
)
def test_a_straight_through_estimator(forward: Any, backward: Any, wrong: str) -> None:
    moved = W if wrong == "w" else draw(size=X.shape)
    found = diagnose(forward, backward, **{"x": X, wrong: moved + np.sign(moved)})
    assert found.code == "GC148"
    assert f"the forward does not change where {wrong} is moved a little" in found.observation


def test_an_input_that_is_never_used_is_no_estimator() -> None:
    found = diagnose(lambda x, w: x * 2, lambda delta, x, w: (2 * delta, w), x=X, w=W)
    assert found.code != "GC148"


def test_a_mask_that_is_missing_where_nothing_else_is_wrong() -> None:
    """The forward is a formula, or says nothing of what is in it."""
    found = diagnose(
        lambda x: np.maximum(x**2 - 1, 0),
        lambda delta, x: delta * 2 * x,
        x=np.array([0.3, -0.2, 1.5, -2.0]),
    )
    assert found.code in ("GC131", "GC147")

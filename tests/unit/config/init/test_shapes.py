"""The shapes of parameters, as the text of code implies them."""

from __future__ import annotations

import ast

import pytest

from gradcheck_cli.config.init.definitions import find_kind
from gradcheck_cli.config.init.describe import describe_class, describe_function
from gradcheck_cli.config.init.infer_inputs import Described


def describe(text: str, *, loss: bool = False) -> Described:
    """What the last function or class of a text says, a backward before it with it."""
    tree = ast.parse(text)
    last = tree.body[-1]
    if isinstance(last, ast.ClassDef):
        return describe_class(tree, last, "forward")
    assert isinstance(last, ast.FunctionDef)
    others = [node for node in tree.body[:-1] if isinstance(node, ast.FunctionDef)]
    return describe_function(tree, last, loss=loss, others=others)


def given(described: Described) -> str:
    """Inputs and constants in one line; behind ?, what is a guess."""
    both = {**described.inputs, **described.constants}
    return ", ".join(f"{name}: {one.text}{'?' * one.guess}" for name, one in both.items())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(x, w, b): return x @ w + b", "x: [n, N], w: [N, M], b: [M]"),
        ("def f(W, x, b): return W @ x + b", "W: [n, N], x: [N, M], b: [n, 1]"),
        (
            "def f(hs, a):\n N, T, H = hs.shape\n return (hs * a.reshape(N, T, 1)).sum(axis=1)",
            "hs: [N, T, H], a: [N, T]",
        ),
        ("def f(x, w):\n n, d = x.shape\n return x.dot(w.T)", "x: [n, d], w: [N, d]"),
        (
            "def f(x, gamma, beta):\n h = (x - x.mean(0)) / x.std(0)\n return gamma * h + beta",
            "x: [n, N], gamma: [N], beta: [N]",
        ),
        (
            "def f(pred, target): return np.mean((pred - target) ** 2)",
            "pred: [n, N], target: [n, N]",
        ),
        ("def f(Q, K): return Q @ K.transpose(0, 2, 1)", "Q: [n, N, M], K: [n, P, M]"),
        (
            "def f(x, h, c):\n H = h.shape[1]\n return (x @ h.T)[:, :H] * c",
            "x: [n, H], h: [N, H], c: [n, H]",
        ),
        ("def f(q, k, v): return np.exp(q @ k.T) @ v", "q: [n, N], k: [M, N], v: [M, P]"),
        (
            "def f(x, ws):\n for w in ws:\n  x = np.tanh(x @ w)\n return x",
            "x: [n, N], ws: [[N, M], [M, P]]",
        ),
        (
            "def f(x, p):\n h = x @ p['W1'] + p['b1']\n return h @ p['W2']",
            "x: [n, N], p: {W1: [N, M], b1: [M], W2: [M, P]}",
        ),
        (
            "def f(scores, y): return scores[np.arange(len(y)), y]",
            "scores: [n, N], y: {distribution: integers, low: 0, high: N, shape: [n]}",
        ),
        (
            "def f(probs): return -np.log(probs)",
            "probs: {shape: [n, N], distribution: uniform, scale: 0.4, offset: 0.5}?",
        ),
        (
            "def f(x, alpha=0.1, mode='same'): return x * alpha",
            "x: [n, N]?, alpha: 0.1, mode: 'same'",
        ),
        ("def f(x): return np.tanh(x)", "x: [n, N]?"),
        (
            "def f(x, w):\n q = x @ w\n return q @ q.transpose(0, 2, 1)",
            "x: [n, N, M], w: [M, P]",
        ),
        (
            "def f(x, h, W, U):\n N, M, P = x.shape\n"
            " for t in range(M):\n  h = np.tanh(x[:, t, :] @ W + h @ U)\n"
            " return h",
            "x: [N, M, P], h: [N, n], W: [P, n], U: [n, n]",
        ),
        (
            "def f(x, h, U):\n N, T, D = x.shape\n out = np.zeros((N, T, D))\n"
            " out[:, 0, :] = h @ U\n return out",
            "x: [N, T, D], h: [N, n], U: [n, D]",
        ),
        (
            "def f(q, K): return np.einsum('nd,ntd->nt', q, K)",
            "q: [n, N], K: [n, M, N]",
        ),
        (
            "def f(x, w, h):\n a, b = np.split(x @ w, 2, axis=1)\n return a * b * h",
            "x: [n, N], w: [N, 6], h: [n, M]",
        ),
        (
            "def f(x, w, h):\n H = h.shape[1]\n a = x @ w\n return a[:, 0:H] * a[:, H : 2 * H] * h",
            "x: [n, N], w: [N, 12], h: [n, H]",
        ),
        (
            "def f(h, x, w): return np.concatenate((h, x), axis=1) @ w",
            "h: [n, N], x: [n, M], w: [8, P]",
        ),
        (
            "def f(x, w):\n F, D = w.shape\n for f in range(F): x = x + x[f] * w[f]\n return x",
            "x: [F, D], w: [F, D]",
        ),
        (
            "def f(Q, K, V):\n d = Q.shape[-1]\n return (Q @ K.transpose(0, 2, 1) / d) @ V",
            "Q: [n, N, d], K: [n, M, d], V: [n, M, P]",
        ),
        (
            "def f(x, w):\n K, C = w.shape\n"
            " for i in range(3): y = x[i * 2 : i * 2 + K, :] * w\n return y",
            "x: [n, C], w: [K, C]",
        ),
        ("def f(w, X): return np.sum(X @ w) + np.dot(w, w)", "w: [n], X: [N, n]"),
        ("def f(A, X): return np.linalg.solve(A, X)", "A: [n, n], X: [N, M]?"),
        (
            'def f(p, c):\n "Of a mixture; p (K,), c (K, D)."\n return p @ c',
            "p: [K], c: [K, D]",
        ),
        (
            "def f(times, X):\n order = np.argsort(times)\n return X[order, :]",
            "times: [n], X: [n, N]",
        ),
    ],
)
def test_products_sums_and_indices_tell_shapes(text: str, expected: str) -> None:
    assert given(describe(text)) == expected


def test_a_vector_that_is_cut_into_parts_is_as_long_as_these() -> None:
    text = (
        "def f(theta, n_in, n_out, X):\n"
        " W = theta[: n_in * n_out].reshape(n_in, n_out)\n b = theta[n_in * n_out :]\n"
        " e = X @ W + b\n return np.sum(e**2), np.concatenate([(2 * X.T @ e).ravel(), b])\n"
    )
    described = describe(text, loss=True)
    n_in, n_out = described.constants["n_in"].text, described.constants["n_out"].text
    sizes = described.sizes
    assert described.inputs["theta"].text == f"[{sizes[n_in] * sizes[n_out] + sizes[n_out]}]"
    assert described.constants["X"].text.endswith(f", {n_in}]}}")


def test_sizes_that_are_reckoned_from_each_other_come_to_an_end() -> None:
    text = (
        "def f(h, V, b):\n H = h.shape[1]\n"
        " n = h @ V[:, 2 * H :] + b[2 * H :]\n return (1 - h @ V[:, :H] + b[:H]) * n\n"
        "def f_backward(dout, h, V, b):\n H = h.shape[1]\n dn = dout @ V[:, 2 * H :].T\n"
        " da = np.concatenate([dn * h, dn, dn], 1)\n return dn, h.T @ da, da.sum(0)\n"
    )
    tree = ast.parse(text)
    forward, backward = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert describe_function(tree, forward, others=[backward]).inputs.keys() == {"h", "V", "b"}


def test_functions_of_the_file_are_followed() -> None:
    text = "def affine(x, w): return x @ w\ndef f(x, first, second):\n"
    text += " return affine(np.tanh(affine(x, first)), second)\n"
    tree = ast.parse(text)
    last = tree.body[-1]
    assert isinstance(last, ast.FunctionDef)
    described = describe_function(tree, last)
    assert given(described) == "x: [n, N], first: [N, M], second: [M, P]"


def test_what_a_constructor_makes_and_takes() -> None:
    text = (
        "class Net:\n"
        " def __init__(self, n_in, n_out, scale=0.1):\n"
        "  self.W = scale * np.random.randn(n_in, n_out)\n  self.steps = np.zeros(n_out)\n"
        " def forward(self, x): return x @ self.W\n"
        " def backward(self, d):\n  self.dW = d\n  return d\n"
    )
    described = describe(text)
    assert given(described) == "x: [n, n_in], W: [n_in, n_out]"
    assert set(described.sizes) == {"n", "n_in", "n_out"}


def test_what_the_backward_gives_no_gradient_of_is_a_constant() -> None:
    back = "def back(d, x, t): return d * t\n"
    described = describe(back + "def f(x, t): return x * t")
    assert list(described.inputs) == ["x"]
    assert list(described.constants) == ["t"]


def test_odd_returns_and_places_in_lists_are_no_trouble() -> None:
    text = (
        "def f(x, w):\n a = [x]\n a[-3] = w\n y = a[-2], a[5], x[()]\n if x is None: return ()\n"
        " return x @ w, 'W%d' % y, '%s' % (1, 2), '{}'.format()\n"
    )
    assert given(describe(text, loss=True)) == "x: [n, N], w: [N, M]"
    assert find_kind(ast.parse(text), ast.parse(text).body[0], "f") == "forward"  # type: ignore[arg-type]


def test_code_that_is_not_understood_is_guessed() -> None:
    text = "def f(x, w):\n return some.library(x, *w)[..., ::2](lambda: (yield))\n"
    assert given(describe(text)) == "x: [n, N]?, w: [N, M]?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (  # the size that a layer fixes is found through what is before it
            "class Net(nn.Module):\n"
            " def __init__(self):\n"
            "  self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4 * 5 * 5, 10)\n"
            " def forward(self, x):\n"
            "  x = F.max_pool2d(self.conv(x), 2)\n"
            "  return self.fc(torch.flatten(x, 1))\n",
            "x: [n, 1, 12, 12]",
        ),
        (  # arrays that a constructor is handed are inputs
            "class Affine:\n"
            " def __init__(self, W, b):\n  self.W, self.b = W, b\n"
            " def forward(self, x): return x @ self.W + self.b\n"
            " def backward(self, d):\n  self.dW, self.db = self.x.T @ d, d.sum(0)\n",
            "x: [n, N], W: [N, M], b: [M]",
        ),
        (  # what a function of torch gives None for is a setting
            "class Scaled(Function):\n"
            " @staticmethod\n"
            " def forward(ctx, input, factor, bias=None):\n"
            "  return input * factor + bias.unsqueeze(0).expand_as(input)\n"
            " @staticmethod\n"
            " def backward(ctx, grad_output):\n"
            "  grad_bias = grad_output.sum(0)\n"
            "  return grad_output, None, grad_bias\n",
            "input: [n, N], bias: [N], factor: {shape: [n, N]}",
        ),
        (  # a size of the name of a default would be handed to it
            "class Power:\n def __init__(self, n=3):\n  self.n = n\n"
            " def forward(self, x): return x ** self.n\n",
            "x: [N, M]?",
        ),
        (  # a name that is given twice is one size; a filter is smaller than an image
            "class Conv:\n def __init__(self, W):\n  self.W = W\n"
            " def forward(self, x):\n"
            "  F, C, FH, FW = self.W.shape\n  N, C, H, W = x.shape\n"
            "  return x[:, :, 0, 0] @ self.W[:, :, 0, 0].T\n"
            " def backward(self, d):\n  self.dW = d.transpose(0, 2, 3, 1).reshape(-1, 5)\n",
            "x: [N, C, H, W], W: [F, C, FH, FW]",
        ),
        (
            "class Loss:\n def forward(self, A, Y):\n"
            "  p = np.exp(A) / np.sum(np.exp(A), axis=1, keepdims=True)\n"
            "  return -np.sum(Y * np.log(p))\n"
            " def backward(self): return self.p - self.Y\n",
            "A: [n, N], Y: {distribution: one-hot, shape: [n, N]}",
        ),
        (
            "class Scale:\n def __init__(self, m):\n  self.w = np.ones(m)\n"
            " def forward(self, x): return x * self.w\n"
            " def backward(self, g):\n  self.dw = (g * self.x).sum(0)\n",
            "x: [n, m], w: [m]",
        ),
        (
            "class Two:\n def __init__(self, name, sizes):\n  self.name = name\n"
            "  self.W = [np.ones(p) for p in zip(sizes[:-1], sizes[1:])]\n"
            " def forward(self, x): return x\n",
            "x: [n, N]?, W[0]: [M, P], W[1]: [P, Q], name: name, sizes: [M, P, Q]",
        ),
    ],
)
def test_what_classes_say_of_their_inputs(text: str, expected: str) -> None:
    assert given(describe(text)) == expected


def test_a_bias_beside_a_matrix_is_no_number_where_its_gradient_is_summed_up() -> None:
    back = "def back(dy, x, W, b):\n db = np.sum(dy)\n return dy @ W.T, x.T @ dy, db\n"
    assert given(describe(back + "def f(x, W, b): return x @ W + b")).endswith("b: [M]")


def test_a_gradient_that_is_a_number_is_that_of_a_number() -> None:
    back = "def back(dy, x, b):\n db = np.sum(dy)\n return dy * x, db\n"
    described = describe(back + "def f(x, b):\n n, d = x.shape\n return x**2 / 2 + b")
    assert given(described) == "x: [n, d], b: []"


def test_a_sum_over_all_may_lack_its_axis_where_there_is_a_column_an_output() -> None:
    back = "def back(dy, x, w, b):\n db = np.sum(dy)\n return dy @ w.T, x.T @ dy, db\n"
    described = describe(back + "def f(x, w, b): return x @ w + b")
    assert given(described) == "x: [n, N], w: [N, M], b: [M]"


def test_a_sum_that_keeps_its_axis_leaves_others_open() -> None:
    text = (
        "class Net:\n"
        " def forward(self, x):\n"
        "  self.A = np.exp(x)\n"
        "  self.A /= self.A.sum(axis=1, keepdims=True)\n"
        "  return self.A\n"
    )
    assert given(describe(text)) == "x: [n, N]"


def test_what_is_called_like_labels_and_has_a_gradient_is_an_input() -> None:
    back = "def back(g, y, p, h):\n dy, dp = g * p * h, g * y * h\n return dy, dp\n"
    described = describe(back + "def f(y, p, h): return y * p * h")
    assert list(described.inputs) == ["y", "p"]


def test_labels_are_not_taken_for_a_number() -> None:
    loss = "loss = -np.sum(np.log(targets * p + (1 - targets) * (1 - p)))"
    text = f"def f(z, targets):\n p = 1 / (1 + np.exp(-z))\n {loss}\n return loss, p - targets"
    described = describe(text, loss=True)
    assert described.constants["targets"].text == "{distribution: mask, shape: [n, N]}"


def test_a_state_behind_the_gradients_is_none() -> None:
    text = "def f(h, W, x):\n hs = h @ W\n dW = x * hs\n return np.sum(hs), dW, hs[-1]\n"
    assert list(describe(text, loss=True).inputs) == ["W"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "@partial(jax.custom_vjp, nondiff_argnums=(0,))\ndef f(scale, x): return scale * x",
            "x: [n, N]?, scale: 2.0",
        ),
        (
            "def f(logits, labels):\n logp = jax.nn.log_softmax(logits)\n"
            " return jnp.take_along_axis(logp, labels[:, None], axis=1)",
            "logits: [n, N], labels: {distribution: integers, low: 0, high: N, shape: [n]}",
        ),
        (
            "class Layer(NamedTuple):\n W: jax.Array\n b: jax.Array\n"
            "def f(layer: Layer, x): return x @ layer.W + layer.b",
            "layer: {W: [n, N], b: [N]}, x: [M, n]",
        ),
        (
            "def f(p, xs, h):\n"
            " def step(h, x):\n  h = jnp.tanh(x @ p['wx'] + h @ p['wh'])\n  return h, h\n"
            " return lax.scan(step, h, xs)",
            "p: {wx: [n, N], wh: [N, N]}, xs: [M, P, n], h: [P, N]",
        ),
        (
            "def f(n_in, n_out): return nn.Sequential(nn.Linear(n_in, n_out), nn.ReLU())",
            "x: [M, n], n_in: n, n_out: N",
        ),
    ],
)
def test_code_of_frameworks(text: str, expected: str) -> None:
    tree = ast.parse(text)
    last = tree.body[-1]
    assert isinstance(last, ast.FunctionDef)
    assert given(describe_function(tree, last)) == expected


def test_a_term_that_is_off_by_default_is_on() -> None:
    text = "def f(w, X, reg=0.0): return np.sum(X @ w) + reg * np.sum(w**2), X.sum(0) + 2 * reg * w"
    assert describe(text, loss=True).constants["reg"].text == "0.1"


def test_gradients_behind_and_before_their_loss_tell_the_inputs() -> None:
    body = " z = x @ w + b\n dw, db, cost = x.T @ z, np.sum(z), 0\n"
    for last in (
        "return {'dw': dw, 'db': db}, np.sum(z**2)",
        "return np.sum(z), {'w': dw, 'b': db}",
    ):
        assert list(describe(f"def f(w, b, x):\n{body} {last}", loss=True).inputs) == ["w", "b"]


def test_labels_that_are_multiplied_where_they_are_one_hot_say_nothing_of_shapes() -> None:
    text = (
        "def f(p, y):\n"
        " if y.ndim == 1: c = p[range(len(p)), y]\n else: c = np.sum(p * y, axis=1)\n return c"
    )
    expected = "p: [n, N], y: {distribution: integers, low: 0, high: N, shape: [n]}"
    assert given(describe(text)) == expected


def test_a_batch_without_gradients_is_a_list_of_arrays() -> None:
    text = (
        "def f(params, batch):\n x, y = batch\n e = x @ params['w'] - y\n"
        " return np.sum(e**2) / 2, {'w': x.T @ e}"
    )
    expected = "params: {w: [n, N]}, batch: [{shape: [M, n]}, {shape: [M, N]}]"
    assert given(describe(text, loss=True)) == expected

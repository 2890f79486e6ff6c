"""Jacobians as people write them: least squares, a chain of unknowns, two inputs."""

import numpy as np


def residual(a, b, t, y):
    """The misfit of y = a·exp(−b·t) at the times t."""
    return a * np.exp(-b * t) - y


def residual_jacobian(a, b, t):
    """∂r/∂(a, b), a column each."""
    decay = np.exp(-b * t)
    return np.stack([decay, -a * t * decay], axis=1)


def residual_jacobian_without_product_rule(a, b, t):
    """Wrong: the derivative with respect to b lacks the factor a."""
    decay = np.exp(-b * t)
    return np.stack([decay, -t * decay], axis=1)


def chain(x):
    """Each residual uses an unknown and the next one, as in Rosenbrock's function."""
    return 10 * (x[1:] - x[:-1] ** 2)


def chain_jacobian(x):
    """Two nonzeros in every row."""
    jacobian = np.zeros((len(x) - 1, len(x)))
    i = np.arange(len(x) - 1)
    jacobian[i, i] = -20 * x[:-1]
    jacobian[i, i + 1] = 10
    return jacobian


def chain_jacobian_without_next(x):
    """Wrong: the last residual uses the last unknown, too."""
    jacobian = chain_jacobian(x)
    jacobian[-1, -1] = 0
    return jacobian


def chain_jacobian_with_one_too_many(x):
    """Wrong: the first residual does not use the third unknown."""
    jacobian = chain_jacobian(x)
    jacobian[0, 2] = 10
    return jacobian


def rotate(x, angle):
    """Points in the plane, an n×2 array, turned by an angle."""
    c, s = np.cos(angle), np.sin(angle)
    return x @ np.array([[c, s], [-s, c]])


def rotate_jacobian(x, angle):
    """By input, with both sides flattened: 2n × 2n and 2n × 1."""
    c, s = np.cos(angle), np.sin(angle)
    return {
        "x": np.kron(np.eye(len(x)), np.array([[c, -s], [s, c]])),
        "angle": (x @ np.array([[-s, c], [-c, -s]])).reshape(-1, 1),
    }


def rotate_jacobian_transposed(x, angle):
    """Wrong: the Jacobian of the rotation back."""
    blocks = rotate_jacobian(x, angle)
    return {**blocks, "x": blocks["x"].T}


def layer(x, w):
    """A layer with tanh, as forward mode has it beside reverse mode."""
    return np.tanh(x @ w)


def layer_backward(delta, x, w):
    """From the upstream gradient to those of x and w."""
    inner = delta * (1 - np.tanh(x @ w) ** 2)
    return inner @ w.T, x.T @ inner


def layer_backward_without_slope(delta, x, w):
    """Wrong: the gradient of w lacks the slope of tanh."""
    inner = delta * (1 - np.tanh(x @ w) ** 2)
    return inner @ w.T, x.T @ delta


def layer_jvp(x, w, dx, dw):
    """From tangents of x and w to that of the output, by the product rule."""
    return (1 - np.tanh(x @ w) ** 2) * (dx @ w + x @ dw)


def layer_jvp_without_term(x, w, dx, dw):
    """Wrong: a term of the product rule is forgotten."""
    return (1 - np.tanh(x @ w) ** 2) * (dx @ w)


def softmax(x):
    """Probabilities of the scores x."""
    e = np.exp(x - x.max())
    return e / e.sum()


def energy(x, A):
    """A log-sum-exp and a quadratic form: one number."""
    return np.log(np.sum(np.exp(x))) + x @ A @ x / 2


def energy_gradient(x, A):
    """∂L/∂x; A need not be symmetric."""
    return softmax(x) + (A + A.T) @ x / 2


def energy_hessian(x, A):
    """∂²L/∂x∂x."""
    p = softmax(x)
    return np.diag(p) - np.outer(p, p) + (A + A.T) / 2


def energy_hessian_without_outer(x, A):
    """Wrong: the softmax has a second term, −ppᵀ."""
    return np.diag(softmax(x)) + (A + A.T) / 2


def energy_hessian_asymmetric(x, A):
    """Wrong where A is not symmetric."""
    p = softmax(x)
    return np.diag(p) - np.outer(p, p) + A


def energy_hvp(x, A, v):
    """The Hessian times v, without the Hessian."""
    p = softmax(x)
    return p * v - p * (p @ v) + (A + A.T) @ v / 2


def energy_hvp_with_sum(x, A, v):
    """Wrong: Σv for p·v."""
    p = softmax(x)
    return p * v - p * v.sum() + (A + A.T) @ v / 2


def energy_value_and_gradient(x, A):
    """Both, as optimizers take them."""
    return energy(x, A), energy_gradient(x, A)


def mix(x, W):
    """A complex product and what detectors see of it: real intensities."""
    return np.abs(x @ W) ** 2


def mix_backward(delta, x, W):
    """∂L/∂Re z + i ∂L/∂Im z, the convention of torch: conjugate transposes."""
    inner = 2 * delta * (x @ W)
    return inner @ W.conj().T, x.conj().T @ inner


def mix_backward_as_if_real(delta, x, W):
    """Wrong: the transpose without the conjugate."""
    inner = 2 * delta * (x @ W)
    return inner @ W.conj().T, x.T @ inner


def mix_backward_conjugate(delta, x, W):
    """The conjugates, which is the convention of jax."""
    return tuple(np.conj(gradient) for gradient in mix_backward(delta, x, W))


def rotate_phase(z, angle):
    """Complex numbers turned by real angles."""
    return z * np.exp(1j * angle)


def rotate_phase_backward(delta, z, angle):
    """The gradient of the angles is real: of a product with i, the real part."""
    turned = z * np.exp(1j * angle)
    return delta * np.exp(-1j * angle), np.real(np.conj(1j * turned) * delta)


def rotate_phase_backward_as_if_real(delta, z, angle):
    """Wrong: the factor of z is not conjugated."""
    return delta * np.exp(1j * angle), rotate_phase_backward(delta, z, angle)[1]


def phases(z, A):
    """exp(Az), a holomorphic function."""
    return np.exp(A @ z)


def phases_jacobian(z, A):
    """dy = J dz."""
    return phases(z, A)[:, None] * A


def phases_jacobian_conjugate(z, A):
    """Wrong: the conjugate, as of a gradient."""
    return np.conj(phases_jacobian(z, A))


def saturate(z):
    """z / √(1 + |z|²), which is not holomorphic."""
    return z / np.sqrt(1 + np.abs(z) ** 2)


def saturate_jvp(z, dz):
    """Of the real part of z̄·dz, too."""
    root = np.sqrt(1 + np.abs(z) ** 2)
    return dz / root - z * np.real(np.conj(z) * dz) / root**3


def saturate_jvp_without_conjugate(z, dz):
    """Wrong: Re(z·dz)."""
    root = np.sqrt(1 + np.abs(z) ** 2)
    return dz / root - z * np.real(z * dz) / root**3


def quartic(z):
    """Σ |z|⁴/4."""
    return np.sum(np.abs(z) ** 4) / 4


def quartic_gradient(z):
    """|z|² z, uphill."""
    return np.abs(z) ** 2 * z


def quartic_hvp(z, v):
    """Its derivative along v."""
    return np.abs(z) ** 2 * v + 2 * np.real(np.conj(z) * v) * z

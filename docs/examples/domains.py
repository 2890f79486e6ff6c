"""Functions of matrices and vectors that live in a set: symmetric, orthogonal, in a simplex."""

import numpy as np


def cholesky(A):
    """The lower triangular L with LLᵀ = A; NumPy reads the lower triangle of A alone."""
    return np.linalg.cholesky(A)


def _half_triangle(P):
    P = np.tril(P)
    np.fill_diagonal(P, np.diag(P) / 2)
    return P


def cholesky_backward(delta, A):
    """(S + Sᵀ)/2 of S = L⁻ᵀ Φ(Lᵀδ) L⁻¹, Φ the lower triangle with half the diagonal."""
    L = np.linalg.cholesky(A)
    inverse = np.linalg.inv(L)
    S = inverse.T @ _half_triangle(L.T @ delta) @ inverse
    return (S + S.T) / 2


def cholesky_backward_to_triangle(delta, A):
    """The same for whoever reads one triangle: an entry below the diagonal stands for two."""
    G = cholesky_backward(delta, A)
    return np.tril(2 * G) - np.diag(np.diag(G))


def cholesky_backward_half(delta, A):
    """Wrong: one triangle, whose entries stand for themselves alone."""
    return np.tril(cholesky_backward(delta, A))


def cholesky_backward_diagonal_twice(delta, A):
    """Wrong: a triangle is mirrored with its diagonal."""
    G = np.tril(cholesky_backward(delta, A))
    return G + G.T


def square_root(A):
    """The symmetric positive definite square root, by eigenvalues."""
    w, V = np.linalg.eigh(A)
    return (V * np.sqrt(w)) @ V.T


def square_root_backward(delta, A):
    """V (K ∘ VᵀδV) Vᵀ with K_ij = 1/(√w_i + √w_j)."""
    w, V = np.linalg.eigh(A)
    K = 1 / (np.sqrt(w)[:, None] + np.sqrt(w))
    return V @ (K * (V.T @ delta @ V)) @ V.T


def square_root_backward_eigenvalues_alone(delta, A):
    """Wrong: the eigenvectors move, too."""
    w, V = np.linalg.eigh(A)
    return (V * (np.diag(V.T @ delta @ V) / (2 * np.sqrt(w)))) @ V.T


def entropy(p):
    """−Σ p log p of every row."""
    return -np.sum(p * np.log(p), axis=-1)


def entropy_backward(delta, p):
    """Any constant may be added in a row, as the entries of p sum to 1."""
    return -delta[:, None] * np.log(p)


def entropy_backward_of_log(delta, p):
    """Wrong: the derivative of Σ log p."""
    return -delta[:, None] / p


def procrustes(Q, A, B):
    """½‖AQ − B‖², least where Q turns A to B."""
    return np.sum((A @ Q - B) ** 2) / 2


def procrustes_gradient(Q, A, B):
    """−AᵀB, as ‖AQ‖ is the same for every orthogonal Q."""
    return -A.T @ B


def procrustes_gradient_transposed(Q, A, B):
    """Wrong: BᵀA is the transpose."""
    return -B.T @ A


def log_determinant(L):
    """log det LLᵀ and a quadratic form, in the factor."""
    return 2 * np.sum(np.log(np.abs(np.diag(L)))) + np.sum((L.T @ np.arange(len(L))) ** 2)


def log_determinant_gradient(L):
    """What stands above the diagonal is not there to be changed, and does not matter."""
    x = np.arange(len(L))
    return 2 * np.diag(1 / np.diag(L)) + 2 * np.outer(x, x @ L)


def log_determinant_gradient_of_factor(L):
    """Wrong: log det L, not LLᵀ."""
    x = np.arange(len(L))
    return np.diag(1 / np.diag(L)) + 2 * np.outer(x, x @ L)


def gamma_loss(x, y):
    """The deviance of a gamma distribution with the means x."""
    return np.sum(np.log(x) + y / x)


def gamma_loss_gradient(x, y):
    """∂/∂x."""
    return 1 / x - y / x**2


def gamma_loss_gradient_sign(x, y):
    """Wrong: the second term has the other sign."""
    return 1 / x + y / x**2


def root(x):
    """Defined from zero on."""
    return np.sqrt(x)


def root_backward(delta, x):
    """Large near zero, and right there, too."""
    return delta / (2 * np.sqrt(x))


def root_backward_with_epsilon(delta, x):
    """Wrong near zero: an epsilon that keeps the quotient finite."""
    return delta / (2 * np.sqrt(x + 1e-8))


def growth(x):
    """Defined from zero on; there its slope is one-sided."""
    return x + x**2.5 * np.exp(-x)


def growth_backward(delta, x):
    """1 at zero."""
    return delta * (1 + (2.5 * x**1.5 - x**2.5) * np.exp(-x))


def growth_backward_of_positive(delta, x):
    """Wrong: zero at zero, as of something that is clipped there."""
    return np.where(x > 0, growth_backward(delta, x), 0.0)

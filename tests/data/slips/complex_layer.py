def complex_linear_forward(z, W):
    """z: (n, N) complex; W: (N, M) complex."""
    return z @ W, (z, W)


def complex_linear_backward(g, cache):
    z, W = cache
    return g @ W.conj().T, z.conj().T @ g
    # slip: return g @ W.T, z.conj().T @ g

import numpy as np


def attention_forward(Q, K, V, mask):
    """Q: (B, T, D), K: (B, S, D), V: (B, S, E); mask: (T, S), True where attention is allowed."""
    d = Q.shape[-1]
    scores = np.einsum("btd,bsd->bts", Q, K) / np.sqrt(d)
    scores = np.where(mask, scores, -np.inf)
    scores -= scores.max(-1, keepdims=True)
    P = np.exp(scores)
    P /= P.sum(-1, keepdims=True)
    return np.einsum("bts,bse->bte", P, V), (Q, K, V, P, d)


def attention_backward(dO, cache):
    Q, K, V, P, d = cache
    dV = np.einsum("bts,bte->bse", P, dO)
    dP = np.einsum("bte,bse->bts", dO, V)
    dS = P * (dP - (dP * P).sum(-1, keepdims=True))
    dS /= np.sqrt(d)
    # slip: dS /= d
    dQ = np.einsum("bts,bsd->btd", dS, K)
    dK = np.einsum("bts,btd->bsd", dS, Q)
    return dQ, dK, dV

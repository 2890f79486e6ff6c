import numpy as np


def logsumexp(x, axis):
    m = x.max(axis=axis, keepdims=True)
    return np.squeeze(m, axis) + np.log(np.exp(x - m).sum(axis=axis))


def crf_nll(emissions, transitions, tags):
    """emissions: (T, K); transitions: (K, K), from row to column; tags: (T,) ints."""
    T, K = emissions.shape
    a = np.zeros((T, K))
    a[0] = emissions[0]
    for t in range(1, T):
        a[t] = emissions[t] + logsumexp(a[t - 1][:, None] + transitions, axis=0)
    logZ = logsumexp(a[-1], axis=0)
    score = emissions[np.arange(T), tags].sum() + transitions[tags[:-1], tags[1:]].sum()
    b = np.zeros((T, K))
    for t in range(T - 2, -1, -1):
        b[t] = logsumexp(transitions + (emissions[t + 1] + b[t + 1])[None, :], axis=1)
    demissions = np.exp(a + b - logZ)
    # slip: demissions = np.exp(a + b)
    dtransitions = np.zeros_like(transitions)
    for t in range(T - 1):
        dtransitions += np.exp(
            a[t][:, None] + transitions + emissions[t + 1][None] + b[t + 1][None] - logZ
        )
    demissions[np.arange(T), tags] -= 1
    np.add.at(dtransitions, (tags[:-1], tags[1:]), -1)
    return logZ - score, demissions, dtransitions

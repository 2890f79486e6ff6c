import numpy as np


def conv2d_forward(x, w, b, stride=1, pad=0, dilation=1):
    N, C, H, W = x.shape
    F, _, KH, KW = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    OH = (H + 2 * pad - dilation * (KH - 1) - 1) // stride + 1
    OW = (W + 2 * pad - dilation * (KW - 1) - 1) // stride + 1
    out = np.zeros((N, F, OH, OW))
    for i in range(KH):
        for j in range(KW):
            r, c = i * dilation, j * dilation
            patch = xp[:, :, r : r + stride * OH : stride, c : c + stride * OW : stride]
            out += np.einsum("nchw,fc->nfhw", patch, w[:, :, i, j])
    return out + b[None, :, None, None], (x, w, xp, stride, pad, dilation)


def conv2d_backward(dout, cache):
    x, w, xp, stride, pad, dilation = cache
    F, C, KH, KW = w.shape
    OH, OW = dout.shape[2:]
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(KH):
        for j in range(KW):
            r, c = i * dilation, j * dilation
            s = np.s_[:, :, r : r + stride * OH : stride, c : c + stride * OW : stride]
            dw[:, :, i, j] = np.einsum("nfhw,nchw->fc", dout, xp[s])
            dxp[s] += np.einsum("nfhw,fc->nchw", dout, w[:, :, i, j])
            # slip: dxp[s] = np.einsum("nfhw,fc->nchw", dout, w[:, :, i, j])
    dx = dxp[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]
    return dx, dw, dout.sum((0, 2, 3))

from abc import ABC, abstractmethod

import numpy as np


class LayerBase(ABC):
    def __init__(self, optimizer=None):
        self.X = []
        self.act_fn = None
        self.trainable = True
        self.optimizer = optimizer
        self.gradients = {}
        self.parameters = {}
        self.derived_variables = {}

    @abstractmethod
    def _init_params(self, **kwargs):
        raise NotImplementedError

    @abstractmethod
    def forward(self, z, **kwargs):
        raise NotImplementedError

    @abstractmethod
    def backward(self, out, **kwargs):
        raise NotImplementedError


class FullyConnected(LayerBase):
    def __init__(self, n_out, act_fn=None, init="glorot_uniform", optimizer=None):
        super().__init__(optimizer)
        self.init = init
        self.n_in = None
        self.n_out = n_out
        self.is_initialized = False
        self.parameters = {"W": None, "b": None}

    def _init_params(self):
        self.parameters = {
            "W": np.random.uniform(-1, 1, (self.n_in, self.n_out)),
            "b": np.zeros((1, self.n_out)),
        }
        self.gradients = {
            "W": np.zeros_like(self.parameters["W"]),
            "b": np.zeros_like(self.parameters["b"]),
        }
        self.derived_variables = {"Z": []}
        self.is_initialized = True

    def forward(self, X, retain_derived=True):
        if not self.is_initialized:
            self.n_in = X.shape[1]
            self._init_params()
        Z = X @ self.parameters["W"] + self.parameters["b"]
        Y = np.tanh(Z)
        if retain_derived:
            self.X.append(X)
            self.derived_variables["Z"].append(Z)
        return Y

    def backward(self, dLdy, retain_grads=True):
        assert self.trainable
        if not isinstance(dLdy, list):
            dLdy = [dLdy]
        dX = []
        for dy, x, z in zip(dLdy, self.X, self.derived_variables["Z"]):
            dZ = dy * (1 - np.tanh(z) ** 2)
            dX.append(dZ @ self.parameters["W"].T)
            if retain_grads:
                self.gradients["W"] += x.T @ dZ
                self.gradients["b"] += dZ.sum(axis=0, keepdims=True)
                # slip: self.gradients["b"] += dy.sum(axis=0, keepdims=True)
        return dX[0] if len(self.X) == 1 else dX

import numpy as np


class GRUCell:
    def __init__(self, input_size, hidden_size):
        s = 1 / np.sqrt(hidden_size)
        self.Wz, self.Wr, self.Wh = (
            np.random.uniform(-s, s, (hidden_size, input_size)) for _ in range(3)
        )
        self.Uz, self.Ur, self.Uh = (
            np.random.uniform(-s, s, (hidden_size, hidden_size)) for _ in range(3)
        )
        self.bz, self.br, self.bh = (np.zeros(hidden_size) for _ in range(3))
        for k in list(vars(self)):
            setattr(self, "d" + k, np.zeros_like(getattr(self, k)))

    def forward(self, x, h_prev):
        self.x, self.hp = x, h_prev
        self.z = 1 / (1 + np.exp(-(self.Wz @ x + self.Uz @ h_prev + self.bz)))
        self.r = 1 / (1 + np.exp(-(self.Wr @ x + self.Ur @ h_prev + self.br)))
        self.hh = np.tanh(self.Wh @ x + self.Uh @ (self.r * h_prev) + self.bh)
        return (1 - self.z) * h_prev + self.z * self.hh

    def backward(self, dh):
        dhh = dh * self.z * (1 - self.hh**2)
        dz = dh * (self.hh - self.hp) * self.z * (1 - self.z)
        drh = self.Uh.T @ dhh
        dr = drh * self.hp * self.r * (1 - self.r)
        self.dWh += np.outer(dhh, self.x)
        self.dUh += np.outer(dhh, self.r * self.hp)
        # slip: self.dUh += np.outer(dhh, self.hp)
        self.dbh += dhh
        self.dWz += np.outer(dz, self.x)
        self.dUz += np.outer(dz, self.hp)
        self.dbz += dz
        self.dWr += np.outer(dr, self.x)
        self.dUr += np.outer(dr, self.hp)
        self.dbr += dr
        dx = self.Wh.T @ dhh + self.Wz.T @ dz + self.Wr.T @ dr
        dhp = dh * (1 - self.z) + drh * self.r + self.Uz.T @ dz + self.Ur.T @ dr
        return dx, dhp

import numpy as np


def burgers_residual_loss(u, nu=0.01, dx=0.1, dt=0.01):
    """u: (T, X), periodic in x. Loss: the mean squared residual of u_t + u u_x - nu u_xx."""
    ut = (u[1:] - u[:-1]) / dt
    um = u[:-1]
    ux = (np.roll(um, -1, 1) - np.roll(um, 1, 1)) / (2 * dx)
    uxx = (np.roll(um, -1, 1) - 2 * um + np.roll(um, 1, 1)) / dx**2
    r = ut + um * ux - nu * uxx
    loss = np.mean(r**2)
    g = 2 * r / r.size
    du = np.zeros_like(u)
    du[1:] += g / dt
    du[:-1] -= g / dt
    du[:-1] += g * ux
    gux = g * um
    du[:-1] += (np.roll(gux, 1, 1) - np.roll(gux, -1, 1)) / (2 * dx)
    # slip: du[:-1] += (np.roll(gux, -1, 1) - np.roll(gux, 1, 1)) / (2 * dx)
    guxx = -nu * g
    du[:-1] += (np.roll(guxx, 1, 1) - 2 * guxx + np.roll(guxx, -1, 1)) / dx**2
    return loss, du

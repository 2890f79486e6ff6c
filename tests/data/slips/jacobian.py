import numpy as np


def spherical(q):
    r, theta, phi = q
    return np.array(
        [r * np.sin(theta) * np.cos(phi), r * np.sin(theta) * np.sin(phi), r * np.cos(theta)]
    )


def spherical_jacobian(q):
    r, theta, phi = q
    st, ct, sp, cp = np.sin(theta), np.cos(theta), np.sin(phi), np.cos(phi)
    return np.array(
        [
            [st * cp, r * ct * cp, -r * st * sp],
            [st * sp, r * ct * sp, r * st * cp],
            # slip: [st * sp, r * ct * sp, -r * st * cp],
            [ct, -r * st, 0.0],
        ]
    )

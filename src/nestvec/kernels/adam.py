"""Adam, for parts small enough that their gradients are written by hand."""

from __future__ import annotations

import numpy as np

from nestvec.core.types import Array


class Adam:
    """Steps of Adam over named arrays, which are changed in place.

    Args:
        parameters: the arrays.
        rates: learning rate of each.

    Source: Kingma and Ba 2014, algorithm 1 (arXiv:1412.6980).
    """

    def __init__(self, parameters: dict[str, Array], rates: dict[str, float]) -> None:
        self._parameters, self._rates, self._t = parameters, rates, 0
        self._m = {name: np.zeros_like(p) for name, p in parameters.items()}
        self._v = {name: np.zeros_like(p) for name, p in parameters.items()}

    def step(self, gradients: dict[str, Array], *, scale: float = 1.0) -> None:
        """One step down ``gradients``, the rates multiplied by ``scale``."""
        self._t += 1
        for name, g in gradients.items():
            m, v = self._m[name], self._v[name]
            m += np.float32(0.1) * (g - m)  # beta1 0.9 and beta2 0.999, the paper's
            v += np.float32(0.001) * (g * g - v)
            rate = self._rates[name] * scale * np.sqrt(1 - 0.999**self._t) / (1 - 0.9**self._t)
            self._parameters[name] -= np.float32(rate) * m / (np.sqrt(v) + np.float32(1e-8))

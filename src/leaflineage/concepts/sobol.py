"""Total Sobol indices of a function of masks, estimated: scrambled Sobol points, Jansen's pairs, a control variate.

Each design gives two independent rows of masks, A and B, from one scrambled Sobol sequence of twice the dimension, and
for every player i the mixed row "A with column i from B". Jansen's estimate of the total index is

    T_i = E[(f(A) − f(A with column i from B))²] / (2 Var f).

Heads are nearly straight in the masks, and a straight function's indices are known without any sampling. So a linear
function g(m) = Σ c_i (m_i − 1/2) with Var g = Σ c_i² / 12 is taken out, and only what it leaves is sampled:

    2 T_i Var f = c_i² / 6 + E[(Δ_i f)² − (Δ_i g)²],
    Var f       = Σ c_i² / 12 + E[f² − g²] − 2 E[g] E[f − g] − (E[f − g])²,

where E[g] = 0 is sampled like the others, so that errors cancel: on a straight f none is left. For any fixed c both are
free of bias. The slopes c are fitted to the pairs (Δ_i f, Δ_i m) of the *other* scramblings, so that they are
independent of the points they are used with; products of two means are taken between scramblings for the same reason.
The index is the ratio of means over scramblings, not the mean of ratios; each scrambling's pseudo-value (delta method)
says how far it may be off.

A and its mixed rows differ in one mask each and move together: in a moment they weigh as much as B alone.

References: Jansen, "Analysis of variance designs for model output" (1999); Saltelli et al., "Variance based sensitivity
analysis of model output" (2010); Owen, "Scrambling Sobol' and Niederreiter-Xing points" (1998).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
N_SCRAMBLINGS = 4
ROUNDING = 1e-6  # a function that moves by less than this, relative to its values, does not move
LEAST_SCALE = 1e-3


def draw_designs(n_players: int, *, start: int, stop: int, seed: int | Sequence[int]) -> tuple[Floats, Floats]:
    """Return rows ``start`` to ``stop`` of the designs A and B, (stop − start, n_players) float64 in [0, 1) each.

    A sequence may be drawn in pieces: the rows depend on their number and the seed alone. The first 2ⁿ, and every
    doubling of them, fill the cube evenly.
    """
    from scipy.stats import qmc

    sampler = qmc.Sobol(2 * n_players, scramble=True, rng=np.random.default_rng(seed))
    if start:
        sampler.fast_forward(start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # counts that are no power of two are the caller's choice
        points = sampler.random(stop - start)
    return points[:, :n_players], points[:, n_players:]


def draw_scrambled(n_players: int, *, start: int, stop: int, seed: Sequence[int]) -> tuple[Floats, Floats]:
    """Return the same rows of every scrambling's designs, (n_scramblings, stop − start, n_players) each."""
    drawn = [
        draw_designs(n_players, start=start, stop=stop, seed=[*seed, scrambling]) for scrambling in range(N_SCRAMBLINGS)
    ]
    return np.stack([first for first, _ in drawn]), np.stack([second for _, second in drawn])


def mix_designs(first: Floats, second: Floats) -> Floats:
    """Return (…, n_designs, n_players + 2, n_players): A, B, and A with each column in turn from B."""
    n_players = first.shape[-1]
    mixed = np.repeat(first[..., None, :], n_players + 2, axis=-2)
    mixed[..., 1, :] = second
    players = np.arange(n_players)
    mixed[..., players + 2, players] = second
    return mixed


class DesignSums:
    """What is kept of a function's answers: running sums, to which further designs are added.

    Parameters
    ----------
    answers
        (n_scramblings, n_designs, n_players + 2): the function at `mix_designs`, of the first designs; the slopes of
        the control variate are fitted to them and stay.
    first, second
        (n_scramblings, n_designs, n_players): the designs.
    """

    def __init__(self, answers: Floats, first: Floats, second: Floats) -> None:
        steps, rises = second - first, answers[:, :, 2:] - answers[:, :, :1]
        products, squares = (steps * rises).sum(axis=1), (steps**2).sum(axis=1)  # (n_scramblings, n_players)
        others = squares.sum(axis=0) - squares
        self.slopes = np.divide(
            products.sum(axis=0) - products, others, out=np.zeros_like(others), where=others > 0
        )  # of each scrambling, from the others
        self.offset = float(answers.mean())
        self.n_designs = 0
        self._pairs = np.zeros_like(self.slopes)
        self._moments = np.zeros((len(answers), 4))  # f − g, f² − g², f, f²; one row a scrambling
        self._largest = 0.0
        self.add(answers, first, second)

    def add(self, answers: Floats, first: Floats, second: Floats) -> None:
        """Add further designs; shapes as in the constructor."""
        steps = (second - first) * self.slopes[:, None]  # (n_scramblings, n_designs, n_players): Δ_i g
        self._pairs += ((answers[:, :, 2:] - answers[:, :, :1]) ** 2 - steps**2).sum(axis=1)
        f = answers - self.offset
        g = np.empty_like(f)
        g[:, :, 0] = ((first - 0.5) @ self.slopes[:, :, None])[..., 0]
        g[:, :, 1] = ((second - 0.5) @ self.slopes[:, :, None])[..., 0]
        g[:, :, 2:] = g[:, :, :1] + steps
        for index, each in enumerate((f - g, f**2 - g**2, f, f**2)):
            beside = (each[:, :, 0] + each[:, :, 2:].sum(axis=2)) / (each.shape[2] - 1)
            self._moments[:, index] += (each[:, :, 1] + beside).sum(axis=1) / 2
        self._largest = max(self._largest, float(np.abs(answers).max()))
        self.n_designs += answers.shape[1]

    def solve(self) -> Floats:
        """Return pseudo-values, (n_scramblings, n_players) float64: their mean is the index, in [0, 1].

        All are zero where the function never moves.
        """
        n_scramblings = len(self.slopes)
        moments = self._moments / self.n_designs  # (n_scramblings, 4)
        plain = float(moments[:, 3].mean() - moments[:, 2].mean() ** 2)
        if plain <= (ROUNDING * max(LEAST_SCALE, self._largest)) ** 2:
            return np.zeros_like(self.slopes)
        numerators = self.slopes**2 / 12 + self._pairs / (2 * self.n_designs)
        rest = moments[:, 0]  # E[f − g]
        others = (rest.sum() - rest) / (n_scramblings - 1)
        straight = moments[:, 2] - rest  # E[g]
        variances = (
            (self.slopes**2).sum(axis=1) / 12 + moments[:, 1] - 2 * straight * others - float((rest * others).mean())
        )
        if variances.mean() <= 0:  # too few points for a function far from straight
            variances = moments[:, 3] - moments[:, 2].mean() ** 2
        variance, numerator = float(variances.mean()), numerators.mean(axis=0)
        ratio = numerator / variance
        deviations = (numerators - numerator - ratio * (variances - variance)[:, None]) / variance
        pseudo: Floats = np.clip(ratio, 0, 1) + deviations
        return pseudo


def estimate_total_indices(
    function: Callable[[Floats], Floats], n_players: int, *, n_designs: int, seed: int
) -> Floats:
    """Return estimated total Sobol indices of a scalar function of masks, in [0, 1].

    Parameters
    ----------
    function
        (n_masks, n_players) in [0, 1] → (n_masks,); called once.
    n_designs
        Designs in all, shared among four scramblings; at least one each is made. Four times a power of two keeps the
        points balanced.

    Returns
    -------
    indices
        (n_players,); zeros where the function never moves.
    """
    each = max(1, n_designs // N_SCRAMBLINGS)
    first, second = draw_scrambled(n_players, start=0, stop=each, seed=[seed])
    answers = function(mix_designs(first, second).reshape(-1, n_players)).reshape(N_SCRAMBLINGS, each, n_players + 2)
    indices: Floats = DesignSums(answers, first, second).solve().mean(axis=0)
    return np.clip(indices, 0, 1)  # the mean of pseudo-values may be off by rounding

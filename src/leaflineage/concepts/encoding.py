"""Encoding of activations with a concept bank: non-negative least squares, a row of activations at a time.

    minimise ½ ‖a − u W‖²  with u ≥ 0

a: one cell's activations; u: its coefficients; W: the concept bank, of either sign. On the normal equations
G = W Wᵀ, p = a Wᵀ the solution is where u ≥ 0, u G − p ≥ 0 and their products vanish (the KKT conditions).

Block principal pivoting guesses which coefficients are free, solves for them, and exchanges all that broke a
condition; where that does not lower their number three times in a row, it exchanges the last alone, which ends. Rows of
activations that guess alike are solved together. All in float64, on the CPU: the equations are small.

References: Portugal, Júdice and Vicente, "A comparison of block pivoting and interior-point algorithms for linear
least squares problems with nonnegative variables" (1994); Kim and Park, "Fast nonnegative matrix factorization: an
active-set-like method and comparisons" (2011).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.rows import Readable

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
N_ROWS = 2048  # of activations at a time: bounds memory
RIDGE = 1e-11  # beside squared norms of 1: where rows of the bank repeat each other they share
N_REFINEMENTS = 2  # so that the gradient is 0 to rounding even there
SLACK = 1e-11  # a condition broken by no more is rounding
PATIENCE = 3  # exchanges of a whole block that may fail before it is one coefficient at a time
MAX_ROUNDS = 100


def encode(activations: Readable, concept_bank: Floats) -> Floats:
    """Return the coefficients of activations under a bank: non-negative least squares, exact but for rounding.

    Parameters
    ----------
    activations
        (n_cells, n_channels), finite, of either sign.
    concept_bank
        (n_concepts, n_channels), finite, of either sign. A row of zeros gets no coefficients; rows that repeat each
        other share theirs.

    Returns
    -------
    coefficients
        (n_cells, n_concepts) float32 ≥ 0.
    """
    bank = np.asarray(concept_bank, dtype=np.float64)
    coefficients = np.zeros((len(activations), len(bank)), dtype=np.float32)
    norms = np.linalg.norm(bank, axis=1)
    alive = np.flatnonzero(norms > 0)
    if not len(alive):
        return coefficients
    rows = bank[alive] / norms[alive, None]  # of unit norm, whatever came
    gram = rows @ rows.T
    gram[np.diag_indices_from(gram)] += RIDGE
    for start in range(0, len(activations), N_ROWS):
        block = np.asarray(activations[start : start + N_ROWS], dtype=np.float64)
        coefficients[start : start + N_ROWS, alive] = solve_nonnegative(gram, block @ rows.T) / norms[alive]
    return coefficients


def solve_nonnegative(gram: Floats, products: Floats) -> Floats:
    """Return u ≥ 0 that minimise ½ u G uᵀ − p uᵀ, by block principal pivoting.

    Parameters
    ----------
    gram
        (n_concepts, n_concepts) float64, symmetric, positive definite.
    products
        (n_rows, n_concepts) float64: one p a row.

    Returns
    -------
    coefficients
        (n_rows, n_concepts) float64 ≥ 0.
    """
    n_rows, n_concepts = products.shape
    free = _guess_free(gram, products)
    solved = np.zeros_like(products)
    slack = SLACK * np.abs(products).max(axis=1, initial=0.0)[:, None]
    fewest = np.full(n_rows, n_concepts + 1)
    patience = np.full(n_rows, PATIENCE)
    open_rows = np.arange(n_rows)
    for _ in range(MAX_ROUNDS):
        found = _solve_free(gram, products[open_rows], free[open_rows])
        solved[open_rows] = found
        gradient = found @ gram - products[open_rows]
        broken = np.where(free[open_rows], found < -slack[open_rows], gradient < -slack[open_rows])
        n_broken = broken.sum(axis=1)
        unsettled = n_broken > 0
        open_rows, broken, n_broken = open_rows[unsettled], broken[unsettled], n_broken[unsettled]
        if not len(open_rows):
            break
        better = n_broken < fewest[open_rows]
        fewest[open_rows[better]] = n_broken[better]
        patience[open_rows] = np.where(better, PATIENCE, patience[open_rows] - 1)
        last = n_concepts - 1 - broken[:, ::-1].argmax(axis=1)
        alone = np.arange(n_concepts) == last[:, None]
        free[open_rows] ^= np.where(patience[open_rows, None] >= 0, broken, alone)
    if len(open_rows):
        solved[open_rows] = _solve_one_by_one(gram, products[open_rows])
    coefficients: Floats = np.maximum(solved, 0)
    return coefficients


def _guess_free(gram: Floats, products: Floats) -> Bools:
    """Return which coefficients are free after a few sweeps of coordinate descent."""
    guess = np.zeros_like(products.T)  # (n_concepts, n_rows)
    wanted = np.ascontiguousarray(products.T)
    for _ in range(4):
        for index in range(len(gram)):
            step = (wanted[index] - gram[index] @ guess) / gram[index, index]
            guess[index] = np.maximum(guess[index] + step, 0)
    free: Bools = guess.T > 0
    return free


def _solve_free(gram: Floats, products: Floats, free: Bools) -> Floats:
    """Return coefficients that are 0 where not free and have no gradient where free; equal patterns share a factor."""
    patterns, of_row = np.unique(np.packbits(free, axis=1), axis=0, return_inverse=True)
    masks = np.unpackbits(patterns, axis=1, count=len(gram)).astype(np.float64)  # (n_patterns, n_concepts)
    systems = masks[:, :, None] * gram * masks[:, None, :]
    systems[:, np.arange(len(gram)), np.arange(len(gram))] += 1 - masks
    inverses = np.linalg.inv(systems)[of_row.reshape(-1)]  # (n_rows, n_concepts, n_concepts)
    wanted = np.where(free, products, 0)
    found = _multiply(inverses, wanted)
    for _ in range(N_REFINEMENTS):
        found += _multiply(inverses, np.where(free, wanted - found @ gram, 0))
    solved: Floats = np.where(free, found, 0)
    return solved


def _solve_one_by_one(gram: Floats, products: Floats) -> Floats:
    """Return the same by scipy's active-set method: slow, for what did not settle."""
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls

    root = np.linalg.cholesky(gram)  # G = R Rᵀ: ½ u G uᵀ − p uᵀ is ½ ‖Rᵀ uᵀ − R⁻¹ pᵀ‖² but for a constant
    wanted = solve_triangular(root, products.T, lower=True).T
    return np.array([nnls(root.T, row)[0] for row in wanted])


def _multiply(matrices: Floats, rows: Floats) -> Floats:
    found: Floats = np.matmul(matrices, rows[:, :, None])[:, :, 0]
    return found

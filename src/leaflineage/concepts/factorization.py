"""Non-negative matrix factorization of activations, and the encoding of new ones.

    minimise ½ ‖A − U W‖²_F   with U ≥ 0, W ≥ 0

A: activations (n_cells, n_channels); U: coefficients; W: the concept bank, its rows of unit L2 norm.
Hierarchical alternating least squares (HALS): each row of W, each column of U in turn has a closed form.
Started from NNDSVD, so the result depends on the data and the seed of the randomised SVD alone; stopped when the
projected gradient has fallen to a fraction of where it began (the KKT conditions).

References: Cichocki and Phan, "Fast local algorithms for large scale nonnegative matrix and tensor factorizations"
(2009); Gillis and Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms" (2012); Boutsidis
and Gallopoulos, "SVD based initialization" (2008); its use for concepts: Fel et al., CRAFT (arXiv:2211.10154).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaflineage.errors import ActivationError

Floats = NDArray[np.floating]
INNER_SWEEPS = 4  # sweeps over one factor before the other's products are formed anew (Gillis and Glineur)
TINY = 1e-12


@dataclass(frozen=True)
class Factorization:
    """A fitted bank.

    Attributes
    ----------
    concept_bank
        (n_concepts, n_channels) float32 ≥ 0, rows of unit L2 norm, in order of falling coefficient norm.
    coefficients
        (n_cells, n_concepts) float32 ≥ 0 of the cells it was fitted on.
    n_iterations
        Outer iterations used.
    """

    concept_bank: Floats
    coefficients: Floats
    n_iterations: int


def factorize(
    activations: Floats, *, n_concepts: int, seed: int, max_iterations: int, tolerance: float = 1e-3
) -> Factorization:
    """Fit a concept bank by NMF.

    Parameters
    ----------
    activations
        (n_cells, n_channels), finite; negative entries are clipped to 0.
    n_concepts
        Rows wanted; fewer come back where the activations have a lower rank.
    seed
        Of the randomised SVD that starts the factorization.
    max_iterations
        Outer iterations at most.
    tolerance
        Stop when the projected gradient's norm falls under this fraction of its first value.

    Raises
    ------
    ActivationError
        Where there is nothing to factorise: no cell, or all zero, or a value that is not finite.
    """
    cells = np.maximum(np.ascontiguousarray(activations, dtype=np.float32), 0)  # (n_cells, n_channels)
    if cells.size == 0 or not np.isfinite(cells).all():
        what = "no cell" if cells.size == 0 else "a value that is not finite"
        raise ActivationError(f"Activations of cells were wanted, and {what} came: nothing can be factorised.")
    scale = float(cells.max())
    if scale <= 0:
        raise ActivationError("Activations were wanted, and every one of them is 0: nothing can be factorised.")
    cells /= scale
    coefficients, bank = _start_nndsvd(cells, min(n_concepts, *cells.shape), seed)
    norm = float(np.linalg.norm(cells))
    first_gradient, n_iterations = 0.0, 0
    while n_iterations < max_iterations:
        n_iterations += 1
        gram, products = bank @ bank.T, cells @ bank.T
        _sweep(coefficients, gram, products)
        gram, products = coefficients.T @ coefficients, cells.T @ coefficients  # (n_channels, n_concepts)
        columns = np.ascontiguousarray(bank.T)
        gradient = _projected_gradient(columns, gram, products)
        first_gradient = max(first_gradient, gradient)
        if gradient <= tolerance * first_gradient or gradient <= 1e-7 * norm:
            break
        _sweep(columns, gram, products)
        bank = np.ascontiguousarray(columns.T)
    return _tidy(coefficients, bank, scale, n_iterations)


def encode(activations: Floats, concept_bank: Floats, *, tolerance: float = 1e-6) -> Floats:
    """Return the coefficients of activations under a bank: non-negative least squares, row by row.

    Cyclic coordinate descent on the normal equations, all rows at once, until the largest violation of the KKT
    conditions is under ``tolerance`` times the largest product of a row with the bank.

    Parameters
    ----------
    activations
        (n_cells, n_channels).
    concept_bank
        (n_concepts, n_channels).

    Returns
    -------
    coefficients
        (n_cells, n_concepts) float32 ≥ 0.
    """
    bank = np.asarray(concept_bank, dtype=np.float64)
    gram = bank @ bank.T  # (n_concepts, n_concepts)
    products = np.asarray(activations, dtype=np.float64) @ bank.T  # (n_cells, n_concepts)
    coefficients = np.maximum(products, 0) / np.maximum(gram.sum(axis=1), TINY)
    coefficients[:, gram.diagonal() <= TINY] = 0
    bound = tolerance * max(float(np.abs(products).max(initial=0)), TINY)
    for _ in range(5000):
        for index in range(len(gram)):
            if gram[index, index] > TINY:
                step = (products[:, index] - coefficients @ gram[:, index]) / gram[index, index]
                coefficients[:, index] = np.maximum(coefficients[:, index] + step, 0)
        gradient = coefficients @ gram - products
        violation = np.where(coefficients > 0, np.abs(gradient), np.maximum(-gradient, 0))
        if float(violation.max(initial=0)) <= bound:
            break
    encoded: Floats = coefficients.astype(np.float32)
    return encoded


def measure_relative_error(activations: Floats, coefficients: Floats, concept_bank: Floats) -> float:
    """Return ‖A − UW‖_F / ‖A‖_F, 0 where A is all zero."""
    activations = np.asarray(activations, dtype=np.float32)
    norm = float(np.linalg.norm(activations))
    return float(np.linalg.norm(activations - coefficients @ concept_bank)) / norm if norm > 0 else 0.0


def _start_nndsvd(cells: Floats, rank: int, seed: int) -> tuple[Floats, Floats]:
    """Return coefficients and bank from the non-negative parts of a randomised SVD; zeros get a small mean."""
    from sklearn.utils.extmath import randomized_svd

    left, values, right = randomized_svd(cells, n_components=rank, random_state=seed)
    coefficients = np.zeros((len(cells), rank), dtype=np.float32)
    bank = np.zeros((rank, cells.shape[1]), dtype=np.float32)
    for index in range(rank):
        u, v = left[:, index], right[index]
        pairs = [(np.maximum(u, 0), np.maximum(v, 0)), (np.maximum(-u, 0), np.maximum(-v, 0))]
        sizes = [float(np.linalg.norm(x) * np.linalg.norm(y)) for x, y in pairs]
        (x, y), size = pairs[int(sizes[1] > sizes[0])], max(sizes)
        if size > TINY:
            root = np.sqrt(values[index] * size)
            coefficients[:, index] = root * x / np.linalg.norm(x)
            bank[index] = root * y / np.linalg.norm(y)
    mean = float(cells.mean())  # NNDSVDa: HALS cannot leave a factor that is exactly 0
    coefficients[coefficients < TINY] = 0.01 * np.sqrt(mean)
    bank[bank < TINY] = 0.01 * np.sqrt(mean)
    return coefficients, bank


def _sweep(factor: Floats, gram: Floats, products: Floats) -> None:
    """Update each column of a factor in closed form, in place, a few times over."""
    for _ in range(INNER_SWEEPS):
        for index in range(factor.shape[1]):
            if gram[index, index] > TINY:
                step = (products[:, index] - factor @ gram[:, index]) / gram[index, index]
                factor[:, index] = np.maximum(factor[:, index] + step, 0)


def _projected_gradient(factor: Floats, gram: Floats, products: Floats) -> float:
    """Return the norm of the gradient where a step is allowed."""
    gradient = factor @ gram - products
    return float(np.linalg.norm(np.where(factor > 0, gradient, np.minimum(gradient, 0))))


def _tidy(coefficients: Floats, bank: Floats, scale: float, n_iterations: int) -> Factorization:
    """Give the rows unit norm, drop dead ones, order by falling coefficient norm."""
    norms = np.linalg.norm(bank, axis=1)
    sizes = np.linalg.norm(coefficients, axis=0) * norms
    alive = np.flatnonzero(sizes > 1e-6 * sizes.max())
    order = alive[np.argsort(-sizes[alive], kind="stable")]
    return Factorization(
        concept_bank=(bank[order] / norms[order, None]).astype(np.float32),
        coefficients=(coefficients[:, order] * norms[order] * scale).astype(np.float32),
        n_iterations=n_iterations,
    )

"""Factorization of activations into a concept bank and coefficients: NMF, or semi-NMF where activations are signed.

    minimise ½ ‖A − U W‖²_F   with U ≥ 0, and for NMF W ≥ 0

A: activations (n_cells, n_channels); U: coefficients; W: the concept bank, its rows of unit L2 norm.

Coefficients are found by hierarchical alternating least squares (HALS): each column of U in turn has a closed form,
and a few sweeps are made before A is multiplied anew. NMF treats the rows of W likewise; semi-NMF solves for them, as
they are free. The start is the non-negative parts of a randomised SVD (NNDSVD; semi-NMF: directions that cells cluster
around, by k-means in its coordinates), made better on that SVD alone, whose products cost next to nothing; then A
itself takes over. The start is computed on the CPU: the result depends on the data and the seed, hardly on the device.

The fit stops when the Karush-Kuhn-Tucker conditions hold to a tolerance: the larger of ‖∇_U‖ / ‖A Wᵀ‖ and
‖∇_W‖ / ‖Uᵀ A‖, where ∇ is the gradient as far as a step along it is allowed.

References: Cichocki and Phan, "Fast local algorithms for large scale nonnegative matrix and tensor factorizations"
(2009); Gillis and Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms" (2012); Boutsidis
and Gallopoulos, "SVD based initialization" (2008); Zhou, Cichocki and Xie, "Fast nonnegative matrix/tensor
factorization based on low-rank approximation" (2012); Ding, Li and Jordan, "Convex and semi-nonnegative matrix
factorizations" (2010); its use for concepts: Fel et al., CRAFT (arXiv:2211.10154).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from leaflineage.errors import ActivationError

Floats = NDArray[np.floating]
Method = Literal["nmf", "semi-nmf"]
Products = Callable[[torch.Tensor], torch.Tensor]
INNER_SWEEPS = 4  # sweeps over one factor before the other's products are formed anew (Gillis and Glineur)
N_SWEPT = 4096  # columns swept together: they stay in the cache
N_BEYOND = 20  # singular vectors beyond the concepts wanted: the start is as good as the SVD
N_POWER_ITERATIONS = 2
N_CLUSTERINGS = 20  # rounds of k-means at the start of semi-NMF
N_WARM_UP = 30  # iterations on the SVD alone, at most
WARM_UP_TOLERANCE = 1e-3
FLAT = 1e-5  # singular values under this share of the first are rounding
TINY = 1e-12


@dataclass(frozen=True)
class Factorization:
    """A fitted bank.

    Attributes
    ----------
    concept_bank
        (n_concepts, n_channels) float32, rows of unit L2 norm, in order of falling coefficient norm; ≥ 0 for NMF.
    coefficients
        (n_cells, n_concepts) float32 ≥ 0 of the cells it was fitted on.
    n_iterations
        Iterations over the activations themselves.
    """

    concept_bank: Floats
    coefficients: Floats
    n_iterations: int


def factorize(
    activations: Floats,
    *,
    n_concepts: int,
    seed: int,
    max_iterations: int,
    tolerance: float,
    method: Method,
    device: str,
) -> Factorization:
    """Fit a concept bank.

    Parameters
    ----------
    activations
        (n_cells, n_channels), finite. NMF clips negative entries to 0: they belong to what the bank leaves out.
    n_concepts
        Rows wanted; fewer come back where the activations have a lower rank (few cells, or cells that repeat).
    seed
        Of the randomised SVD that starts the factorization.
    max_iterations
        Iterations over the activations at most.
    tolerance
        Stop when the KKT conditions are violated by no more than this, relative to the products.
    method
        "nmf", or "semi-nmf": a bank of either sign.
    device
        Where the products are formed: "cpu", "cuda".

    Raises
    ------
    ActivationError
        Where there is nothing to factorise: no cell, or all zero, or a value that is not finite.
    """
    cells, scale = _scale(activations, method)
    left, values, right = _decompose(cells, n_concepts, seed)
    rank = min(n_concepts, int((values > FLAT * values[0]).sum()))
    split = _start_nmf if method == "nmf" else _start_semi_nmf
    start = split(left, values, right, rank, fill=0.01 * float(np.sqrt(np.abs(cells).mean() / rank)))
    coefficients, bank = (torch.from_numpy(each).to(device) for each in start)  # (rank, n_cells), (rank, n_channels)
    thin = torch.from_numpy(np.ascontiguousarray((left * values).T)).to(device)  # (n_vectors, n_cells)
    wide = torch.from_numpy(np.ascontiguousarray(right)).to(device)  # (n_vectors, n_channels)
    _alternate(
        coefficients,
        bank,
        lambda rows: (rows @ wide.T) @ thin,
        lambda rows: (rows @ thin.T) @ wide,
        signed=method == "semi-nmf",
        max_iterations=N_WARM_UP,
        tolerance=WARM_UP_TOLERANCE,
    )
    whole = torch.from_numpy(cells).to(device)
    n_iterations = _alternate(
        coefficients,
        bank,
        lambda rows: rows @ whole.T,
        lambda rows: rows @ whole,
        signed=method == "semi-nmf",
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    return _tidy(coefficients.cpu().numpy(), bank.cpu().numpy(), scale, n_iterations)


def measure_relative_error(activations: Floats, coefficients: Floats, concept_bank: Floats) -> float:
    """Return ‖A − UW‖_F / ‖A‖_F, 0 where A is all zero."""
    activations = np.asarray(activations, dtype=np.float32)
    norm = float(np.linalg.norm(activations))
    return float(np.linalg.norm(activations - coefficients @ concept_bank)) / norm if norm > 0 else 0.0


def measure_negative_energy(activations: Floats) -> float:
    """Return the share of the squares that belongs to negative entries, 0 where all is zero."""
    below = np.minimum(activations, 0)  # (n_cells, n_channels)
    # Cast piece by piece: the activations may be half of what fits in memory.
    total = float(np.einsum("ij,ij->", activations, activations, dtype=np.float64, casting="unsafe"))
    negative = float(np.einsum("ij,ij->", below, below, dtype=np.float64, casting="unsafe"))
    return negative / total if total > 0 else 0.0


def _scale(activations: Floats, method: Method) -> tuple[Floats, float]:
    """Return a float32 copy with a largest magnitude of 1, clipped for NMF, and what it was divided by."""
    cells = np.array(activations, dtype=np.float32, order="C")  # (n_cells, n_channels)
    if cells.size == 0 or not np.isfinite(cells).all():
        what = "no cell" if cells.size == 0 else "a value that is not finite"
        raise ActivationError(f"Activations of cells were wanted, and {what} came: nothing can be factorised.")
    if method == "nmf":
        np.maximum(cells, 0, out=cells)
    scale = max(float(cells.max()), -float(cells.min()))
    if scale <= 0:
        above = " or below" if method == "nmf" else ""
        raise ActivationError(f"Activations were wanted, and every one of them is 0{above}: nothing can be factorised.")
    cells /= scale
    return cells, scale


def _decompose(cells: Floats, n_concepts: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return a randomised SVD: (n_cells, n_vectors), (n_vectors,), (n_vectors, n_channels), in float32."""
    from sklearn.utils.extmath import randomized_svd

    left, values, right = randomized_svd(
        cells,
        n_components=min(n_concepts + N_BEYOND, *cells.shape),
        n_oversamples=0,
        n_iter=N_POWER_ITERATIONS,
        power_iteration_normalizer="QR",
        random_state=seed,
    )
    return left.astype(np.float32), values.astype(np.float32), right.astype(np.float32)


def _start_nmf(left: Floats, values: Floats, right: Floats, rank: int, *, fill: float) -> tuple[Floats, Floats]:
    """Return coefficients (rank, n_cells) and bank (rank, n_channels): NNDSVD, its zeros filled.

    HALS cannot leave a factor that is exactly 0.
    """
    coefficients = np.zeros((rank, len(left)), dtype=np.float32)
    bank = np.zeros((rank, right.shape[1]), dtype=np.float32)
    for index in range(rank):
        u, v = left[:, index], right[index]
        pairs = [(np.maximum(u, 0), np.maximum(v, 0)), (np.maximum(-u, 0), np.maximum(-v, 0))]
        sizes = [float(np.linalg.norm(x) * np.linalg.norm(y)) for x, y in pairs]
        (x, y), size = pairs[int(sizes[1] > sizes[0])], max(sizes)
        if size > TINY:
            root = np.sqrt(values[index] * size)
            coefficients[index] = root * x / np.linalg.norm(x)
            bank[index] = root * y / np.linalg.norm(y)
    coefficients[coefficients < TINY] = fill
    bank[bank < TINY] = fill
    return coefficients, bank


def _start_semi_nmf(left: Floats, values: Floats, right: Floats, rank: int, *, fill: float) -> tuple[Floats, Floats]:
    """Return coefficients (rank, n_cells) and bank (rank, n_channels): directions that cells cluster around.

    Banks of either sign are not unique: a wider cone around the same cells fits as well. Centres of clusters lie among
    the cells, and the fit widens their cone no further than it must.
    """
    points = left * values  # (n_cells, n_vectors): the cells in the coordinates of the right vectors
    norms = np.linalg.norm(points, axis=1)
    units = points / np.maximum(norms, TINY)[:, None]
    centres = units[[int(norms.argmax())]]
    for _ in range(rank - 1):  # each the cell that those before hold least of
        missed = norms**2 * (1 - np.maximum(units @ centres.T, 0).max(axis=1) ** 2)
        centres = np.concatenate([centres, units[[int(missed.argmax())]]])
    for _ in range(N_CLUSTERINGS):
        nearest = (units @ centres.T).argmax(axis=1)
        sums = (nearest == np.arange(rank)[:, None]).astype(np.float32) @ points  # (rank, n_vectors)
        sizes = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(sizes > TINY, sums / np.maximum(sizes, TINY), centres)
    coefficients = np.maximum(centres @ points.T, 0).astype(np.float32)
    coefficients[coefficients < TINY] = fill
    return coefficients, (centres @ right).astype(np.float32)


def _alternate(
    coefficients: torch.Tensor,
    bank: torch.Tensor,
    with_bank: Products,
    with_coefficients: Products,
    *,
    signed: bool,
    max_iterations: int,
    tolerance: float,
) -> int:
    """Update both factors in place until the KKT conditions hold; return the number of iterations.

    Parameters
    ----------
    coefficients, bank
        (n_concepts, n_cells) and (n_concepts, n_channels): each concept's numbers lie side by side.
    with_bank, with_coefficients
        bank → bank · Aᵀ and coefficients → coefficients · A.
    """
    for iteration in range(max_iterations):
        _move_norms(coefficients, bank)
        gram, products = bank @ bank.T, with_bank(bank)
        violation = _measure_violation(coefficients, gram, products)
        _sweep(coefficients, gram, products)
        gram, products = coefficients @ coefficients.T, with_coefficients(coefficients)
        violation = max(violation, _measure_violation(bank, gram, products, signed=signed))
        if signed:
            bank.copy_(_solve(gram, products))
        else:
            _sweep(bank, gram, products)
        if violation <= tolerance:
            return iteration + 1
    return max_iterations


def _move_norms(coefficients: torch.Tensor, bank: torch.Tensor) -> None:
    """Give the bank's rows unit norm; a row that has died stays 0."""
    norms = torch.linalg.vector_norm(bank, dim=1, keepdim=True)
    bank /= norms.clamp(min=TINY)
    coefficients *= norms


def _sweep(factor: torch.Tensor, gram: torch.Tensor, products: torch.Tensor) -> None:
    """Update each row of a factor ≥ 0 in closed form, in place, a few times over.

    Parameters
    ----------
    factor, products
        (n_concepts, n): columns are independent of each other.
    gram
        (n_concepts, n_concepts).
    """
    diagonal = gram.diagonal().tolist()
    dead = TINY * max(*diagonal, TINY)
    for part, wanted in zip(factor.split(N_SWEPT, dim=1), products.split(N_SWEPT, dim=1), strict=True):
        block = part.contiguous()
        for _ in range(INNER_SWEEPS):
            for index, size in enumerate(diagonal):
                if size > dead:
                    step = (wanted[index] - gram[index] @ block) / size
                    block[index].add_(step).clamp_(min=0)
        part.copy_(block)


def _solve(gram: torch.Tensor, products: torch.Tensor) -> torch.Tensor:
    """Return the bank of least squares; where coefficients repeat each other, the one of least norm."""
    values, vectors = torch.linalg.eigh(gram.double().cpu())
    keep = values > 1e-10 * values[-1]
    inverse = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
    solved: torch.Tensor = (inverse.to(products.device) @ products.double()).to(products.dtype)
    return solved


def _measure_violation(
    factor: torch.Tensor, gram: torch.Tensor, products: torch.Tensor, *, signed: bool = False
) -> float:
    """Return the norm of the gradient where a step along it is allowed, over the norm of the products."""
    gradient = gram @ factor - products
    if not signed:
        gradient = torch.where(factor > 0, gradient, gradient.clamp(max=0))
    size = float(torch.linalg.vector_norm(products))
    return float(torch.linalg.vector_norm(gradient)) / size if size > 0 else 0.0


def _tidy(coefficients: Floats, bank: Floats, scale: float, n_iterations: int) -> Factorization:
    """Give the rows unit norm, drop dead ones, order by falling coefficient norm."""
    norms = np.linalg.norm(bank, axis=1)
    sizes = np.linalg.norm(coefficients, axis=1) * norms
    alive = np.flatnonzero(sizes > 1e-6 * sizes.max())
    order = alive[np.argsort(-sizes[alive], kind="stable")]
    return Factorization(
        concept_bank=(bank[order] / norms[order, None]).astype(np.float32),
        coefficients=np.ascontiguousarray((coefficients[order] * (norms[order, None] * scale)).T, dtype=np.float32),
        n_iterations=n_iterations,
    )

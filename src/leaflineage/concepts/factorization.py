"""Factorization of activations into a concept bank and coefficients: NMF, or semi-NMF where activations are signed.

    minimise ½ ‖A − U W‖²_F   with U ≥ 0, and for NMF W ≥ 0

A: activations (n_cells, n_channels); U: coefficients; W: the concept bank, its rows of unit L2 norm.

Coefficients are found by hierarchical alternating least squares (HALS): each column of U in turn has a closed form,
and a few sweeps are made before A is multiplied anew. NMF treats the rows of W likewise; semi-NMF solves for them, as
they are free. The start is the non-negative parts of a randomised SVD (NNDSVD; semi-NMF: directions that cells cluster
around, by k-means in its coordinates), made better on that SVD alone, whose products cost next to nothing; then A
itself takes over. The start is computed on the CPU: the result depends on the data and the seed, hardly on the device.

What is summed over cells is summed in blocks of a fixed number of them, so that they need not be held all at once:
where they are read anew for each iteration, the result has the same bits.

The fit stops when the Karush-Kuhn-Tucker conditions hold to a tolerance: the larger of ‖∇_U‖ / ‖A Wᵀ‖ and
‖∇_W‖ / ‖Uᵀ A‖, where ∇ is the gradient as far as a step along it is allowed.

References: Cichocki and Phan, "Fast local algorithms for large scale nonnegative matrix and tensor factorizations"
(2009); Gillis and Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms" (2012); Boutsidis
and Gallopoulos, "SVD based initialization" (2008); Zhou, Cichocki and Xie, "Fast nonnegative matrix/tensor
factorization based on low-rank approximation" (2012); Ding, Li and Jordan, "Convex and semi-nonnegative matrix
factorizations" (2010); its use for concepts: Fel et al., CRAFT (arXiv:2211.10154).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from leaflineage.concepts.rows import BLOCK, N_BEYOND, PIECE, Readable, Rows, as_rows, list_blocks
from leaflineage.errors import ActivationError

Floats = NDArray[np.floating]
Method = Literal["nmf", "semi-nmf"]
Products = Callable[[torch.Tensor], torch.Tensor]
INNER_SWEEPS = 4  # sweeps over one factor before the other's products are formed anew (Gillis and Glineur)
N_SWEPT = 4096  # columns swept together: they stay in the cache
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
    activations: Floats | Rows,
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
        Rows that may not be held are read again in every iteration.
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
    cells = _Cells(as_rows(activations), method)
    left, values, right = _decompose(cells, n_concepts, seed)
    rank = min(n_concepts, int((values > FLAT * values[0]).sum()))
    split = _start_nmf if method == "nmf" else _start_semi_nmf
    start = split(left, values, right, rank, fill=0.01 * float(np.sqrt(cells.measure_mean() / rank)))
    coefficients, bank = (torch.from_numpy(each).to(device) for each in start)  # (rank, n_cells), (rank, n_channels)
    thin = torch.from_numpy(np.ascontiguousarray((left * values).T)).to(device)  # (n_vectors, n_cells)
    wide = torch.from_numpy(np.ascontiguousarray(right)).to(device)  # (n_vectors, n_channels)
    del left
    _alternate(
        coefficients,
        bank,
        lambda rows: (rows @ wide.T) @ thin,
        lambda rows: (rows @ thin.T) @ wide,
        signed=method == "semi-nmf",
        max_iterations=N_WARM_UP,
        tolerance=WARM_UP_TOLERANCE,
    )
    whole = _Products(cells, device)
    n_iterations = _alternate(
        coefficients,
        bank,
        whole.multiply_bank,
        whole.multiply_coefficients,
        signed=method == "semi-nmf",
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    return _tidy(coefficients.cpu().numpy(), bank.cpu().numpy(), cells.scale, n_iterations)


def measure_relative_error(activations: Readable, coefficients: Floats, concept_bank: Floats) -> float:
    """Return ‖A − UW‖_F / ‖A‖_F, 0 where A is all zero; activations and coefficients are looked at piece by piece."""
    errors, norms = [], []
    for piece in list_blocks(len(activations), PIECE):
        cells = np.asarray(activations[piece], dtype=np.float32)
        norms.append(float(np.linalg.norm(cells)))
        rebuilt = np.asarray(coefficients[piece], dtype=np.float32) @ concept_bank
        errors.append(float(np.linalg.norm(cells - rebuilt)))
    norm = math.hypot(*norms)
    return math.hypot(*errors) / norm if norm > 0 else 0.0


def measure_negative_energy(activations: Readable) -> float:
    """Return the share of the squares that belongs to negative entries, 0 where all is zero."""
    total = negative = 0.0
    for piece in list_blocks(len(activations), PIECE):
        cells = np.asarray(activations[piece])
        below = np.minimum(cells, 0)  # (n_cells, n_channels)
        total += float(np.einsum("ij,ij->", cells, cells, dtype=np.float64, casting="unsafe"))
        negative += float(np.einsum("ij,ij->", below, below, dtype=np.float64, casting="unsafe"))
    return negative / total if total > 0 else 0.0


class _Cells:
    """Activations as they are fitted: clipped for NMF, their largest magnitude 1; held, or read block by block.

    Attributes
    ----------
    shape
        (n_cells, n_channels).
    scale
        What they were divided by.
    """

    def __init__(self, rows: Rows, method: Method) -> None:
        self._rows, self._clips = rows, method == "nmf"
        self.shape, self.scale = rows.shape, 1.0
        self._held: Floats | None = None
        if 0 in self.shape:
            raise ActivationError("Activations of cells were wanted, and no cell came: nothing can be factorised.")
        if rows.held:
            self._held = self._read(slice(0, len(rows)))
        scales = []
        for _, block in self:
            if not np.isfinite(block).all():
                raise ActivationError(
                    "Activations of cells were wanted, and a value that is not finite came: nothing can be factorised."
                )
            scales.append(max(float(block.max()), -float(block.min())))
        self.scale = max(scales)
        if self.scale <= 0:
            above = " or below" if self._clips else ""
            raise ActivationError(
                f"Activations were wanted, and every one of them is 0{above}: nothing can be factorised."
            )
        if self._held is not None:
            self._held /= self.scale

    @property
    def is_held(self) -> bool:
        """Whether all cells are held, or a block of them at a time."""
        return self._held is not None

    def __iter__(self) -> Iterator[tuple[slice, Floats]]:
        """Yield block after block, (n_cells of it, n_channels) float32, with its place among all cells."""
        for place in list_blocks(self.shape[0], BLOCK):
            yield place, self._read(place) if self._held is None else self._held[place]

    def measure_mean(self) -> np.float32:
        """Return the mean magnitude."""
        total = 0.0
        for _, block in self:
            magnitudes = block if self._clips else np.abs(block)
            total += float(magnitudes.mean()) * (len(block) / self.shape[0])
        return np.float32(total)

    def multiply(self, matrix: Floats) -> Floats:
        """Return cells @ matrix."""
        return np.concatenate([block @ matrix for _, block in self])

    def multiply_left(self, matrix: Floats) -> Floats:
        """Return matrixᵀ @ cells, for a matrix with a row a cell."""
        return np.asarray(sum(matrix[place].T @ block for place, block in self))

    def _read(self, place: slice) -> Floats:
        block = self._rows.read(place.start, place.stop)
        if self._clips:
            np.maximum(block, 0, out=block)
        if self.scale != 1:
            block /= self.scale
        return block


class _Products:
    """Products of cells with either factor on a device, which keeps the cells that are held."""

    def __init__(self, cells: _Cells, device: str) -> None:
        self._cells, self._device = cells, device
        self._kept: list[tuple[slice, torch.Tensor]] | None = None
        if cells.is_held:
            self._kept = list(self._list_blocks())

    def multiply_bank(self, bank: torch.Tensor) -> torch.Tensor:
        """Return bank · Aᵀ."""
        found = [bank @ block.T for _, block in self._kept or self._list_blocks()]
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)

    def multiply_coefficients(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return coefficients · A."""
        found: torch.Tensor | None = None
        for place, block in self._kept or self._list_blocks():
            product = coefficients[:, place] @ block
            found = product if found is None else found.add_(product)
        assert found is not None, "there is a block"
        return found

    def _list_blocks(self) -> Iterator[tuple[slice, torch.Tensor]]:
        return ((place, torch.from_numpy(block).to(self._device)) for place, block in self._cells)


def _decompose(cells: _Cells, n_concepts: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return a randomised SVD: (n_cells, n_vectors), (n_vectors,), (n_vectors, n_channels), in float32."""
    n_vectors = min(n_concepts + N_BEYOND, *cells.shape)
    if cells.shape[0] > BLOCK:
        return _decompose_blocks(cells, n_vectors, seed)
    from sklearn.utils.extmath import randomized_svd

    ((_, whole),) = cells
    left, values, right = randomized_svd(
        whole,
        n_components=n_vectors,
        n_oversamples=0,
        n_iter=N_POWER_ITERATIONS,
        power_iteration_normalizer="QR",
        random_state=seed,
    )
    return left.astype(np.float32), values.astype(np.float32), right.astype(np.float32)


def _decompose_blocks(cells: _Cells, n_vectors: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return the same of cells that are several blocks, step by step as scikit-learn does it (Halko et al., 2011)."""
    from scipy.linalg import qr, svd

    right: Floats = np.random.RandomState(seed).normal(size=(cells.shape[1], n_vectors)).astype(np.float32)
    for _ in range(N_POWER_ITERATIONS):
        left = qr(cells.multiply(right), mode="economic", overwrite_a=True)[0]
        right = qr(cells.multiply_left(left).T, mode="economic")[0]
    left = qr(cells.multiply(right), mode="economic", overwrite_a=True)[0]
    turned, values, right = svd(cells.multiply_left(left), full_matrices=False)
    left = left @ turned
    signs = np.sign(left[np.abs(left).argmax(axis=0), np.arange(n_vectors)])  # singular vectors have none of their own
    return (left * signs).astype(np.float32), values.astype(np.float32), (right * signs[:, None]).astype(np.float32)


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

"""What a leaf is before it is drawn: an outline and veins in leaf coordinates.

Leaf coordinates: the petiole joins the blade at (0, 0), the apex is at (0, 1), x runs to the right
of the midvein. The unit is L, the blade's length along the midvein; widths are in L as well.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Widths = NDArray[np.float64]
Trait = str | int | float | bool


@dataclass(frozen=True)
class Strokes:
    """Tapering lines of one order: points (n_strokes, n_points, 2), widths (n_strokes, n_points) in L."""

    points: Points
    widths: Widths

    def __post_init__(self) -> None:
        if self.points.shape[:2] != self.widths.shape:
            raise ValueError(
                f"a width for every point is wanted, came points {self.points.shape} and widths {self.widths.shape}"
            )

    def __len__(self) -> int:
        return len(self.points)


def no_strokes(n_points: int = 2) -> Strokes:
    """Return an order of veins that this leaf does not have."""
    return Strokes(np.zeros((0, n_points, 2)), np.zeros((0, n_points)))


def join_strokes(*groups: Strokes) -> Strokes:
    """Return strokes of the same number of points as one set."""
    return Strokes(
        np.concatenate([group.points for group in groups]), np.concatenate([group.widths for group in groups])
    )


@dataclass(frozen=True)
class LeafPlan:
    """One leaf: what is cut out, and the veins by order.

    outline: (n_points, 2), closed, without petiole. `petiole`: one stroke from its foot to (0, 0).
    `primaries`: the midvein first. `mesh`: the orders after the tertiaries, coarse to fine.
    """

    outline: Points
    petiole: Strokes
    primaries: Strokes
    secondaries: Strokes
    tertiaries: Strokes
    mesh: tuple[Strokes, ...]
    traits: dict[str, Trait] = field(default_factory=dict)

    def with_traits(self, **traits: Trait) -> "LeafPlan":
        """Return the plan with more of its traits named."""
        return replace(self, traits={**self.traits, **traits})

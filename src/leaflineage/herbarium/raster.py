"""From a plan on its place to coverages: how much of each pixel the blade and each order of veins take.

Shapes are filled on a canvas several times larger, as whole pixels, and averaged down: that is the
anti-aliasing, and it is the same on every machine.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, label

from leaflineage.herbarium.curves import bands
from leaflineage.herbarium.placement import Placement
from leaflineage.herbarium.plan import LeafPlan, Points, Strokes, join_strokes

Coverage = NDArray[np.float32]

MIDVEIN_LEAST = 0.01
"""The narrowest midvein of a zone map, in L."""


def canvas_factor(size: int) -> int:
    """Return how many times larger than the drawing the canvas is."""
    return 4 if size <= 320 else 3


FOOT_POINTS = 9
"""How many of the midvein's points count as its foot, some 0.13 L."""


class Canvas:
    """Draws in fractions of a sheet, returns coverages (size, size) in [0, 1].

    Pillow cuts corners to whole canvas pixels and fills both ends of a run: a shape is on average one
    canvas pixel wider than asked for, the same on every side.
    """

    def __init__(self, size: int, placement: Placement) -> None:
        self.size = size
        self.factor = canvas_factor(size)
        self.placement = placement
        self._side = size * self.factor
        self._image = Image.new("L", (self._side, self._side))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, outline: Points, value: int = 255) -> None:
        """Fill a closed outline (n_points, 2) given in leaf coordinates."""
        self.sheet_polygon(self.placement.to_sheet(outline), value)

    def sheet_polygon(self, outline: Points, value: int = 255) -> None:
        """Fill a closed outline (n_points, 2) given in fractions of the sheet."""
        self._draw.polygon(self._flat(outline), fill=value)

    def strokes(self, strokes: Strokes, least: float = 0.0) -> None:
        """Fill tapering strokes in leaf coordinates, none narrower than `least` pixels of the drawing."""
        if not len(strokes):
            return
        points = self.placement.to_sheet(strokes.points)
        widths = np.maximum(strokes.widths * self.placement.length, least / self.size)
        for band in bands(Strokes(points, widths)) * self._side:
            self._draw.polygon(band.ravel().tolist(), fill=255)

    def segments(self, strokes: Strokes, within: Coverage) -> None:
        """Draw straight two-point strokes, as thin as the canvas allows; those outside `within` are left out."""
        sheet = self.placement.to_sheet(strokes.points)
        points = sheet * self._side
        column, row = np.clip((sheet.mean(axis=1) * self.size).astype(int), 0, self.size - 1).T
        inside = ((points > 0) & (points < self._side)).all(axis=(1, 2)) & (within[row, column] > 0)
        width = 1
        if len(strokes):
            width = max(1, round(float(strokes.widths[0, 0]) * self.placement.length * self._side))
        for segment in points[inside].reshape(-1, 4).tolist():
            self._draw.line(segment, fill=255, width=width)

    def take(self) -> Coverage:
        """Return what was drawn, (size, size) in [0, 1], and start on an empty canvas."""
        small = np.asarray(self._image.reduce(self.factor), dtype=np.float32) / np.float32(255)
        self._image.paste(0, (0, 0, self._side, self._side))
        return small

    def _flat(self, outline: Points) -> list[float]:
        return list((outline * self._side).ravel().tolist())


@dataclass(frozen=True)
class Coverages:
    """What a leaf takes of each pixel, (size, size) in [0, 1] each; veins lie inside `leaf`.

    `blade` has its holes and tears cut out; `whole_blade` has not. The zone coverages are drawn at
    the widths the zones ask for.
    """

    blade: Coverage
    whole_blade: Coverage
    petiole: Coverage
    primary: Coverage
    secondary: Coverage
    tertiary: Coverage
    quaternary: Coverage
    areoles: Coverage
    midvein_zone: Coverage
    secondary_zone: Coverage

    @property
    def leaf(self) -> Coverage:
        """What blade and petiole take together."""
        return np.maximum(self.blade, self.petiole)


def cover(plan: LeafPlan, placement: Placement, size: int, damage: list[Points]) -> Coverages:
    """Return the coverages of a plan on its place; `damage` are outlines (n, 2) cut out of the blade."""
    canvas = Canvas(size, placement)
    # A wedge of a base is narrower than the midvein in it: there the midvein is the blade.
    foot = Strokes(plan.primaries.points[:1, :FOOT_POINTS], plan.primaries.widths[:1, :FOOT_POINTS])
    canvas.polygon(plan.outline)
    canvas.strokes(foot, least=1.3)
    whole = canvas.take()
    blade = whole
    if damage:
        canvas.polygon(plan.outline)
        canvas.strokes(foot, least=1.3)
        for hole in damage:
            canvas.polygon(hole, 0)
        blade = _largest_piece(canvas.take())
    # The petiole runs a little into the blade's insertion, or a gap would show between two soft edges.
    overlap = Strokes(
        np.concatenate([plan.petiole.points, [[[0.0, 0.012]]]], axis=1),
        np.concatenate([plan.petiole.widths, plan.petiole.widths[:, -1:]], axis=1),
    )
    canvas.strokes(overlap, least=1.3)
    petiole = canvas.take()
    canvas.strokes(plan.primaries, least=0.9)
    primary = canvas.take() * blade
    canvas.strokes(plan.secondaries, least=0.55)
    secondary = canvas.take() * blade
    canvas.strokes(plan.tertiaries)
    tertiary = canvas.take() * blade
    meshes = []
    for mesh in plan.mesh:
        canvas.segments(mesh, blade)
        meshes.append(canvas.take() * blade)
    empty = np.zeros_like(blade)
    quaternary, areoles = meshes if meshes else (empty, empty)
    wide = replace(plan.primaries, widths=np.maximum(plan.primaries.widths, MIDVEIN_LEAST))
    canvas.strokes(wide, least=1.25)
    midvein_zone = canvas.take()
    canvas.strokes(plan.secondaries, least=1.0)
    secondary_zone = canvas.take()
    return Coverages(
        blade, whole, petiole, primary, secondary, tertiary, quaternary, areoles, midvein_zone, secondary_zone
    )


def _largest_piece(blade: Coverage) -> Coverage:
    """Return the blade without what a tear has cut off: pieces fall, they do not float."""
    pieces, n_pieces = label(blade >= 0.5, np.ones((3, 3)))
    if n_pieces < 2:
        return blade
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = pieces == sizes.argmax()
    # A cut-off piece goes with its soft edge, what is left keeps its own.
    gone = binary_dilation((pieces > 0) & ~kept, iterations=2) & ~binary_dilation(kept)
    return np.where(gone, np.float32(0), blade)


def everything_drawn(plan: LeafPlan) -> Points:
    """Return all points (n, 2) that a placement must keep on the sheet."""
    foot = join_strokes(plan.petiole)
    return np.concatenate([plan.outline, bands(foot).reshape(-1, 2)])

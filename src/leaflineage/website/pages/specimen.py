"""What ``specimen.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.parts import Bar, Fact, Frame, Link, Overlay, Picture, Row


@dataclass(frozen=True)
class Explanation:
    """What speaks for one candidate family on a leaf and what against, and where."""

    family: Link
    anchor: str
    rows: tuple[Row, ...]
    zero: float
    overlays: tuple[tuple[Overlay, Link], ...]


@dataclass(frozen=True)
class SpecimenPage:
    """``specimen.html``: a picture without a family, which is only explained."""

    frame: Frame
    crumbs: tuple[Link, ...]
    title: str
    sentence: str
    picture: Picture
    tall: bool
    label: tuple[Fact, ...]
    predicted: tuple[tuple[Link | None, str, Bar, float], ...]
    explanations: tuple[Explanation, ...]
    heat_caption: str
    neighbours: tuple[tuple[Link | None, str, float, str], ...]
    caveats: tuple[str, ...]

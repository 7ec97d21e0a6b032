"""Crops and whole leaves, each leading to its specimen's page; and where on the leaf a concept is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leaflineage.website.pages.parts import Picture


@dataclass(frozen=True)
class CropView:
    """A crop, with the species and the coefficient under it."""

    picture: Picture
    page: str | None  # the address of the specimen's page
    name: str  # the species, shortened; the catalogue number where none is known
    latin: bool  # whether the name is a species
    number: str  # the catalogue number beside the species, empty where there is no room for it
    coefficient: float


@dataclass(frozen=True)
class LeafView:
    """A whole leaf under a map of a concept, with the crop's box in it, as ``CropView`` else."""

    picture: Picture
    heat: str  # the map's address
    box: tuple[float, float, float, float]  # x, y, width, height, as fractions of the leaf's picture
    tall: bool
    page: str | None
    name: str
    latin: bool
    number: str
    coefficient: float


@dataclass(frozen=True)
class ZoneBar:
    """How much of a concept lies in a zone of the leaf."""

    label: str
    share: float


@dataclass(frozen=True)
class Zones:
    """Where on the leaf a concept is: the drawing's shades by zone, in [0, 1], and bars of the strongest zones."""

    shades: Mapping[str, float]
    bars: tuple[ZoneBar, ...]
    alt: str
    note: str

"""Crops and whole leaves, each leading to its specimen's page; and where on the leaf a concept is."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.parts import Bar, Interval, Picture


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
    """A whole leaf under a map of a concept, with the crop's box in it, as ``CropView`` else.

    ``first`` is where the map stands on the page under its anchor; where it lies again, it is referred to.
    """

    picture: Picture
    heat: str  # the map's address
    anchor: str
    first: bool
    box: tuple[float, float, float, float]  # x, y, width, height, as fractions of the leaf's picture
    tall: bool
    page: str | None
    name: str
    latin: bool
    number: str
    coefficient: float


@dataclass(frozen=True)
class ZoneBar:
    """How much more of a concept lies in a zone of the leaf than an even spread would put there."""

    label: str
    bar: Bar
    reach: Interval | None
    times: str
    share: float


@dataclass(frozen=True)
class Zones:
    """Where on the leaf a concept is: a picture, and bars of the zones in which there is most of it for their area."""

    picture: Picture | None
    bars: tuple[ZoneBar, ...]
    even: float  # where an even spread stands on the axis of the bars
    note: str
    reasons: tuple[str, ...]  # for the suggested name

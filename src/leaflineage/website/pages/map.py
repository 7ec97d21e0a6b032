"""What ``map.html`` is given: the map as it stands without scripts, the list of all it shows, and what scripts say."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.parts import Frame


@dataclass(frozen=True)
class Dot:
    """A concept on the still map: where it stands, in the map's units, and where it leads."""

    x: int
    y: int
    label: str
    href: str
    hollow: bool


@dataclass(frozen=True)
class PlaceName:
    """A family's name on the still map, in the middle of its concepts."""

    x: int
    y: int
    text: str
    href: str


@dataclass(frozen=True)
class StillMap:
    """The map without scripts. Of many concepts the dots are two paths and lead nowhere; the list beside does."""

    view_box: str
    width: int
    height: int
    dots: tuple[Dot, ...]
    solid: str
    hollow: str
    names: tuple[PlaceName, ...]


@dataclass(frozen=True)
class ListedConcept:
    """A concept in the list beside the map."""

    text: str
    href: str
    unstable: bool


@dataclass(frozen=True)
class ListedFamily:
    """A family in the list beside the map; of very many concepts none is listed, and its own page does."""

    slug: str
    name: str
    href: str
    concepts: tuple[ListedConcept, ...]


@dataclass(frozen=True)
class MapPage:
    """``map.html``."""

    frame: Frame
    n_concepts: int
    n_families: int
    n_unstable: int
    has_both: bool
    still: StillMap
    families: tuple[ListedFamily, ...]
    said: str
    caveats: tuple[str, ...]

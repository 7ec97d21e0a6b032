"""The shortcut alarm: concepts that look past the leaf."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.parts import Link


@dataclass(frozen=True)
class AlarmedConcept:
    """A flagged concept, with what it is flagged for and the numbers."""

    link: Link
    flags: str
    numbers: str
    share: float  # of its family's importance


@dataclass(frozen=True)
class AlarmedFamily:
    """A family with flagged concepts, and what share of its importance they hold together."""

    link: Link
    share: float | None
    composition: str  # its species and its largest source
    concepts: tuple[AlarmedConcept, ...]


@dataclass(frozen=True)
class Alarm:
    """All that was flagged."""

    sentence: str
    off: str  # that the alarm by place is off, empty where it is on
    families: tuple[AlarmedFamily, ...]

"""What ``glossary.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.leaf_strokes import Stroke
from leaflineage.website.pages.parts import Frame


@dataclass(frozen=True)
class Term:
    """A word for a leaf: what it is called, in plain words, what it means, who may use it, and its drawing, if any."""

    anchor: str
    name: str
    plain: str  # empty where the word is plain itself
    gloss: str
    also: str
    who: str
    strokes: tuple[Stroke, ...]


@dataclass(frozen=True)
class TermGroup:
    """Words of one kind."""

    anchor: str
    heading: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class GlossaryPage:
    """``glossary.html``."""

    frame: Frame
    width: int  # of each drawing
    height: int
    groups: tuple[TermGroup, ...]

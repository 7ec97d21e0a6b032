"""What ``method.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.alarms import Alarm
from leaflineage.website.pages.charts import StripGroup, TrustRow
from leaflineage.website.pages.home import Paper
from leaflineage.website.pages.parts import Fact, Frame


@dataclass(frozen=True)
class Group:
    """Facts under one heading."""

    heading: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class MethodPage:
    """``method.html``."""

    frame: Frame
    sentences: tuple[str, ...]
    steps: tuple[Fact, ...]
    assumptions: tuple[Fact, ...]
    strips: tuple[StripGroup, ...]
    strips_alt: str
    strips_caption: str
    trust_rows: tuple[TrustRow, ...]
    alarm: Alarm | None
    classifier: tuple[Fact, ...]
    figures: tuple[Fact, ...]
    settings: tuple[Group, ...]
    versions: tuple[Fact, ...]
    caveats: tuple[str, ...]
    missing: tuple[Fact, ...]
    unlisted: tuple[Fact, ...]
    set_aside: tuple[Fact, ...]
    papers: tuple[Paper, ...]

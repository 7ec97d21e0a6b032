"""What ``404.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NotFoundPage:
    """``404.html``: works at any depth, so it carries its own style and links from the host's root, or not at all."""

    title: str
    atlas: str
    policy: str
    style: str
    home: str | None
    families: str | None
    drawn: bool

"""Plant a defect in a page of a baked site."""

from __future__ import annotations

from pathlib import Path


def plant(site: Path, page: str, old: str, new: str) -> None:
    """Replace a text of a page, once; the file is replaced, not written into: it may be a link."""
    path = site / page
    text = path.read_text()
    assert old in text
    path.unlink()
    path.write_text(text.replace(old, new, 1))

"""A picture as a folder or a table lists it, before its file is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TRAIN_WORDS = frozenset({"train", "training"})
HELD_OUT_WORDS = frozenset({"val", "valid", "validation", "test", "testing", "heldout"})

LEAVES_ROOT = "symbolic link out of the root ([specimens] follow_symlinks allows it)"


@dataclass(frozen=True)
class Listing:
    """What is known of a picture without opening it."""

    file: str  # POSIX, relative to the root; of a path that leaves the root, its last part
    path: Path | None  # what to open; None where there is a fault
    family: str | None = None
    genus: str | None = None
    species: str | None = None
    source: str | None = None
    catalogue_number: str | None = None
    split: str = ""  # the word found
    group: str | None = None
    licence: str | None = None
    credit: str | None = None
    px_per_mm: float | None = None
    fault: str | None = None


def normalize_split_word(word: str) -> str:
    """Return a word for a split in the form in which `TRAIN_WORDS` and `HELD_OUT_WORDS` hold it."""
    return word.strip().casefold().replace("-", "").replace("_", "").replace(" ", "")


def is_inside(path: Path, *, real_root: str) -> bool:
    """Tell whether a path, its links resolved, lies in the root."""
    real = os.path.realpath(path)
    return real == real_root or real.startswith(real_root.rstrip(os.sep) + os.sep)

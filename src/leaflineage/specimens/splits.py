"""Which specimens a classifier was trained on.

column   the catalogue's column, or the folders train/ and val/
md5:N    held out where the MD5 of the file's name, extension included, is a multiple of N
none     not known
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Literal

from leaflineage.errors import SpecimenError
from leaflineage.records import Specimen
from leaflineage.specimens.listing import HELD_OUT_WORDS, TRAIN_WORDS, Listing, normalize_split_word

Split = Literal["train", "held-out", "unknown"]


def make_split_rule(split: str) -> Callable[[Listing], Split]:
    """Return the rule that ``[specimens] split`` names.

    Raises
    ------
    SpecimenError
        If it names none.
    """
    if split == "column":
        return _read_split_word
    if split == "none":
        return lambda listing: "unknown"
    stated = re.fullmatch(r"md5:(\d{1,9})", split)
    if stated and int(stated.group(1)) >= 2:
        divisor = int(stated.group(1))
        return lambda listing: _split_by_name(listing, divisor=divisor)
    raise SpecimenError(
        f'A split of "column", "none" or "md5:N" with N of at least 2 was wanted, got "{split}". '
        "Change [specimens] split."
    )


def _read_split_word(listing: Listing) -> Split:
    word = normalize_split_word(listing.split)
    return "train" if word in TRAIN_WORDS else "held-out" if word in HELD_OUT_WORDS else "unknown"


def _split_by_name(listing: Listing, *, divisor: int) -> Split:
    if listing.family is None:  # a query was never trained on, whatever its name
        return "unknown"
    name = PurePosixPath(listing.file).name.encode()
    digest = hashlib.md5(name, usedforsecurity=False).hexdigest()
    return "held-out" if int(digest, 16) % divisor == 0 else "train"


def count_shared_leaves(specimens: Iterable[Specimen]) -> int:
    """Return how many held-out specimens are of a leaf (a group) that was also trained on."""
    specimens = list(specimens)
    trained = {each.group for each in specimens if each.split == "train"}
    return sum(each.split == "held-out" and each.group in trained for each in specimens)

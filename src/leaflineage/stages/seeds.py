"""Seeds of single pictures and estimates, each of which depends on no other."""

from __future__ import annotations

import hashlib


def derive_seed(run_seed: int, *parts: str | int) -> int:
    """Return the seed of one thing in a run, named from its family downwards."""
    text = "/".join(str(part) for part in (run_seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")

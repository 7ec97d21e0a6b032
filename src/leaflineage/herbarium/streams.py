"""Random numbers that depend on what is drawn, never on the process that draws it.

Each purpose (shape, colour, paper, ...) has a stream of its own, so that one more draw for the
colour moves no vein, and two twins that differ in one trait share everything else.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator


@dataclass(frozen=True)
class Streams:
    """Generators for one drawing, by purpose."""

    key: str

    def generator(self, purpose: str) -> Generator:
        """Return a fresh generator for one purpose: the same key and purpose, the same numbers."""
        digest = hashlib.sha256(f"{self.key}/{purpose}".encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def streams_for(subject: str, index: int, *, seed: int) -> Streams:
    """Return the streams of the drawing with this subject, index and seed."""
    return Streams(f"leaflineage.herbarium/{subject}/{index}/{seed}")

"""The exceptions LeafLineage raises on purpose, one tree.

Every message is a sentence in four parts: what was wanted, what came, where, what to do.
Anything else that escapes is a defect of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LeafLineageError(Exception):
    """Root of all errors a user can mend; the command line prints it and exits with 1."""


class ConfigError(LeafLineageError):
    """A config says something we cannot follow."""


class SpecimenError(LeafLineageError):
    """An image or a catalogue cannot be used."""


class ModelError(LeafLineageError):
    """The checkpoint, its families or its split do not fit."""


class ActivationError(LeafLineageError):
    """The activations cannot be factorised."""


class ArtifactError(LeafLineageError):
    """A run's file is missing, stale, damaged or of another schema."""


class SiteError(LeafLineageError):
    """The site would be wrong: dead link, missing image, undeclared name."""


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return " Did you mean X?" for the nearest of ``choices``, or an empty string where none is near."""
    nearest = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f" Did you mean {nearest[0]}?" if nearest else ""

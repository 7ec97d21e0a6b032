"""LeafLineage: an explorable atlas of the visual concepts a leaf classifier uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaflineage.atlas import Atlas

__version__ = "0.1.0"
__all__ = ["Atlas", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the atlas once it is wanted: the command line starts without it."""
    if name != "Atlas":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from leaflineage.atlas import Atlas

    return Atlas

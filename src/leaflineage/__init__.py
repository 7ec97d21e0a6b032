"""LeafLineage: an explorable atlas of the visual concepts a leaf classifier uses."""

__version__ = "0.1.0"

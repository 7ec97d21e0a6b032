"""The catalogue of specimens: which pictures there are, and what is known of each."""

from leaflineage.specimens.catalogue import scan_specimens
from leaflineage.specimens.taxonomy import load_taxonomy

__all__ = ["load_taxonomy", "scan_specimens"]

"""Mathematics of leaves: zones of a picture, where a concept sits, its suggested name, the shortcut alarm."""

from leaflineage.anatomy.alarm import PlaceAlarm, find_place_alarms, find_source_alarms, measure_source_auc
from leaflineage.anatomy.canonical import CanonicalMap, LeafAverage, fill_bins, find_canonical_leaf, shade_leaf
from leaflineage.anatomy.naming import SuggestedName, make_name, suggest_names
from leaflineage.anatomy.patterns import (
    CropPattern,
    Margin,
    PatternTest,
    contrast_patterns,
    hold_discovery_rate,
    measure_crop,
    summarize_teeth,
    trace_margin,
)
from leaflineage.anatomy.placing import Estimates, Lie, Placement, divide_cells, place_concepts
from leaflineage.anatomy.vocabulary import TERM_BY_ID, TERMS, Seen, Term, may_suggest
from leaflineage.anatomy.zones import LeafZones, find_zones

__all__ = [
    "CanonicalMap",
    "CropPattern",
    "Estimates",
    "LeafAverage",
    "LeafZones",
    "Lie",
    "Margin",
    "PatternTest",
    "PlaceAlarm",
    "Placement",
    "Seen",
    "SuggestedName",
    "TERMS",
    "TERM_BY_ID",
    "Term",
    "contrast_patterns",
    "divide_cells",
    "fill_bins",
    "find_canonical_leaf",
    "find_place_alarms",
    "find_source_alarms",
    "find_zones",
    "hold_discovery_rate",
    "make_name",
    "may_suggest",
    "measure_crop",
    "measure_source_auc",
    "place_concepts",
    "shade_leaf",
    "suggest_names",
    "summarize_teeth",
    "trace_margin",
]

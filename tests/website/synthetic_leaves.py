"""Where on the leaf the concepts of a made-up run are, and which of them look past it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from leaflineage.records import AtlasConcept, LeafPicture, ZoneShare

ZONES = ("blade", "base", "margin", "midvein", "petiole", "apex")
WIDTH, HEIGHT = 70, 144


def locate(folder: Path, concept: AtlasConcept, *, flagged: bool) -> dict[str, Any]:
    """Draw the leaf of a concept; return what its record says of its place."""
    slug, _, name = concept.id.partition("/")
    path = f"families/{slug}/leaves/{name}.webp"
    leaf = Image.new("RGBA", (WIDTH, HEIGHT))
    pen = ImageDraw.Draw(leaf)
    pen.ellipse((6, 2, WIDTH - 6, 112), fill=(42, 89, 54, 60 + 15 * concept.rank), outline=(27, 31, 26, 255), width=2)
    pen.line((WIDTH // 2, 112, WIDTH // 2, HEIGHT), fill=(27, 31, 26, 255), width=4)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    leaf.save(folder / path, "WEBP", lossless=True)
    own = ZONES[concept.rank % len(ZONES)]
    next_to = ZONES[(concept.rank + 1) % len(ZONES)]
    zones = [
        ZoneShare(zone="background", share=0.45, share_interval=(0.4, 0.5), enrichment=0.7, interval=(0.6, 0.8)),
        ZoneShare(zone=own, share=0.35, share_interval=(0.3, 0.4), enrichment=3.4, interval=(3.0, 3.9)),
        ZoneShare(zone=next_to, share=0.15, share_interval=(0.1, 0.2), enrichment=1.6, interval=(1.2, 2.1)),
        ZoneShare(zone="secondary veins", share=0.05, share_interval=(0.02, 0.08), enrichment=0.9, interval=(0.5, 1.3)),
    ]
    return {
        "zones": zones,
        "leaf": LeafPicture(image=path, width=WIDTH, height=HEIGHT),
        "off_leaf_share": 0.87 if flagged else 0.45,
        "foreign_share": 0.07 if flagged else 0.0,
        "border_share": 0.3,
        "source_auc": {"Swedish Leaf": 0.91 if flagged else 0.55},
        "told_source": "Swedish Leaf" if flagged else None,
        "flags": [*concept.flags, *(["background", "foreign", "source"] if flagged else [])],
    }

"""The words for a leaf's places and patterns: the glossary, and which of them a program may suggest.

Terms follow the Manual of Leaf Architecture (Ellis et al. 2009) and the CLAMP definitions; the glosses are ours. Two
kinds of words are kept apart: *where* on the leaf, and *what pattern* is there. A machine may say a word

    always          from the leaf's mask, outline and coefficient maps alone
    conditionally   where the stated condition holds, and always with a confidence
    never           only a person may

The third kind are the words for what is no leaf: the shortcut alarm and honest names need them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Machine = Literal["always", "conditionally", "never"]
Kind = Literal["where", "pattern", "not leaf"]

LEAST_LONG_SIDE = 512  # pixels: below, no tertiary, areole or tooth-apex word


@dataclass(frozen=True)
class Condition:
    """What a picture must offer before a word may be suggested; None and False ask for nothing.

    tooth_px: of a tooth, at least. n_teeth: in a crop, at least. long_side_px: of the picture, at least.
    leaf_px: of the leaf, at least. is_cleared: only cleared or x-rayed leaves. ridges, axis, tip: the veins, the axis,
    the tip must have been found for certain. has_scale: pixels a millimetre are known.
    """

    tooth_px: float | None = None
    n_teeth: int | None = None
    long_side_px: int | None = None
    leaf_px: int | None = None
    is_cleared: bool = False
    ridges: bool = False
    axis: bool = False
    tip: bool = False
    has_scale: bool = False
    in_words: str = ""


@dataclass(frozen=True)
class Term:
    """One word.

    id: kebab-case, stable. row: in the vocabulary's table, None for not-leaf words. word: the botanist's; plain:
    everybody's; synonyms: for search. gloss: one sentence of ours.
    """

    id: str
    row: int | None
    kind: Kind
    group: str
    word: str
    plain: str
    synonyms: tuple[str, ...]
    machine: Machine
    condition: Condition | None
    gloss: str


_A: Machine = "always"
_B: Machine = "conditionally"
_X: Machine = "never"
_RIDGES = Condition(ridges=True, in_words="the veins stand out for certain")
_AXIS = Condition(axis=True, in_words="the leaf's axis was found")
_CLEARED = Condition(is_cleared=True, in_words="a cleared or x-rayed leaf")
_TIP = Condition(axis=True, tip=True, in_words="the axis was found and the tip is whole")


def _teeth(pixels: float, *, at_tip: bool = False) -> Condition:
    long_side = LEAST_LONG_SIDE if at_tip else None
    more = f", in a picture of {LEAST_LONG_SIDE} pixels or more" if at_tip else ""
    return Condition(tooth_px=pixels, long_side_px=long_side, in_words=f"a tooth is {pixels:g} pixels or more{more}")


# id, row, group, word, plain, synonyms, machine, condition, gloss
_ROWS: tuple[tuple[str, int | None, str, str, str, str, Machine, Condition | None, str], ...] = (
    # --- where ---
    ("lamina", 1, "place", "lamina", "blade", "blade, leaf blade", _A, None,
     "The flat, expanded part of a leaf, without its stalk."),
    ("petiole", 2, "place", "petiole", "stalk", "leaf stalk, stem, leafstalk", _A, None,
     "The stalk that carries the blade."),
    ("petiole-insertion", 3, "place", "petiole insertion", "where stalk meets blade", "insertion", _A, None,
     "The spot at which the stalk joins the blade."),
    ("base", 4, "place", "base", "base", "leaf base, bottom", _A, None,
     "The quarter of the blade next to the stalk."),
    ("apex", 5, "place", "apex", "tip", "leaf tip, top, end", _A, None,
     "The quarter of the blade farthest from the stalk."),
    ("margin", 6, "place", "margin", "edge", "leaf edge, rim, outline", _A, None,
     "A band along the blade's outline, here 0.03 of its length wide."),
    ("untoothed-margin", 7, "place", "untoothed margin", "smooth stretch of edge", "entire margin", _A, None,
     "A stretch of the edge that has no teeth."),
    ("tooth-apex", 8, "place", "tooth apex", "point of a tooth", "tooth tip", _B, _teeth(8, at_tip=True),
     "The outermost point of a tooth."),
    ("sinus", 9, "place", "sinus", "notch between teeth or lobes", "notch, indentation", _B, _teeth(8),
     "The notch between two neighbouring teeth or lobes."),
    ("tooth-flank", 10, "place", "tooth flank", "side of a tooth", "tooth side", _B, _teeth(16),
     "One of the two sides of a tooth, from its point to a notch."),
    ("lobe", 11, "place", "lobe", "lobe", "projection", _B, _AXIS,
     "A part of the blade set off by notches that reach a quarter or more of the way to the midvein."),
    ("midvein", 12, "place", "midvein", "midrib", "midrib, main vein, central vein", _A, _AXIS,
     "The strongest vein in the middle of the blade, from the stalk to the tip."),
    ("major-secondary-veins", 13, "place", "major secondary veins", "side veins",
     "secondaries, lateral veins, side vein", _B, _RIDGES, "The strong veins that leave the midvein on both sides."),
    ("secondary-junction", 14, "place", "secondary–midvein junction", "where side veins leave the midrib",
     "vein axil, junction", _B, _RIDGES, "The corner in which a side vein branches off the midvein."),
    ("secondary-termination", 15, "place", "secondary termination", "where side veins end", "vein ending, loop", _B,
     _RIDGES, "The part near the edge in which side veins end or turn into loops."),
    ("intercostal-area", 16, "place", "intercostal area", "field between side veins", "between the veins", _B, _RIDGES,
     "The field of blade between two neighbouring side veins."),
    ("basal-veins", 17, "place", "basal veins", "veins from the base", "basal secondaries", _B, _RIDGES,
     "Veins that start together where the stalk meets the blade."),
    # --- margin ---
    ("untoothed", 18, "margin", "untoothed", "smooth-edged", "entire, smooth margin", _A, None,
     "Without teeth: the edge is one smooth line."),
    ("toothed", 19, "margin", "toothed", "toothed", "dentition, teeth, jagged", _A, None,
     "With teeth: small projections of the edge, each with a vein."),
    ("serrate", 20, "margin", "serrate", "saw-toothed", "saw-edged", _B, _teeth(8),
     "With teeth that lean towards the leaf's tip, like a saw's."),
    ("dentate", 21, "margin", "dentate", "with straight teeth", "straight teeth", _B, _teeth(8),
     "With teeth that point straight out from the edge."),
    ("crenate", 22, "margin", "crenate", "scalloped", "round-toothed", _B, _teeth(12),
     "With rounded teeth that have no point."),
    ("erose", 23, "margin", "erose", "as if chewed", "gnawed", _X, None,
     "With an irregular edge that looks chewed; damage looks the same."),
    ("sinuous", 23, "margin", "sinuous", "wavy", "repand, undulate", _X, None,
     "With an edge that swings gently in and out."),
    ("revolute", 24, "margin", "revolute", "edge rolled under", "rolled margin", _X, None,
     "With an edge that is rolled towards the lower side."),
    # --- teeth ---
    ("one-order-of-teeth", 25, "tooth", "one order of teeth", "teeth of one size", "simply serrate", _B, _teeth(8),
     "All teeth of an edge are of about one size."),
    ("two-orders-of-teeth", 25, "tooth", "two orders of teeth", "small teeth on big ones",
     "doubly serrate, compound teeth", _B, _teeth(8), "Larger teeth carry smaller ones."),
    ("regular-spacing", 26, "tooth", "regular tooth spacing", "evenly spaced teeth", "even teeth", _B,
     Condition(n_teeth=10, in_words="ten teeth or more"),
     "The narrowest gap between teeth is at least 60 per cent of the widest."),
    ("irregular-spacing", 26, "tooth", "irregular tooth spacing", "unevenly spaced teeth", "uneven teeth", _B,
     Condition(n_teeth=10, in_words="ten teeth or more"),
     "Some gaps between teeth are less than 60 per cent as wide as others."),
    ("close-teeth", 27, "tooth", "close teeth", "crowded teeth", "dense teeth", _B, _teeth(8),
     "Teeth stand close together for their size."),
    ("distant-teeth", 27, "tooth", "distant teeth", "teeth far apart", "sparse teeth", _B, _teeth(8),
     "Teeth stand far apart for their size."),
    ("sinus-rounded", 28, "tooth", "sinus rounded", "round notches", "rounded sinus", _B, _teeth(12),
     "The notches between teeth are round at the bottom."),
    ("sinus-angular", 28, "tooth", "sinus angular", "sharp notches", "angular sinus", _B, _teeth(12),
     "The notches between teeth run to a corner."),
    ("flank-convex", 29, "tooth", "flank convex", "bulging tooth sides", "convex flank", _X, None,
     "The side of a tooth bulges outwards."),
    ("flank-straight", 29, "tooth", "flank straight", "straight tooth sides", "straight flank", _X, None,
     "The side of a tooth is a straight line."),
    ("flank-concave", 29, "tooth", "flank concave", "hollow tooth sides", "concave flank", _X, None,
     "The side of a tooth bends inwards."),
    ("flank-flexuous", 29, "tooth", "flank flexuous", "S-shaped tooth sides", "flexuous flank", _X, None,
     "The side of a tooth is hollow near the point and bulges below it."),
    ("flank-retroflexed", 29, "tooth", "flank retroflexed", "tooth sides bent back", "retroflexed flank", _X, None,
     "The side of a tooth bulges near the point and is hollow below it."),
    ("vein-ends-at-tooth-apex", 30, "tooth", "principal vein ends at tooth apex", "vein runs to the tooth's point",
     "craspedodromous tooth", _X, None, "The main vein of a tooth ends in its point."),
    ("vein-ends-at-sinus", 30, "tooth", "principal vein ends at sinus", "vein runs to the notch", "", _X, None,
     "The main vein of a tooth ends in the notch beside it."),
    ("tooth-apex-simple", 31, "tooth", "tooth apex simple", "plain tooth point", "", _X, None,
     "Nothing sits on the point of the tooth."),
    ("tooth-apex-spherulate", 31, "tooth", "tooth apex spherulate", "tooth with a round gland", "gland-tipped", _X,
     None, "A round callus sits on the point of the tooth."),
    ("tooth-apex-papillate", 31, "tooth", "tooth apex papillate", "tooth with a nipple", "", _X, None,
     "A clear, nipple-shaped tip sits on the tooth."),
    ("tooth-apex-setaceous", 31, "tooth", "tooth apex setaceous", "tooth with a bristle", "bristle-tipped", _X, None,
     "A stiff bristle, not part of the blade, sits on the tooth."),
    ("tooth-apex-foraminate", 31, "tooth", "tooth apex foraminate", "tooth with a pore", "", _X, None,
     "The tip of the tooth opens in a pore."),
    ("tooth-apex-cassidate", 31, "tooth", "tooth apex cassidate", "tooth with an opaque cap", "", _X, None,
     "An opaque cap covers the point of the tooth."),
    ("tooth-apex-tylate", 31, "tooth", "tooth apex tylate", "tooth with a clear swelling", "", _X, None,
     "A clear swelling, at which the vein ends, fills the point of the tooth."),
    ("tooth-apex-spinose", 31, "tooth", "tooth apex spinose", "tooth with a spine", "prickly, spiny", _X, None,
     "The vein runs out of the tooth as a spine."),
    # --- apex ---
    ("apex-straight", 32, "apex", "apex straight", "straight-sided tip", "", _B, _TIP,
     "The edges run to the tip in straight lines."),
    ("apex-convex", 32, "apex", "apex convex", "bulging tip", "", _B, _TIP, "The edges bulge on their way to the tip."),
    ("apex-rounded", 32, "apex", "apex rounded", "round tip", "obtuse", _B, _TIP,
     "The edges pass over the tip in one round curve."),
    ("acuminate", 33, "apex", "acuminate", "drawn-out tip", "drip tip, long-pointed", _B, _TIP,
     "The tip is drawn out to a long, hollow-sided point."),
    ("emarginate", 34, "apex", "emarginate", "notched tip", "retuse", _B, _TIP,
     "The tip has a notch in the middle."),
    ("mucronate", 35, "apex", "mucronate", "tip with a small peg", "", _X, None,
     "The midvein runs out of the tip as a small peg."),
    # --- base ---
    ("base-straight", 36, "base", "base straight", "wedge-shaped base", "cuneate", _B, _AXIS,
     "The edges run to the stalk in straight lines."),
    ("base-concave", 36, "base", "base concave", "hollow-sided base", "", _B, _AXIS,
     "The edges are hollow on their way to the stalk."),
    ("base-convex", 36, "base", "base convex", "bulging base", "", _B, _AXIS,
     "The edges bulge on their way to the stalk."),
    ("base-rounded", 36, "base", "base rounded", "round base", "", _B, _AXIS,
     "The edges meet at the stalk in one round curve."),
    ("truncate", 36, "base", "base truncate", "cut-off base", "truncate", _B, _AXIS,
     "The base ends as if it were cut straight across."),
    ("cordate", 37, "base", "cordate", "heart-shaped base", "heart-shaped", _B, _AXIS,
     "The base reaches back on both sides of the stalk, which stands in a notch."),
    ("decurrent", 38, "base", "decurrent", "blade runs down the stalk", "", _X, None,
     "Strips of blade run down along the stalk."),
    ("base-asymmetrical", 39, "base", "base asymmetrical", "lopsided base", "oblique, unequal", _B, _AXIS,
     "One side of the base is lower or wider than the other."),
    ("peltate", 40, "base", "peltate", "stalk joins inside the blade", "shield-shaped", _X, None,
     "The stalk joins the blade's lower side, away from the edge."),
    # --- shape ---
    ("elliptic", 41, "shape", "elliptic", "widest in the middle", "oval", _A, _AXIS,
     "The blade is widest in the middle fifth of its length."),
    ("ovate", 41, "shape", "ovate", "egg-shaped", "widest near the base", _A, _AXIS,
     "The blade is widest in the two fifths next to the stalk."),
    ("obovate", 41, "shape", "obovate", "widest near the tip", "reversed egg-shaped", _A, _AXIS,
     "The blade is widest in the two fifths next to the tip."),
    ("oblong", 41, "shape", "oblong", "parallel-sided", "", _A, _AXIS,
     "The sides of the blade run parallel for a third of its length or more."),
    ("linear", 42, "shape", "linear", "very narrow", "needle-like, strap-shaped", _A, _AXIS,
     "The blade is at least ten times as long as wide."),
    ("length-to-width", 42, "shape", "length:width", "length for its width", "aspect ratio", _A, _AXIS,
     "How many times the blade is as long as wide."),
    ("unlobed", 43, "shape", "unlobed", "without lobes", "", _A, None,
     "No notch reaches a quarter of the way to the midvein."),
    ("pinnately-lobed", 43, "shape", "pinnately lobed", "lobed along the midrib", "oak-like", _B, _AXIS,
     "Lobes stand along both sides of the midvein."),
    ("palmately-lobed", 43, "shape", "palmately lobed", "lobed like a hand", "maple-like", _B, _AXIS,
     "Lobes spread from the top of the stalk like fingers."),
    ("simple", 44, "shape", "simple", "one blade", "", _X, None, "The leaf has a single blade."),
    ("compound", 44, "shape", "compound", "several blades", "pinnate leaf, palmate leaf", _X, None,
     "The leaf is divided into several blades of their own."),
    ("leaflet", 44, "shape", "leaflet", "one blade of several", "pinna", _X, None,
     "One of the blades of a compound leaf."),
    ("size-class", 45, "shape", "leptophyll … megaphyll", "size class",
     "leptophyll, nanophyll, microphyll, notophyll, mesophyll, macrophyll, megaphyll", _B,
     Condition(has_scale=True, in_words="pixels a millimetre are known"),
     "A class of the blade's area in square millimetres, from leptophyll to megaphyll."),
    # --- primary veins ---
    ("pinnate", 46, "primary", "pinnate", "one main vein", "feather-veined", _B, _RIDGES,
     "One main vein runs through the middle of the blade."),
    ("actinodromous", 47, "primary", "actinodromous", "main veins from one point", "palmate veins, hand-veined", _B,
     _RIDGES, "Three or more main veins spread from one point at or near the base."),
    ("palinactinodromous", 47, "primary", "palinactinodromous", "main veins branching in steps", "", _B, _RIDGES,
     "Main veins spread from the base and branch again farther out."),
    ("acrodromous", 48, "primary", "acrodromous", "main veins arching to the tip", "arching veins", _B, _RIDGES,
     "Two or more main veins arch from the base to the tip."),
    ("campylodromous", 49, "primary", "campylodromous", "main veins arched back", "", _X, None,
     "Main veins bend strongly backwards before they arch to the tip."),
    ("parallelodromous", 49, "primary", "parallelodromous", "parallel main veins", "parallel-veined", _X, None,
     "Many main veins run side by side from the base to the tip."),
    ("flabellate", 49, "primary", "flabellate", "veins like a fan", "fan-veined", _X, None,
     "Many equal, fine veins spread from the base like a fan."),
    # --- secondary veins ---
    ("craspedodromous", 50, "secondary", "craspedodromous", "side veins reach the edge", "", _B, _CLEARED,
     "The side veins end at the edge."),
    ("semicraspedodromous", 51, "secondary", "semicraspedodromous", "side veins fork before the edge", "", _X, None,
     "The side veins fork: one branch ends at the edge, the other joins the next vein."),
    ("eucamptodromous", 52, "secondary", "eucamptodromous", "side veins fade before the edge", "arcuate", _X, None,
     "The side veins curve upwards and fade before they reach the edge."),
    ("brochidodromous", 53, "secondary", "brochidodromous", "side veins join in loops", "looped, festooned", _B,
     _CLEARED, "The side veins join their neighbours in loops."),
    ("intramarginal-vein", 54, "secondary", "intramarginal secondary", "vein along the edge",
     "marginal secondary, fimbrial vein", _B, _CLEARED, "A vein runs along the edge, in it or just inside."),
    ("secondary-spacing", 55, "secondary", "secondary spacing", "how close side veins are", "vein spacing", _B, _RIDGES,
     "The distance between side veins along the midvein, a number."),
    ("secondary-angle", 55, "secondary", "secondary angle", "how steep side veins are", "vein angle", _B, _RIDGES,
     "The angle between side veins and the midvein, a number."),
    ("intersecondaries", 55, "secondary", "intersecondaries", "weaker veins between side veins", "", _B, _RIDGES,
     "Veins weaker than the side veins that leave the midvein between them."),
    # --- finer veins ---
    ("percurrent", 56, "tertiary", "percurrent tertiaries", "rungs between side veins",
     "opposite percurrent, alternate percurrent, chevron, ladder", _B,
     Condition(is_cleared=True, leaf_px=1000, long_side_px=LEAST_LONG_SIDE,
               in_words="a cleared or x-rayed leaf of 1,000 pixels or more"),
     "Fine veins cross from one side vein to the next like rungs: whole, broken or bent."),
    ("reticulate", 57, "tertiary", "reticulate tertiaries", "a net of veins", "net-veined", _X, None,
     "Fine veins join into a net, even or uneven."),
    ("ramified", 58, "tertiary", "ramified tertiaries", "branching fine veins", "", _X, None,
     "Fine veins branch towards the edge and do not join."),
    ("epimedial", 58, "tertiary", "epimedial tertiaries", "fine veins at the midrib", "", _X, None,
     "Fine veins that touch the midvein."),
    ("exterior-looped", 58, "tertiary", "exterior tertiaries looped", "loops outside the side veins", "", _X, None,
     "Fine veins form loops between the side veins' ends and the edge."),
    ("areoles", 59, "areolation", "areoles", "smallest meshes", "areolation, meshes", _X, None,
     "The smallest fields of blade that veins enclose; their order is good, moderate, poor or paxillate."),
    ("freely-ending-veinlets", 59, "areolation", "freely ending veinlets", "veins that end in a mesh", "FEV", _X, None,
     "Finest veins that end inside a mesh."),
    # --- petiole and surface ---
    ("pulvinate", 60, "petiole", "pulvinate", "swollen stalk", "pulvinus", _X, None,
     "The stalk is swollen at one of its ends."),
    ("winged-petiole", 60, "petiole", "winged petiole", "stalk with wings", "alate", _X, None,
     "Strips of blade run along the stalk."),
    ("petiolar-glands", 60, "petiole", "petiolar glands", "glands on the stalk", "acropetiolar glands", _X, None,
     "Glands sit at the top of the stalk."),
    ("surface-smooth", 61, "surface", "smooth", "smooth surface", "glabrous", _X, None,
     "The surface has no relief or hairs."),
    ("pubescent", 61, "surface", "pubescent", "hairy", "hairs, trichomes", _X, None, "The surface carries hairs."),
    ("rugose", 61, "surface", "rugose", "wrinkled", "", _X, None, "The surface is wrinkled, the veins sunk in it."),
    ("surface-papillate", 61, "surface", "papillate", "with tiny bumps", "", _X, None,
     "The surface carries tiny bumps."),
    ("pitted", 61, "surface", "pitted", "with tiny pits", "", _X, None, "The surface has tiny pits."),
    ("surface-glands", 61, "surface", "surface glands", "glands on the surface", "gland dots", _X, None,
     "Glands lie on or in the surface."),
    ("chartaceous", 61, "surface", "chartaceous", "papery", "", _X, None, "The blade is thin and stiff like paper."),
    ("coriaceous", 61, "surface", "coriaceous", "leathery", "", _X, None, "The blade is thick and tough like leather."),
    # --- what is no leaf ---
    ("background", None, "not leaf", "background", "background", "paper, sheet, empty", _A, None,
     "The paper, glass or table that the leaf lies on."),
    ("foreign-object", None, "not leaf", "foreign object", "something beside the leaf", "object", _A, None,
     "A thing beside the leaf that is no leaf, such as a ruler or a label."),
    ("padding", None, "not leaf", "padding", "added seam", "frame", _A, None,
     "The seam that makes a picture square before the network sees it."),
    ("image-border", None, "not leaf", "image border", "border of the picture", "edge of the picture", _A, None,
     "The outermost part of the picture."),
    ("ruler", None, "not leaf", "ruler", "ruler", "scale bar", _X, None, "A scale laid beside the leaf."),
    ("colour-chart", None, "not leaf", "colour chart", "colour chart", "color target", _X, None,
     "A card of known colours laid beside the leaf."),
    ("label", None, "not leaf", "label", "label or writing", "writing, text, barcode", _X, None,
     "A label, or writing on the sheet."),
    ("tape", None, "not leaf", "tape or thread", "tape or thread", "strap", _X, None,
     "Tape or thread that holds the leaf."),
    ("slide-edge", None, "not leaf", "slide edge", "edge of the slide", "glass edge", _X, None,
     "The edge of the glass a cleared leaf is mounted between."),
    ("bubble", None, "not leaf", "bubble or stain", "bubble or stain", "stain", _X, None,
     "An air bubble or a stain in the mount."),
    ("shadow", None, "not leaf", "shadow", "shadow", "cast shadow", _X, None, "The shadow a leaf casts."),
    ("paper-grain", None, "not leaf", "paper grain", "grain of the paper", "texture of the sheet", _X, None,
     "The texture of the sheet."),
    ("rock-matrix", None, "not leaf", "rock matrix", "rock around a fossil", "matrix", _X, None,
     "The rock in which a fossil leaf lies."),
    ("tear", None, "not leaf", "tear or hole", "tear or hole", "herbivory, insect damage", _X, None,
     "A part of the leaf that is missing: torn, or eaten."),
    ("fold", None, "not leaf", "fold", "fold", "crease", _X, None, "A part of the leaf folded over another."),
    ("mould", None, "not leaf", "mould", "mould", "mold, fungus", _X, None, "Fungus on the leaf or the sheet."),
    ("whole-image-tone", None, "not leaf", "whole-image tone", "tone of the whole picture",
     "grey, sepia, blur, JPEG, scanner", _B, Condition(in_words="the source alarm found it"),
     "The greyness, colour cast, blur or compression of the whole picture."),
)  # fmt: skip


def _make_terms() -> Iterator[Term]:
    for id_, row, group, word, plain, synonyms, machine, condition, gloss in _ROWS:
        kind: Kind = "not leaf" if row is None else "where" if row <= 17 else "pattern"
        listed = tuple(each.strip() for each in synonyms.split(",") if each.strip())
        yield Term(id_, row, kind, group, word, plain, listed, machine, condition, gloss)


TERMS: tuple[Term, ...] = tuple(_make_terms())
TERM_BY_ID: dict[str, Term] = {term.id: term for term in TERMS}


@dataclass(frozen=True)
class Seen:
    """What the pictures of a concept offer; None and False where it is not known.

    long_side_px: of the pictures, median. leaf_px: L, median. tooth_px, n_teeth: of the top crops, median.
    """

    long_side_px: float
    leaf_px: float
    tooth_px: float | None
    n_teeth: float | None
    is_cleared: bool
    ridges: bool
    axis: bool
    tip: bool
    has_scale: bool


def may_suggest(term: Term, seen: Seen) -> bool:
    """Tell whether a program may suggest a word for a concept seen on such pictures."""
    if term.machine == "never":
        return False
    wanted = term.condition
    if wanted is None:
        return True
    return all((
        wanted.tooth_px is None or (seen.tooth_px is not None and seen.tooth_px >= wanted.tooth_px),
        wanted.n_teeth is None or (seen.n_teeth is not None and seen.n_teeth >= wanted.n_teeth),
        wanted.long_side_px is None or seen.long_side_px >= wanted.long_side_px,
        wanted.leaf_px is None or seen.leaf_px >= wanted.leaf_px,
        seen.is_cleared or not wanted.is_cleared,
        seen.ridges or not wanted.ridges,
        seen.axis or not wanted.axis,
        seen.tip or not wanted.tip,
        seen.has_scale or not wanted.has_scale,
    ))  # fmt: skip

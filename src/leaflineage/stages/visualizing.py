"""What `visualize` and `recurse` share: the family's spectrum, and drawing pictures one by one, each stored when done.

A picture lies beside smaller copies and a record of its own, ``concept-03.json``, written last. That record's
fingerprint is over all the picture depends on and nothing else: its row of a bank, spectrum and colours, seed, earlier
views, settings, classifier, layer and code. So a build that was ended in the middle of a family keeps what was drawn,
and a change of one row draws one picture again. Licence, credit and source are no part of it: where they change, the
picture is labelled anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from leaflineage.featviz.maco import FeatureVisualization, visualize_concepts
from leaflineage.featviz.precision import can_reduce, is_enough, reduce_precision
from leaflineage.featviz.spectrum import Palette, estimate_spectrum
from leaflineage.images import encode_webp, fit_image, label_webp, round_opacity, shrink_webp
from leaflineage.records import name_smaller
from leaflineage.stages.context import Context
from leaflineage.stages.reading import read_specimens
from leaflineage.stages.seeds import derive_seed
from leaflineage.store import hash_json

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.floating]
Features = Callable[["Tensor"], "Tensor"]
MAX_BATCH_PIXELS = 64 * 224 * 224  # of the crops that meet the network at once, on anything but a CPU: bounds memory
MAX_SPECIMENS = 2000  # that a spectrum is taken from
LEAST_SIDE = 32  # px; smaller pictures are enlarged: a spectrum's slope is not to be had from them
LEAST_PATIENCE = 16  # steps
N_TRIED = 2  # pictures, in both precisions
N_STARTS = 3  # seeds tried, where a picture stays where it began,
ENOUGH_STEPS = 32  # though it had as many steps
LEAST_COSINE = 0.25  # of a picture's pooled activations with its direction; what is drawn well reaches 0.4 to 0.8
QUALITY = 78
SMALLER_QUALITY = 75
SMALLER_WIDTHS = (96, 192)  # px, of a picture's smaller copies, beside one half as wide
Written = tuple[dict[str, Any], dict[str, str]]  # what the atlas says of a picture, and the sha256 of each of its files
# Whose change draws every picture again.
DRAWN_BY = ("featviz", "model", "images.py", "stages/reading.py", "stages/seeds.py", "stages/visualizing.py")
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Sitter:
    """What a picture is to be made of.

    Attributes
    ----------
    path
        Of the picture, relative to the run.
    direction
        (n_channels,): its row of a bank.
    seed
    kind
        As the atlas says it.
    repelled_from
        (n_previous, n_channels): pooled activations of earlier views, from which this one is to differ.
    """

    path: str
    direction: Floats
    seed: int
    kind: Literal["concept", "family"] = "concept"
    repelled_from: Floats | None = None


@dataclass(frozen=True)
class Canvas:
    """What all pictures of a family share: magnitude spectrum and palette, with a hash of both."""

    spectrum: Floats  # (3, size, size // 2 + 1)
    palette: Palette
    sha256: str


@dataclass
class Precision:
    """Whether a family is drawn in reduced precision: decided by its first pictures; None before."""

    reduced: bool | None = None


@dataclass(frozen=True)
class Drawer:
    """What pictures are drawn with.

    Attributes
    ----------
    features
        (n, 3, height, width) in [0, 1] → (n, rows, columns, n_channels), differentiable.
    layer
        Where the features end.
    cosine_power
        Of the objective.
    device
    precision
        Shared by those that end at different places of one network.
    """

    features: Features
    layer: str
    cosine_power: float
    device: str
    precision: Precision

    def choose_features(self, context: Context, sitters: Sequence[Sitter], canvas: Canvas) -> Features:
        """Return the features to draw with: reduced where a few steps of the first pictures reach as much by it."""
        if not can_reduce(self.device):
            return self.features
        reduced = reduce_precision(self.features, self.device)
        if self.precision.reduced is None:
            self.precision.reduced = is_enough(
                self.features,
                reduced,
                np.stack([each.direction for each in sitters[:N_TRIED]]),
                canvas.spectrum,
                canvas.palette,
                input_size=context.model.preprocessing.input_size,
                n_crops=context.config.visualize.crops,
                seeds=[each.seed for each in sitters[:N_TRIED]],
                cosine_power=self.cosine_power,
                device=self.device,
            )
        return reduced if self.precision.reduced else self.features


def prepare_canvas(context: Context) -> Canvas:
    """Return magnitude spectrum and palette of the family's specimens, or of all."""
    config = context.config
    specimens = context.specimens if config.visualize.spectrum == "family" else context.list_used()
    chosen = specimens[:: -(-len(specimens) // MAX_SPECIMENS)]
    sides = sorted(max(each.width or config.visualize.size, each.height or config.visualize.size) for each in chosen)
    side = min(config.visualize.size, max(sides[len(sides) // 2], LEAST_SIDE))
    # As the classifier sees them, padding and all, but in the pictures' resolution.
    square = context.model.preprocessing.model_copy(update={"input_size": (side, side)})

    def read() -> Iterator[NDArray[np.uint8]]:
        for _, image, _, _ in read_specimens(context, chosen, {}):
            yield fit_image(image, preprocessing=square)[0]

    spectrum, palette = estimate_spectrum(read, size=config.visualize.size)
    digest = hashlib.sha256()
    for array in (spectrum, palette.mean, palette.mixing, palette.reach):
        digest.update(np.ascontiguousarray(array, dtype=np.float32).tobytes())
    return Canvas(spectrum, palette, digest.hexdigest())


def write_visualizations(
    context: Context, drawer: Drawer, sitters: Sequence[Sitter], canvas: Canvas, *, steps: int
) -> list[Written]:
    """Draw what is not drawn yet, colours in RGB, opacity in alpha; return what the atlas says of each, and its files.

    Each picture takes ``steps`` steps at most.
    """
    settings = context.config.visualize
    fingerprints = [_fingerprint(context, sitter, canvas, steps, drawer) for sitter in sitters]
    label = label_computed(context)
    written = [
        _label_again(context, each.path, found, label) for each, found in zip(sitters, fingerprints, strict=True)
    ]
    # By all the pictures, whatever is left to draw: on a GPU the batch decides how sums are rounded.
    n_slots = choose_slots(context, drawer.device, len(sitters))
    features = drawer.choose_features(context, sitters, canvas) if None in written else drawer.features
    n_starts = N_STARTS if steps >= ENOUGH_STEPS else 1
    for start in range(n_starts):
        waiting = [index for index, found in enumerate(written) if found is None]
        if not waiting:
            break
        seeds = [derive_seed(sitters[index].seed, start) if start else sitters[index].seed for index in waiting]

        def store(
            number: int, picture: FeatureVisualization, *, last: bool, waiting: list[int], seeds: list[int]
        ) -> None:
            index = waiting[number]
            if not last and not took_off(picture, sitters[index].direction):
                return
            alpha = round_opacity(picture.opacity)
            # Colours are kept where a picture is transparent too: its score is taken from the file.
            content = encode_webp(np.dstack([picture.image, alpha]), quality=QUALITY, exact=True)
            facts = {
                "kind": sitters[index].kind,
                "seed": seeds[number],
                "steps": picture.n_steps,
                "objective": float(picture.objectives[-max(1, picture.n_steps // 10) :].mean()),
            }
            content = label_webp(content, **label)
            written[index] = write_picture(
                context, sitters[index].path, content, facts, fingerprint=fingerprints[index]
            )

        visualize_concepts(
            features,
            np.stack([sitters[index].direction for index in waiting]),
            canvas.spectrum,
            canvas.palette,
            input_size=context.model.preprocessing.input_size,
            steps=steps,
            n_crops=settings.crops,
            n_slots=n_slots,
            patience=max(LEAST_PATIENCE, steps // 4),
            seeds=seeds,
            repelled_from=[sitters[index].repelled_from for index in waiting],
            cosine_power=drawer.cosine_power,
            device=drawer.device,
            on_finished=partial(store, last=start == n_starts - 1, waiting=waiting, seeds=seeds),
        )
    return [found for found in written if found is not None]


def took_off(picture: FeatureVisualization, direction: Floats) -> bool:
    """Tell whether a picture came to show anything of its concept: some phases start where no gradient leads out."""
    norms = float(np.linalg.norm(picture.pooled)) * float(np.linalg.norm(direction))
    return norms > 0 and float(picture.pooled @ direction) / norms >= LEAST_COSINE


def choose_slots(context: Context, device: str, n: int) -> int:
    """Return how many of ``n`` pictures are in the making at once.

    One on a CPU: the crops of one keep it as busy as those of several, and what is done is stored sooner. Elsewhere as
    many as meet the network at once, in rounds of equal numbers: a slot that rests costs what a busy one does.
    """
    if device == "cpu":
        return 1
    height, width = context.model.preprocessing.input_size
    most = max(2, MAX_BATCH_PIXELS // (height * width * context.config.visualize.crops))
    n_rounds = max(1, -(-n // most))
    return max(1, -(-n // n_rounds))


def write_picture(
    context: Context,
    path: str,
    content: bytes,
    facts: dict[str, Any],
    *,
    fingerprint: str,
) -> Written:
    """Write a picture, its smaller copies and its own record, last; return what the atlas says of it, and its files."""
    size = context.config.visualize.size
    widths = [each for each in sorted({*SMALLER_WIDTHS, size // 2}) if 0 < each < size]
    files = {path: context.store.write_bytes(path, content)}
    for width in widths:
        name = name_smaller(path, width)
        files[name] = context.store.write_bytes(name, shrink_webp(content, width=width, quality=SMALLER_QUALITY))
    payload = {"visualization": {**facts, "image": path, "width": size, "height": size, "smaller": widths}}
    context.store.commit(name_record(path), "visualization", payload, fingerprint=fingerprint, files=files)
    return payload["visualization"], files


def read_picture(context: Context, path: str, fingerprint: str) -> Written | None:
    """Return what the atlas says of a picture and its files, None where it is to be drawn."""
    if context.store.find_staleness(name_record(path), "visualization", fingerprint) is not None:
        return None
    record = context.store.read_json(name_record(path), "visualization")
    return record["visualization"], record["files"]


def _label_again(context: Context, path: str, fingerprint: str, label: dict[str, str | None]) -> Written | None:
    """Return what the atlas says of a picture and its files, labelled anew where the label changed; None as above."""
    found = read_picture(context, path, fingerprint)
    if found is None:
        return None
    content = context.store.path(path).read_bytes()
    labelled = label_webp(content, **label)
    return found if labelled == content else write_picture(context, path, labelled, found[0], fingerprint=fingerprint)


def label_computed(context: Context) -> dict[str, str | None]:
    """Return licence, credit and source of a picture that is computed from a family's specimens."""
    sources = ", ".join(sorted({each.source for each in context.specimens if each.source and not each.withheld}))
    origin = f"computed by LeafLineage from leaves of {context.family.name}"
    return {
        "licence": context.config.atlas.licences.images,
        "credit": "computed by LeafLineage",
        "source": f"{origin} ({sources})" if sources else origin,
    }


def name_record(path: str) -> str:
    """Return the path of a picture's own record."""
    return str(PurePosixPath(path).with_suffix(".json"))


def describe_drawing(context: Context) -> dict[str, Any]:
    """Return what every picture of a run depends on, beside what it is made of."""
    model, settings = context.model, context.config.visualize
    return {
        "classifier": [model.sha256, model.architecture, model.preprocessing.model_dump(mode="json")],
        "settings": [settings.size, settings.crops],
        "code": hash_drawing_code(),
    }


@cache
def hash_drawing_code() -> str:
    """Return the sha256 of the sources that pictures depend on."""
    digest = hashlib.sha256()
    for path in list_drawing_sources():
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def list_drawing_sources() -> list[Path]:
    """Return the files of ``DRAWN_BY``, sorted."""
    found = [PACKAGE / name for name in DRAWN_BY]
    return sorted(path for each in found for path in (each.rglob("*.py") if each.is_dir() else [each]))


def hash_array(array: NDArray[Any]) -> str:
    """Return the sha256 of an array's shape and bytes."""
    plain = np.ascontiguousarray(array)
    return hashlib.sha256(f"{plain.dtype} {plain.shape}".encode() + plain.tobytes()).hexdigest()


def _fingerprint(context: Context, sitter: Sitter, canvas: Canvas, steps: int, drawer: Drawer) -> str:
    """Return the fingerprint of one picture."""
    return hash_json(
        {
            **describe_drawing(context),
            "canvas": canvas.sha256,
            "cosine_power": drawer.cosine_power,
            "direction": hash_array(sitter.direction),
            "kind": sitter.kind,
            "layer": drawer.layer,
            "repelled_from": None if sitter.repelled_from is None else hash_array(sitter.repelled_from),
            "seed": sitter.seed,
            "steps": steps,
        }
    )

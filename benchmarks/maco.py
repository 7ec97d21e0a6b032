"""What drawing concepts costs beside the classifier's own work, and beside Horama 0.3.0, in one run.

    OMP_NUM_THREADS=1 python benchmarks/maco.py step [--size 384 --size 512] [--architecture regnetx_002]
    OMP_NUM_THREADS=1 python benchmarks/maco.py objective [--network drawn] [--peer-steps 256]
    python benchmarks/maco.py concept --device cuda [--architecture resnet50]

*step*: CPU seconds of a step of one picture, forward and backward and all, over those of the network's own forward and
backward pass on as many crops, in turn, one thread. *objective*: seconds a concept until the objective that Horama
reaches, on squares as it cuts them and on squares as we do. *concept*: wall seconds a concept on a device. Networks
have random weights (timm's; folded batch norms, channels last); ``--network drawn`` is the drawn leaves' classifier.

Horama downloads its magnitude spectrum into the working directory; here it finds ours there instead, in the same
format. It gets the same network, direction and number of crops, its own objective, and its own box sizes.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import horama.maco_fv
import numpy as np
import timm
import torch
from horama.losses import dot_cossim
from numpy.typing import NDArray
from torch import Tensor

import leaflineage
from leaflineage.featviz import chance
from leaflineage.featviz.chance import find_sides
from leaflineage.featviz.maco import FeatureVisualization, visualize_concepts
from leaflineage.featviz.objective import COSINE_POWER, pool, score_crops
from leaflineage.featviz.resampling import Place, cut_crop
from leaflineage.featviz.spectrum import Palette, compute_frequencies
from leaflineage.model.folding import fold_batch_norms

SHIPPED = Path(leaflineage.__file__).parent / "herbarium" / "classifier"
PALETTE = Palette(np.array([0.55, 0.6, 0.45]), np.diag([0.03, 0.05, 0.2]), reach=np.array([[-2.3, -2.0], [2.6, 3.0]]))
PEER_SIDES = (0.25, 0.30)  # of a picture: the squares that Horama cuts, though (0.20, 0.25) is what it is asked for
SCORED_DEVIATION = 0.15  # of the scored squares' centres, of a picture's side: Horama's; ours is 0.11
N_SCORED = 64
OUR_STEPS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128)

Features = Callable[[Tensor], Tensor]
Floats = NDArray[np.floating]


@click.group()
def main() -> None:
    """Figures of MACO."""
    horama.maco_fv.tqdm = lambda steps: steps  # its progress bar is none of its work


@main.command()
@click.option("--architecture", "architectures", multiple=True, default=["regnetx_002", "resnet50"])
@click.option("--size", "sizes", multiple=True, default=[384, 512], type=int, help="Side of a picture, pixels.")
@click.option("--peer-size", default=1280, help="Horama's own default, quoted beside; 0 leaves it out.")
@click.option("--crops", default=6, help="Crops a step.")
@click.option("--steps", default=24, help="Steps a round.")
@click.option("--rounds", default=5, help="Rounds; each times all of them in turn.")
def step(
    architectures: tuple[str, ...], sizes: tuple[int, ...], peer_size: int, crops: int, steps: int, rounds: int
) -> None:
    """Print a step's CPU seconds over the network's own."""
    torch.set_num_threads(1)
    for architecture in architectures:
        features = open_network(architecture, "cpu")
        images = torch.rand(crops, 3, 224, 224).contiguous(memory_format=torch.channels_last).requires_grad_()
        direction = choose_direction(features, 224, "cpu")

        def run_network(features: Features = features, images: Tensor = images) -> None:
            for _ in range(steps):
                torch.autograd.grad(pool(features(images)).sum(), images)

        works: dict[str, Callable[[], object]] = {"network": run_network}
        for size in sizes:
            works[f"ours {size} px"] = lambda f=features, d=direction, s=size: draw_ours(f, d, s, 224, steps, crops)
            works[f"Horama {size} px"] = lambda f=features, d=direction, s=size: draw_peer(f, d, s, 224, steps, crops)
        if peer_size:
            works[f"Horama {peer_size} px"] = lambda f=features, d=direction: draw_peer(
                f, d, peer_size, 224, steps, crops
            )
        for work in works.values():
            work()
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                seconds[name].append(measure(work, time.process_time) / steps)
        own = seconds.pop("network")
        click.echo(f"{architecture}, 224 px, {crops} crops: network {statistics.median(own) * 1e3:.0f} ms a step")
        for name, found in seconds.items():
            ratios = [each / mine for each, mine in zip(found, own, strict=True)]
            click.echo(
                f"  {name}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
                f"{statistics.median(found) * 1e3:.0f} ms a step"
            )


@main.command()
@click.option("--network", default="drawn", help='"drawn", or an architecture of timm with random weights.')
@click.option("--size", default=384, help="Side of a picture, pixels.")
@click.option("--crops", default=6, help="Crops a step.")
@click.option("--peer-steps", default=256, help="Steps that Horama takes; its default is 1000.")
@click.option("--concepts", default=3, help="How many directions.")
def objective(network: str, size: int, crops: int, peer_steps: int, concepts: int) -> None:
    """Print the seconds a concept until the objective that Horama reaches, on its own squares and on ours.

    Every picture is scored on squares as Horama cuts them and on squares as we do. Horama draws at its own sizes; ours
    are drawn at our own, and once more at Horama's, so that sizes and speed can be told apart.
    """
    torch.set_num_threads(1)
    features, side, directions = open_scene(network, concepts)
    ours = find_sides(size, side)
    for number, direction in enumerate(directions):

        def score(picture: Floats, direction: Floats = direction) -> dict[str, float]:
            return {
                "Horama's": score_picture(features, direction, picture, side, sides=PEER_SIDES),
                "our": score_picture(features, direction, picture, side, sides=ours),
            }

        began = time.process_time()
        peer = draw_peer(features, direction, size, side, peer_steps, crops)
        peer_seconds = time.process_time() - began
        wanted = score(peer)
        click.echo(f"{network}, concept {number}: Horama, {peer_steps} steps, {peer_seconds:.1f} s: {tell(wanted)}")
        for name, sides in (("ours at our sizes", ours), ("ours at Horama's sizes", PEER_SIDES)):
            left = dict(wanted)
            for steps in OUR_STEPS:
                began = time.process_time()
                with cutting(sides):
                    picture = draw_ours(features, direction, size, side, steps, crops)
                seconds = time.process_time() - began
                reached = score(picture.image.transpose(2, 0, 1) / 255)
                for squares in [each for each in left if reached[each] >= left[each]]:
                    del left[squares]
                    click.echo(
                        f"  {name}: as much on {squares} squares after {steps} steps, {seconds:.1f} s, "
                        f"{peer_seconds / seconds:.1f} times less ({tell(reached)})"
                    )
                if not left:
                    break
            for squares in left:
                click.echo(f"  {name}: not as much on {squares} squares after {steps} steps ({tell(reached)})")


def tell(scores: dict[str, float]) -> str:
    """Return objectives on both kinds of squares."""
    return ", ".join(f"{reached:.3f} on {squares} squares" for squares, reached in scores.items())


@main.command()
@click.option("--architecture", default="resnet50")
@click.option("--device", default="cuda")
@click.option("--size", default=512, help="Side of a picture, pixels.")
@click.option("--crops", default=6, help="Crops a step.")
@click.option("--steps", default=512, help="Steps a concept.")
@click.option("--slots", default=10, help="Pictures at once, ours.")
@click.option("--bf16", is_flag=True, help="The network in bfloat16, for everybody.")
def concept(architecture: str, device: str, size: int, crops: int, steps: int, slots: int, bf16: bool) -> None:
    """Print the wall seconds a concept on a device."""
    plain = open_network(architecture, device)

    def features(images: Tensor) -> Tensor:
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=bf16, cache_enabled=False):
            return plain(images).float()

    direction = choose_direction(features, 224, device)

    def draw(n_steps: int, n_slots: int) -> Floats:
        found = draw_ours(features, direction, size, 224, n_steps, crops, n_slots=n_slots, device=device)
        return found.image.transpose(2, 0, 1) / 255

    def draw_beside(n_steps: int) -> Floats:
        return draw_peer(features, direction, size, 224, n_steps, crops, device=device)

    def answer(images: Tensor) -> Tensor:
        return features(images.to(device)).cpu()

    works: dict[str, tuple[Callable[[int], Floats], int]] = {
        f"ours, {slots} at once": (lambda n_steps: draw(n_steps, slots), slots),
        "ours, one": (lambda n_steps: draw(n_steps, 1), 1),
        "Horama": (draw_beside, 1),
    }
    for name, (work, n) in works.items():
        work(3)
        pictures: list[Floats] = []
        seconds = measure(lambda work=work, pictures=pictures: pictures.append(work(steps)), time.perf_counter) / n
        click.echo(
            f"{architecture}, {device}, {'bfloat16' if bf16 else 'float32'}, {size} px, {steps} steps, {crops} crops: "
            f"{name}: {seconds:.2f} s a concept, objective "
            f"{score_picture(answer, direction, pictures[0], 224, sides=find_sides(size, 224)):.3f}"
        )


# --- what is timed -------------------------------------------------------------------------------------------


def draw_ours(
    features: Features,
    direction: Floats,
    size: int,
    side: int,
    steps: int,
    crops: int,
    *,
    n_slots: int = 1,
    device: str = "cpu",
) -> FeatureVisualization:
    """Return one picture, of ``n_slots`` drawn at once."""
    return visualize_concepts(
        features,
        np.repeat(direction[None], n_slots, axis=0),
        make_spectrum(size),
        PALETTE,
        input_size=(side, side),
        steps=steps,
        n_crops=crops,
        n_slots=n_slots,
        patience=None,
        seeds=list(range(n_slots)),
        repelled_from=[None] * n_slots,
        cosine_power=COSINE_POWER,
        device=device,
    )[0]


def draw_peer(
    features: Features, direction: Floats, size: int, side: int, steps: int, crops: int, *, device: str = "cpu"
) -> Floats:
    """Return Horama's picture, (3, size, size) in [0, 1]."""
    row = torch.from_numpy(direction).to(device)

    def score(images: Tensor) -> Tensor:
        pooled = pool(features(images))
        return dot_cossim(pooled, row.expand_as(pooled)).mean()

    torch.manual_seed(0)
    with working_beside(make_spectrum(size)):
        picture, _ = horama.maco_fv.maco(
            score,
            total_steps=steps,
            image_size=size,
            model_input_size=side,
            crops_per_iteration=crops,
            values_range=(0, 1),
            device=device,
        )
    return picture.detach().cpu().numpy()


@contextlib.contextmanager
def working_beside(spectrum: Floats) -> Iterator[None]:
    """Work in a folder that holds a spectrum under the name that Horama looks for."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / horama.maco_fv.MACO_SPECTRUM_FILENAME, spectrum)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def measure(work: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Return the seconds of a piece of work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = clock()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - began


# --- networks, directions, scores ----------------------------------------------------------------------------


def open_network(architecture: str, device: str) -> Features:
    """Return the features of a network of timm with random weights, the same every time."""
    torch.manual_seed(0)
    network = timm.create_model(architecture, pretrained=False, zero_init_last=False).eval().requires_grad_(False)
    network = network.to(memory_format=torch.channels_last)
    noise = torch.randn(2, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    network = fold_batch_norms(network, noise).to(device)

    def features(images: Tensor) -> Tensor:
        return network.forward_features((images - 0.45) / 0.225).permute(0, 2, 3, 1)

    return features


def open_scene(network: str, n: int) -> tuple[Features, int, list[Floats]]:
    """Return features, their input's side, and ``n`` directions."""
    if network != "drawn":
        features = open_network(network, "cpu")
        return features, 224, [choose_direction(features, 224, "cpu", number=number) for number in range(n)]
    from leaflineage.model.load import load_classifier

    classifier = load_classifier(
        str(SHIPPED),
        architecture=None,
        label_names=None,
        catalogue_families=[],
        input_size=None,
        mean=None,
        std=None,
        interpolation=None,
        fit="pad",
        pad_colour=(255, 255, 255),
        trust_names=True,
    )
    weight = classifier.head_weight
    assert weight is not None
    rows = (weight - weight.mean(dim=0)).clamp_min(0)[:n]  # what speaks for a family
    directions = list((rows / rows.norm(dim=1, keepdim=True)).numpy())
    return classifier.features_differentiable, classifier.record.preprocessing.input_size[0], directions


def choose_direction(features: Features, side: int, device: str, *, number: int = 0) -> Floats:
    """Return what one picture of noise excites more than others do, (n_channels,), of length 1."""
    noise = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(number)).to(device)
    with torch.no_grad():
        pooled = pool(features(torch.nn.functional.interpolate(noise, (side, side), mode="bicubic").clamp(0, 1)))
    row = (pooled[0] - pooled.mean(dim=0)).clamp_min(0).cpu().numpy()
    return row / np.linalg.norm(row)


def score_picture(
    features: Features, direction: Floats, picture: Floats, side: int, *, sides: tuple[float, float]
) -> float:
    """Return the mean objective of random squares of a finished picture (3, size, size) in [0, 1]; the same for all.

    Parameters
    ----------
    sides
        Of the squares, as fractions of the picture's. They lie around the middle as both programs cut them, but inside.
    """
    generator, size = np.random.default_rng(0), picture.shape[1]
    lines = np.ascontiguousarray(picture.transpose(1, 0, 2), dtype=np.float32)
    crops = []
    for _ in range(N_SCORED):
        width = round(generator.uniform(*sides) * size)
        centres = generator.normal(0.5, SCORED_DEVIATION, size=2)
        y, x = (min(max(round(each * size - width / 2), 0), size - width) for each in centres.tolist())
        crops.append(cut_crop(lines, Place(y, x, width), (side, side)).transpose(1, 0, 2))
    with torch.no_grad():
        pooled = pool(features(torch.from_numpy(np.stack(crops)).contiguous(memory_format=torch.channels_last)))
        rows = torch.from_numpy(direction).expand_as(pooled)
        return float(score_crops(pooled, rows, cosine_power=COSINE_POWER).mean())


@contextlib.contextmanager
def cutting(sides: tuple[float, float]) -> Iterator[None]:
    """Let our crops have other sides."""
    before = chance.find_sides
    chance.find_sides = lambda size, input_side: sides
    try:
        yield
    finally:
        chance.find_sides = before


def make_spectrum(size: int) -> Floats:
    """Return a spectrum that falls with frequency, (3, size, size // 2 + 1), of pictures with variance about 1."""
    spectrum = np.repeat(size * 1.0 / np.maximum(compute_frequencies(size), 1)[None], 3, axis=0).astype(np.float32)
    spectrum[:, 0, 0] = 0
    channels = np.fft.irfft2(spectrum * np.exp(2j * np.pi * np.random.default_rng(0).random(spectrum.shape)))
    return spectrum / np.float32(channels.std())


if __name__ == "__main__":
    main()

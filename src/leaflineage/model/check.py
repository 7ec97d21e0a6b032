"""Does the classifier know its families? A sanity check before hours of work on a wrong one.

Wrong normalisation, BGR instead of RGB and names in another order all pass the check of the split: the classifier
still equals head(features(x)), it only answers wrongly. So a few hundred specimens are scored, and where top-1 is
below

    max(min(3 chance, (1 + chance) / 2), stated accuracy / 2),        chance = 1 / number of outputs,

the check says what is probably wrong, from the accuracy that other usual constants and orders would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from leaflineage.model.split import Classifier
from leaflineage.records import Preprocessing

BATCH_SIZE = 16

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class AccuracyCheck:
    """What scoring some specimens said.

    Attributes
    ----------
    top1, top5 : float or None
        Shares of the specimens; None where there were none.
    n_specimens : int
    chance : float
        One over the number of outputs.
    bound : float
        Below it, ``problem`` is set.
    alternatives : dict of str to float
        Top-1 under other usual constants and orders of names, by what each is in words; empty where all is well.
    problem : str or None
        A sentence fit for a ModelError; None where all is well.
    """

    top1: float | None
    top5: float | None
    n_specimens: int
    chance: float
    bound: float
    alternatives: dict[str, float]
    problem: str | None


def check_accuracy(
    classifier: Classifier,
    images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]],
    family_index: Sequence[int],
    *,
    stated_accuracy: float | None,
) -> AccuracyCheck:
    """Score specimens of known family, and where that goes badly look for the reason.

    Parameters
    ----------
    classifier : Classifier
    images : array (n, height, width, 3) uint8, or its rows one by one
        Specimens made to fit the classifier's input size.
    family_index : sequence of int
        Output of each specimen's family.
    stated_accuracy : float or None
        Top-1 in [0, 1] that the classifier states of itself.
    """
    families = np.asarray(family_index, dtype=np.int64)
    chance = 1 / classifier.record.n_outputs
    bound = max(min(3 * chance, (1 + chance) / 2), (stated_accuracy or 0.0) / 2)
    if len(families) == 0:
        return AccuracyCheck(None, None, 0, chance, bound, {}, None)
    pixels = images if isinstance(images, np.ndarray) else np.stack(list(images))
    logits = _compute_logits(classifier, pixels, classifier.normalise)
    top1, top5 = _find_top1(logits, families), _find_top5(logits, families)
    if top1 >= bound:
        return AccuracyCheck(top1, top5, len(families), chance, bound, {}, None)
    constants = _try_other_constants(classifier, pixels, families)
    orders = _try_other_orders(logits, families, classifier.record.label_names)
    check = AccuracyCheck(top1, top5, len(families), chance, bound, {**constants, **orders}, None)
    problem = _describe_problem(check, classifier.record.name, constants, orders, stated_accuracy)
    return AccuracyCheck(top1, top5, len(families), chance, bound, check.alternatives, problem)


def _find_top1(logits: Logits, families: NDArray[np.int64]) -> float:
    return float(np.mean(logits.argmax(axis=1) == families))


def _find_top5(logits: Logits, families: NDArray[np.int64]) -> float:
    best = np.argsort(-logits, axis=1, kind="stable")[:, :5]  # (n, 5)
    return float(np.mean((best == families[:, None]).any(axis=1)))


def _compute_logits(classifier: Classifier, images: NDArray[np.uint8], prepare: Callable[[Tensor], Tensor]) -> Logits:
    """Return logits (n, n_outputs) of images prepared from (n, 3, height, width) in [0, 1] by ``prepare``."""
    with torch.no_grad():
        parts = [classifier.network(prepare(batch))[:n].cpu().numpy() for batch, n in _make_batches(images)]
    return np.concatenate(parts)


def _make_batches(images: NDArray[np.uint8]) -> Iterator[tuple[Tensor, int]]:
    """Yield batches of one shape (BATCH_SIZE, 3, height, width) in [0, 1], and how many of each are real."""
    for start in range(0, len(images), BATCH_SIZE):
        part = images[start : start + BATCH_SIZE]
        filled = np.concatenate([part, np.zeros((BATCH_SIZE - len(part), *part.shape[1:]), part.dtype)])
        yield torch.from_numpy(filled).permute(0, 3, 1, 2).float() / 255, len(part)


def _try_other_constants(
    classifier: Classifier, images: NDArray[np.uint8], families: NDArray[np.int64]
) -> dict[str, float]:
    """Return top-1 under other usual ways to scale a pixel, by what each is in words."""
    own = classifier.record.preprocessing
    found: dict[str, float] = {}
    for words, prepare in _list_constants(own, classifier.device):
        logits = _compute_logits(classifier, images, prepare)
        if np.isfinite(logits).all():
            found[words] = _find_top1(logits, families)
    return found


def _list_constants(own: Preprocessing, device: torch.device) -> list[tuple[str, Callable[[Tensor], Tensor]]]:
    """Return the usual ways to scale pixels other than the classifier's own, each with its words."""

    def scale(mean: Sequence[float], std: Sequence[float], factor: float, bgr: bool) -> Callable[[Tensor], Tensor]:
        mean_, std_ = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (mean, std))

        def prepare(batch: Tensor) -> Tensor:
            batch = batch.to(device).flip(1) if bgr else batch.to(device)
            return ((batch * factor - mean_) / std_).contiguous(memory_format=torch.channels_last)

        return prepare

    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    half = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    none = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    usual = {
        "mean = [0.485, 0.456, 0.406] and std = [0.229, 0.224, 0.225] (ImageNet)": imagenet,
        "mean = [0.5, 0.5, 0.5] and std = [0.5, 0.5, 0.5] (images in [-1, 1])": half,
        "mean = [0, 0, 0] and std = [1, 1, 1] (images in [0, 1])": none,
    }
    listed = [
        (words, scale(mean, std, 1.0, False))
        for words, (mean, std) in usual.items()
        if (mean, std) != (own.mean, own.std)
    ]
    byte = 1 / 255
    listed.append(
        (
            f"mean = [0, 0, 0] and std = [{byte:.6f}, {byte:.6f}, {byte:.6f}] (images in [0, 255])",
            scale(*none, 255.0, False),
        )
    )
    listed.append(("BGR instead of RGB with the present mean and std", scale(own.mean, own.std, 1.0, True)))
    listed.append(
        (
            "BGR in [0, 255] minus 103.939, 116.779, 123.68 (Caffe and older Keras)",
            scale((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), 255.0, True),
        )
    )
    return listed


def _try_other_orders(
    logits: Logits, families: NDArray[np.int64], label_names: Sequence[str | None]
) -> dict[str, float]:
    """Return top-1 were the outputs' names in alphabetical order, and in whatever order fits these specimens best."""
    found: dict[str, float] = {}
    named = [index for index, name in enumerate(label_names) if name is not None]
    in_order = sorted(named, key=lambda index: label_names[index] or "")
    if in_order != named:
        place = {index: named[position] for position, index in enumerate(in_order)}
        moved = np.array([place.get(int(index), int(index)) for index in families])
        found["label_names in alphabetical order"] = _find_top1(logits, moved)
    counts = np.zeros((logits.shape[1], logits.shape[1]), dtype=np.int64)  # (families, answers)
    np.add.at(counts, (families, logits.argmax(axis=1)), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    found["label_names in another order, the best there is"] = float(counts[rows, columns].sum() / len(families))
    return found


def _describe_problem(
    check: AccuracyCheck,
    name: str,
    constants: dict[str, float],
    orders: dict[str, float],
    stated_accuracy: float | None,
) -> str:
    """Say in words what came, what was wanted, and which other constants or order would do better."""
    stated = f"; it states {stated_accuracy:.2f}" if stated_accuracy is not None else ""
    opening = (
        f"Wanted a classifier that knows its families (top-1 of at least {check.bound:.2f}; guessing gives "
        f"{check.chance:.2f}{stated}), got {check.top1:.2f} on {check.n_specimens} specimens, from {name}."
    )
    listed = "; ".join(f"{words}: {value:.2f}" for words, value in {**constants, **orders}.items())
    return f"{opening} {_name_the_cause(check, constants, orders)} Top-1 with other settings: {listed}."


def _name_the_cause(check: AccuracyCheck, constants: dict[str, float], orders: dict[str, float]) -> str:
    best_constants = max(constants, key=lambda words: constants[words], default="")
    best_order = max(orders, key=lambda words: orders[words])
    top1 = check.top1 or 0.0
    # The best order is fitted to these very specimens, so it has to be clearly right to count.
    order_counts = orders[best_order] >= max(check.bound, 0.5, 2 * top1)
    constants_count = constants.get(best_constants, 0.0) >= max(check.bound, 2 * top1)
    if constants_count and not (order_counts and orders[best_order] > constants[best_constants]):
        advice = (
            "Reorder the first layer's weights."
            if best_constants.startswith("BGR")
            else "Set [classifier] mean and std."
        )
        return (
            f"Probably the pixels are scaled or ordered otherwise than in training: it wants {best_constants}. {advice}"
        )
    if order_counts:
        alphabetical = orders.get("label_names in alphabetical order", 0.0)
        right = "alphabetical order" if alphabetical >= 0.9 * orders[best_order] else "the order it was trained with"
        return (
            f"Probably the names of the outputs are in a wrong order: list them in {right} in [classifier] label_names."
        )
    return (
        "No usual normalisation and no order of names mends it: the specimens are of another kind than it was trained "
        "on, or the weights are not those of a classifier of these families. Check [classifier] source and [specimens] "
        "root."
    )

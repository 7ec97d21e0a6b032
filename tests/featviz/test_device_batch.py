"""The batch of an accelerator: the same first step as a CPU's, an objective that rises as high, slots apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from leaflineage.featviz.batch import Batch, CpuBatch, Subject
from leaflineage.featviz.device_batch import DeviceBatch, Graph, cut_crops, record_graph
from leaflineage.featviz.nadam import compute_rates
from leaflineage.featviz.objective import COSINE_POWER
from leaflineage.featviz.resampling import Place, cut_crop
from leaflineage.featviz.spectrum import Palette, compute_frequencies
from leaflineage.featviz.synthesis import make_colouring

SIZE, N_CHANNELS, N_CROPS, N_STEPS = 48, 12, 3, 60
INPUT_SIZE = (32, 32)
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)]
Features = Callable[[Tensor], Tensor]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # which rounds to a thousandth


def make_features(device: str) -> Features:
    """Return a tiny fixed network: (n, 3, height, width) → (n, rows, columns, n_channels)."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, N_CHANNELS, 3, stride=2), nn.ReLU()
    ).requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.6 if parameter.ndim > 1 else 0.05))
    network.to(device)
    return lambda images: network(2 * images - 1).permute(0, 2, 3, 1)


def make_subjects(channels: list[int], *, repelled: bool) -> list[Subject]:
    eye, generator = np.eye(N_CHANNELS, dtype=np.float32), np.random.default_rng(0)
    n_previous = [index % 3 if repelled else 0 for index in range(len(channels))]
    return [
        Subject(eye[channel], channel, generator.random((n, N_CHANNELS), dtype=np.float32))
        for channel, n in zip(channels, n_previous, strict=True)
    ]


Record = Callable[[Callable[[], None]], Graph]
# How a device's batch takes its steps: plainly, and by a graph.
WAYS: list[Any] = [
    ("cpu", None),
    *(pytest.param((*way,), marks=NEEDS_CUDA) for way in (("cuda", None), ("cuda", record_graph))),
]


def open_batch(device: str | None, n_slots: int, *, record: Record | None = None) -> Batch:
    """Return the batch of a device, or of a CPU where None is given."""
    frequencies = np.maximum(compute_frequencies(SIZE), 1)
    magnitude = np.stack([SIZE * 3 / frequencies] * 3).astype(np.float32)
    magnitude[:, 0, 0] = 0
    colouring = make_colouring(Palette(np.array([0.55, 0.6, 0.4]), np.diag([0.15, 0.1, 0.05])))
    rates = compute_rates(N_STEPS, learning_rates=(0.2, 0.2))
    if device is None:
        return CpuBatch(
            make_features("cpu"),
            magnitude,
            colouring,
            rates,
            n_slots=n_slots,
            n_crops=N_CROPS,
            input_size=INPUT_SIZE,
            cosine_power=COSINE_POWER,
        )
    return DeviceBatch(
        make_features(device),
        magnitude,
        colouring,
        rates,
        n_slots=n_slots,
        n_channels=N_CHANNELS,
        n_previous=2,
        n_crops=N_CROPS,
        input_size=INPUT_SIZE,
        cosine_power=COSINE_POWER,
        device=device,
        record=record,
    )


def start_all(batch: Batch, subjects: list[Subject]) -> None:
    for slot, subject in enumerate(subjects):
        batch.start(slot, subject)


def run_steps(batch: Batch, n: int) -> NDArray[np.floating]:
    return np.stack([batch.step() for _ in range(n)])  # (n, n_slots)


@pytest.mark.parametrize("way", WAYS)
def test_the_first_step_is_a_cpus(way: tuple[str, Record | None]) -> None:
    device, record = way
    subjects = make_subjects([1, 5, 7, 9], repelled=True)
    one, other = open_batch(None, 4), open_batch(device, 4, record=record)
    start_all(one, subjects)
    start_all(other, subjects)
    np.testing.assert_allclose(other.step(), one.step(), rtol=1e-4)
    for slot in range(4):
        wanted, found = one.develop(slot), other.develop(slot)
        np.testing.assert_allclose(found.pooled, wanted.pooled, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.gradients, wanted.gradients, atol=1e-4 * float(wanted.gradients.max()))
        # One step moves every phase by about the same, whichever way its gradient points: rounding may turn a few.
        assert np.abs(found.picture - wanted.picture).mean() < 1e-3


@pytest.mark.parametrize("way", WAYS)
def test_the_objective_rises_as_high_as_a_cpus(way: tuple[str, Record | None]) -> None:
    device, record = way
    subjects = make_subjects([1, 5, 7, 9], repelled=False)
    reached = []
    for batch in (open_batch(None, 4), open_batch(device, 4, record=record)):
        start_all(batch, subjects)
        objectives = run_steps(batch, N_STEPS)
        assert objectives[-15:].mean() > 1.15 * objectives[:5].mean()
        reached.append(objectives[-15:].mean())
    assert reached[1] == pytest.approx(reached[0], rel=0.05)


@NEEDS_CUDA
def test_a_step_on_cuda_is_captured() -> None:
    batch = open_batch("cuda", 2, record=record_graph)
    start_all(batch, make_subjects([1, 5], repelled=False))
    run_steps(batch, 2)
    assert isinstance(batch, DeviceBatch)
    assert batch.is_captured


class Repeat:
    """A graph of the poor: it does the work again, ``times`` times."""

    def __init__(self, work: Callable[[], None], times: int) -> None:
        self.work, self.times = work, times
        for _ in range(4):  # a capture's warm-ups change the state, too
            work()

    def replay(self) -> None:
        for _ in range(self.times):
            self.work()


def refuse(work: Callable[[], None]) -> Graph:
    work()
    raise RuntimeError("operation not permitted when stream is capturing")


@pytest.mark.parametrize(
    ("record", "is_captured"),
    [(lambda work: Repeat(work, 1), True), (lambda work: Repeat(work, 2), False), (refuse, False)],
    ids=["a true graph", "a false graph", "a refusal"],
)
def test_a_graph_is_used_where_it_repeats_a_plain_step_and_leaves_no_trace(record: Record, is_captured: bool) -> None:
    subjects = make_subjects([1, 5], repelled=True)
    batch, plain = open_batch("cpu", 2, record=record), open_batch("cpu", 2)
    start_all(batch, subjects)
    start_all(plain, subjects)
    np.testing.assert_array_equal(run_steps(batch, 4), run_steps(plain, 4))
    np.testing.assert_array_equal(batch.develop(1).picture, plain.develop(1).picture)
    assert isinstance(batch, DeviceBatch)
    assert batch.is_captured == is_captured


@pytest.mark.parametrize("device", DEVICES)
def test_a_picture_that_takes_a_freed_slot_begins_anew(device: str) -> None:
    late, early = make_subjects([5, 1], repelled=False)
    batch, fresh = open_batch(device, 2), open_batch(device, 2)
    start_all(batch, [early, early])
    run_steps(batch, 3)
    batch.free(1)
    batch.start(1, late)
    fresh.start(1, late)
    np.testing.assert_allclose(batch.step()[1], fresh.step()[1], rtol=1e-5)
    np.testing.assert_allclose(batch.step()[1], fresh.step()[1], rtol=1e-2)
    np.testing.assert_allclose(batch.develop(1).gradients, fresh.develop(1).gradients, rtol=0.1, atol=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_slots_without_a_picture_stay_finite(device: str) -> None:
    batch = open_batch(device, 3)
    batch.start(0, make_subjects([5], repelled=False)[0])
    assert np.isfinite(run_steps(batch, N_STEPS + 3)).all()
    assert np.isfinite(batch.develop(2).picture).all()


@pytest.mark.parametrize("input_size", [(24, 24), (17, 40)])
def test_crops_cut_by_whole_matrices_are_those_cut_in_bands(input_size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, 3, 60, 60, generator=generator)
    y, x, side = (torch.tensor(each) for each in ([[3, 0], [20, 58]], [[7, 0], [31, 1]], [[50, 60], [13, 2]]))
    found = cut_crops(pictures, y, x, side, input_size)
    assert found.shape == (2, 2, 3, *input_size)
    for index in np.ndindex(2, 2):
        place = Place(int(y[index]), int(x[index]), int(side[index]))
        picture = pictures[index[0]].permute(1, 0, 2).contiguous().numpy()
        wanted = cut_crop(picture, place, input_size).transpose(1, 0, 2)
        np.testing.assert_allclose(found[index].numpy(), wanted, atol=1e-5)

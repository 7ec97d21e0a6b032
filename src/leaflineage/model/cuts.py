"""Where else a network can be cut: layers that everything after them depends on alone.

One pass with hooks on every module notes which tensor each call was given and which it returned. Walking back from
the feature map, a module that returned a tensor, and was given one tensor and nothing else, makes that tensor's past
the past of its input:

    t_0 --module_1--> t_1 --module_2--> ... --module_m--> feature map

Then t_0 is a *complete cut*: the map is module_m(...module_1(t_0)), the cut's *tail*. Inside a residual block, where
two tensors are added, the walk ends, and rightly: neither of the two decides what comes after. What a module may have
kept from an earlier call is not seen here, so whoever uses a cut compares the tail's map with the network's.

A tensor is told apart by its identity and by how often it was written in place: what an activation in place returns
is the same object as, and another tensor than, what it was given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaflineage.model.layout import MapLayout, find_cut_layout, forward_features

WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)

Version = tuple[int, int]  # a tensor's identity and its count of writes in place


@dataclass(frozen=True)
class Cut:
    """A layer before the split that everything after it depends on alone.

    Attributes
    ----------
    name : str
        The outermost module whose output it is.
    tail : tuple of str
        Modules that take it to the map at the split, in order.
    layout : MapLayout
        Of the module's output, in the network's own order of axes.
    map_shape : (rows, columns, n_channels)
    negative_energy : float
        Σ min(a, 0)² / Σ a², on the images it was last measured on.
    aliases : tuple of str
        Other modules with the same output.
    """

    name: str
    tail: tuple[str, ...]
    layout: MapLayout
    map_shape: tuple[int, int, int]
    negative_energy: float
    aliases: tuple[str, ...] = ()


class _Reached(Exception):  # noqa: N818  # no error: the way out of a pass that has gone far enough
    """Carries a module's output out of the network's pass."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


@dataclass(frozen=True)
class _Call:
    """What one call of a module was given and returned."""

    name: str
    source: Version | None  # None where it was given anything but one tensor
    result: Version
    shape: tuple[int, ...]
    negative_energy: float


def compute_negative_energy(activations: Tensor) -> float:
    """Return Σ min(a, 0)² / Σ a² of activations of any shape; 0 where all are zero."""
    return divide_energies(*compute_energies(activations))


def compute_energies(activations: Tensor) -> tuple[float, float]:
    """Return Σ min(a, 0)² and Σ a² of activations of any shape."""
    values = activations.detach().double()
    return float(values.clamp(max=0).square().sum()), float(values.square().sum())


def divide_energies(negative: float, whole: float) -> float:
    """Return the negative share of the energy, 0 where there is no energy."""
    return negative / whole if whole > 0 else 0.0


def find_cuts(network: nn.Module, images: Tensor, *, like: MapLayout, before: str | None) -> list[Cut]:
    """Find the complete cuts before a layer, the closest first.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    images : tensor (n, 3, height, width)
        A few normalised images; what they hold does not matter.
    like : MapLayout
        Layout of the network's last feature map.
    before : str or None
        Module whose output the tails lead to; None for the last feature map itself.

    Returns
    -------
    list of Cut
        Maps and tokens on a grid only.
    """
    with torch.no_grad():
        calls, seen, raw = _record_calls(network, images)
    end = next((call.result for call in calls if call.name == before), None) if before else raw
    if end is None:
        return []
    order = {name: index for index, (name, _) in enumerate(network.named_modules())}
    calls.sort(key=lambda call: order[call.name])  # the outermost first
    called = Counter(call.name for call in calls)
    named: dict[Version, list[_Call]] = {}
    for call in calls:
        if called[call.name] == 1:
            named.setdefault(call.result, []).append(call)
    tails = _walk_back(calls, end)
    cuts = []
    for version in reversed(dict.fromkeys(seen)):  # what was made last is closest
        at = named.get(version)
        if version not in tails or at is None:
            continue
        layout = find_cut_layout(at[0].shape, (images.shape[2], images.shape[3]), like=like)
        if layout is not None:
            names = tuple(call.name for call in at)
            shape = (layout.rows, layout.columns, layout.n_channels)
            cuts.append(Cut(names[0], tails[version], layout, shape, at[0].negative_energy, names[1:]))
    return cuts


def _record_calls(network: nn.Module, images: Tensor) -> tuple[list[_Call], list[Version], Version]:
    """Return every module's calls in one pass, the tensors they were about in order of time, and the feature map."""
    calls: list[_Call] = []
    seen: list[Version] = []
    kept: list[Tensor] = []  # to the end of the pass, so that no identity is given twice
    waiting: list[Version | None] = []

    def identify(tensor: Tensor) -> Version:
        kept.append(tensor)
        seen.append((id(tensor), tensor._version))
        return seen[-1]

    def before(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        waiting.append(None)
        if args and isinstance(args[0], Tensor) and all(_is_unset(each) for each in (*args[1:], *kwargs.values())):
            waiting[-1] = identify(args[0])

    def make_after(name: str) -> Callable[[nn.Module, object, object], None]:
        def after(module: nn.Module, args: object, output: object) -> None:
            source = waiting.pop()
            if isinstance(output, Tensor):
                energy = compute_negative_energy(output)
                calls.append(_Call(name, source, identify(output), tuple(output.shape), energy))

        return after

    handles = []
    for name, module in network.named_modules():
        if name:
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(make_after(name)))
    try:
        raw = identify(forward_features(network, images))
    finally:
        for handle in handles:
            handle.remove()
    return calls, seen, raw


def _is_unset(argument: object) -> bool:
    """Tell whether an argument is what a module would take if nothing were given."""
    return argument is None or argument is False


def _walk_back(calls: Sequence[_Call], end: Version) -> dict[Version, tuple[str, ...]]:
    """Return the tensors that ``end`` depends on alone, each with its tail, of the fewest modules."""
    into: dict[Version, list[_Call]] = {}
    for call in calls:
        into.setdefault(call.result, []).append(call)
    tails: dict[Version, tuple[str, ...]] = {end: ()}
    front = [end]
    while front:
        reached: list[Version] = []
        for version in front:
            for call in into.get(version, ()):
                if call.source is not None and call.source not in tails:
                    tails[call.source] = (call.name, *tails[version])
                    reached.append(call.source)
        front = reached
    del tails[end]
    return tails


def run_until(network: nn.Module, images: Tensor, name: str) -> Tensor:
    """Return a module's output in a pass of normalised images (n, 3, height, width), which ends there.

    The output stands in the network's own order of axes, and the gradient reaches the images.
    """

    def stop(module: nn.Module, args: object, output: Tensor) -> None:
        raise _Reached(output)

    handle = network.get_submodule(name).register_forward_hook(stop)
    try:
        forward_features(network, images)
    except _Reached as reached:
        return reached.output
    finally:
        handle.remove()
    raise RuntimeError(f"{name} was not called in the pass of {type(network).__name__}")


def run_tail(network: nn.Module, tail: Sequence[str], raw: Tensor) -> Tensor:
    """Return what the modules of a tail, one after the other, make of a tensor in the network's own order of axes."""
    raw = raw.clone()  # the first of them may write in place
    for name in tail:
        raw = network.get_submodule(name)(raw)
    return raw


def measure_energies(network: nn.Module, images: Tensor, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return Σ min(a, 0)² and Σ a² of modules' outputs in one pass of normalised images (n, 3, height, width)."""
    found: dict[str, tuple[float, float]] = {}

    def make_hook(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, args: object, output: Tensor) -> None:
            found[name] = compute_energies(output)

        return hook

    handles = [network.get_submodule(name).register_forward_hook(make_hook(name)) for name in names]
    try:
        with torch.no_grad():
            forward_features(network, images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def holds_weights(network: nn.Module, tail: Sequence[str]) -> bool:
    """Tell whether a linear layer or a convolution stands between a cut and the split."""
    return any(isinstance(each, WEIGHTED) for name in tail for each in network.get_submodule(name).modules())

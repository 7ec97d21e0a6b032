"""A classifier in two parts: features g and head h, with h(g(x)) the classifier itself.

g is timm's ``forward_features``, h its ``forward_head``; what comes between is laid out channels last, as
(n, rows, columns, n_channels), so that a cell is one row of it. Where the split stands earlier, at a complete cut
(``leaflineage.model.cuts``), g ends there and h begins with the cut's tail. Nothing is believed: on a batch of real
specimens it is measured whether

* h(g(x)) equals the classifier                        (``split_error``),
* h(g(x)) stays the same with the map replaced by its mean over cells          (``pools_first``),
* h of a pooled map is W a + b, with W and b read from the last linear layer  (``affine_head``),
* h changes at all when every cell is zero             (``depends_on_cells``; a class token's head does not),
* h changes when every prefix token is zero            (``prefix_matters``),
* and how much of the map's energy, Σ min(a, 0)² / Σ a², is negative.

Differences are relative: max |a - b| / max |b|, at most 1e-4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from leaflineage.errors import ModelError
from leaflineage.model.cuts import (
    Cut,
    divide_energies,
    find_cuts,
    holds_weights,
    measure_energies,
    run_tail,
    run_until,
)
from leaflineage.model.layout import MapLayout, divide_map, forward_features, forward_head, join_map
from leaflineage.records import ModelRecord, Preprocessing

TOLERANCE = 1e-4  # relative
NEGATIVE_ENERGY_BOUND = 0.02  # beyond it activations count as signed
NO_NEGATIVE_ENERGY = 1e-9  # up to it activations count as non-negative: rounding
ONE_STAGE = 4  # times as many cells: the map before one halving of its sides
BATCH_SIZE = 16


class Classifier:
    """A frozen network split into features and head, with what is known of it in ``record``.

    Images go in unnormalised, (n, 3, height, width) float32 in [0, 1]; normalisation is part of the features.
    Gradients reach the images where they ask for them; the parameters never do.

    Attributes
    ----------
    network : nn.Module
        The timm model, in evaluation mode, channels-last in memory.
    layout : MapLayout
        Of the map at the split.
    cut : Cut or None
        Where the split stands before timm's last feature map; None where it is that map.
    record : ModelRecord
        Provisional until ``verify_classifier`` has seen real specimens.
    device : torch.device
    arguments : mapping
        What timm was given to make the network, beside its name.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        layout: MapLayout,
        cut: Cut | None,
        record: ModelRecord,
        device: torch.device,
        arguments: Mapping[str, Any],
    ) -> None:
        self.network = network
        self.layout = layout
        self.cut = cut
        self.record = record
        self.device = device
        self.arguments = arguments
        self._mean = torch.tensor(record.preprocessing.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(record.preprocessing.std, device=device).view(1, 3, 1, 1)
        self._candidates: list[Cut] | None = None
        self._exact: dict[str, bool] = {}

    def normalise(self, images: Tensor) -> Tensor:
        """Return (images - mean) / std, on the classifier's device, channels-last in memory."""
        images = images.to(device=self.device, dtype=torch.float32)
        return ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)

    def features(self, images: Tensor) -> Tensor:
        """Return the feature map at the split, (n, rows, columns, n_channels) float32.

        Parameters
        ----------
        images : tensor (n, 3, height, width), float32 in [0, 1]
        """
        return self.features_with_prefix(images)[0]

    def features_differentiable(self, images: Tensor) -> Tensor:
        """Return what ``features`` returns; the name says at the call that the gradient is wanted."""
        return self.features(images)

    def features_with_prefix(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the feature map at the split and the prefix tokens (n, n_prefix_tokens, n_channels), None without."""
        return divide_map(self.run_to_split(self.normalise(images)), self.layout)

    def run_to_split(self, normalised: Tensor) -> Tensor:
        """Return the map at the split in the network's own layout, of images that ``normalise`` gave."""
        if self.cut is not None:
            return run_until(self.network, normalised, self.cut.name)
        return forward_features(self.network, normalised)

    def head(self, maps: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Return the logits (n, n_outputs) of feature maps, whatever their number of rows and columns.

        Parameters
        ----------
        maps : tensor (n, rows, columns, n_channels)
        prefix : tensor (n, n_prefix_tokens, n_channels), optional
            Zeros where it is left out.
        """
        raw = join_map(maps.to(device=self.device, dtype=torch.float32), prefix, self.layout)
        if self.cut is not None:
            raw = run_tail(self.network, self.cut.tail, raw)
        return forward_head(self.network, raw)

    def logits(self, images: Tensor) -> Tensor:
        """Return the classifier's logits (n, n_outputs), the way timm computes them."""
        logits: Tensor = self.network(self.normalise(images))
        return logits

    @property
    def head_weight(self) -> Tensor | None:
        """Weights of an affine head, (n_outputs, n_channels) float32; None where the head is not affine."""
        linear = find_last_linear(self.network) if self.record.affine_head else None
        return None if linear is None else linear[0]

    @property
    def head_bias(self) -> Tensor | None:
        """Bias of an affine head, (n_outputs,) float32; None where the head is not affine."""
        linear = find_last_linear(self.network) if self.record.affine_head else None
        return None if linear is None else linear[1]

    # --- before the split ------------------------------------------------------------------------------------

    def list_cuts(self) -> list[Cut]:
        """Return the layers before the split that decide the map at the split alone, the closest first.

        Maps and tokens on a grid; a layer whose tail does not give the map again is left out. ``negative_energy`` was
        measured on noise.
        """
        return list(self.walk_cuts())

    def walk_cuts(self) -> Iterator[Cut]:
        """Yield the cuts of ``list_cuts`` one by one: each is only then compared with the network."""
        return (cut for cut in self._find_candidates() if self._is_exact(cut))

    def find_cut(self, layer: str) -> Cut | None:
        """Return the cut at a module's output, None where it is no complete one."""
        for cut in self._find_candidates():
            if layer in (cut.name, *cut.aliases):
                others = tuple(name for name in (cut.name, *cut.aliases) if name != layer)
                named = replace(cut, name=layer, aliases=others)
                return named if self._is_exact(named) else None
        return None

    def features_at(self, cut: Cut, images: Tensor) -> Tensor:
        """Return the map at a cut, (n, rows, columns, n_channels); what comes after it is not computed.

        Parameters
        ----------
        cut : Cut
            Of ``list_cuts`` or ``find_earlier_cut``.
        images : tensor (n, 3, height, width), float32 in [0, 1]
        """
        return self.features_at_with_prefix(cut, images)[0]

    def features_at_with_prefix(self, cut: Cut, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the map at a cut and the prefix tokens there (n, n_prefix_tokens, n_channels), None without any."""
        return divide_map(run_until(self.network, self.normalise(images), cut.name), cut.layout)

    def continue_from(self, cut: Cut, maps: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Return the maps at the split, (n, rows, columns, n_channels), of maps at a cut.

        Parameters
        ----------
        cut : Cut
            Of ``list_cuts`` or ``find_earlier_cut``.
        maps : tensor (n, rows, columns, n_channels)
            As ``features_at`` gives them.
        prefix : tensor (n, n_prefix_tokens, n_channels), optional
            Zeros where it is left out.
        """
        raw = join_map(maps.to(device=self.device, dtype=torch.float32), prefix, cut.layout)
        return divide_map(run_tail(self.network, cut.tail, raw), self.layout)[0]

    def find_earlier_cut(self, images: Tensor) -> Cut:
        """Return the cut at which the map at the split is divided further: concepts inside concepts.

        The closest cut that is non-negative on these images, lies at most one halving of the map's sides back, and has
        a convolution or a linear layer between it and the split; where no such cut is non-negative, the closest one.

        Parameters
        ----------
        images : tensor (n, 3, height, width), float32 in [0, 1]

        Returns
        -------
        Cut
            With ``negative_energy`` as measured on these images.

        Raises
        ------
        ModelError
            Where no layer before the split decides it alone.
        """
        n_cells = self.layout.rows * self.layout.columns
        separated = [cut for cut in self._find_candidates() if holds_weights(self.network, cut.tail)]
        near = [cut for cut in separated if cut.layout.rows * cut.layout.columns <= ONE_STAGE * n_cells]
        measured = self._measure_cuts(near, images)
        found = next(
            (cut for cut in measured if cut.negative_energy <= NO_NEGATIVE_ENERGY and self._is_exact(cut)), None
        )
        found = found or next((cut for cut in (*measured, *separated) if self._is_exact(cut)), None)
        if found is None:
            raise ModelError(
                f"Wanted a layer before {self.record.layer} that decides alone what comes there, got none, in "
                f"{self.record.name} ({self.record.architecture}). Set [concepts] recurse = 1: its concepts cannot be "
                "divided further."
            )
        return self._measure_cuts([found], images)[0]

    def _find_candidates(self) -> list[Cut]:
        if self._candidates is None:
            before = self.cut.name if self.cut is not None else None
            with torch.inference_mode(False):  # whose tensors do not count their writes in place
                noise = make_noise(self.record.preprocessing, self.device)
                self._candidates = find_cuts(self.network, noise, like=self.layout, before=before)
        return self._candidates

    def _is_exact(self, cut: Cut) -> bool:
        """Tell whether a cut's tail gives the map at the split, on noise."""
        if cut.name not in self._exact:
            noise = make_noise(self.record.preprocessing, self.device)
            with torch.no_grad():
                wanted = self.run_to_split(noise)
                found = run_tail(self.network, cut.tail, run_until(self.network, noise, cut.name))
            same = found.shape == wanted.shape and relative_difference(found, wanted) <= TOLERANCE
            self._exact[cut.name] = same
        return self._exact[cut.name]

    def _measure_cuts(self, cuts: list[Cut], images: Tensor) -> list[Cut]:
        """Return the cuts with their negative energy on these images."""
        sums = {cut.name: (0.0, 0.0) for cut in cuts}
        for start in range(0, len(images), BATCH_SIZE):
            batch = self.normalise(images[start : start + BATCH_SIZE])
            for name, (negative, whole) in measure_energies(self.network, batch, list(sums)).items():
                sums[name] = (sums[name][0] + negative, sums[name][1] + whole)
        return [replace(cut, negative_energy=divide_energies(*sums[cut.name])) for cut in cuts]


def make_noise(preprocessing: Preprocessing, device: torch.device) -> Tensor:
    """Return two normalised images of noise, (2, 3, height, width), the same every time."""
    noise = torch.randn(2, 3, *preprocessing.input_size, generator=torch.Generator().manual_seed(0))
    return noise.to(device).contiguous(memory_format=torch.channels_last)


def find_last_linear(network: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Return weight (n_outputs, n) and bias (n_outputs,) of timm's classifier layer, None where it is no such layer."""
    layer = network.get_classifier()  # type: ignore[operator]
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        return None
    if isinstance(layer, nn.Conv2d) and (layer.kernel_size != (1, 1) or layer.groups != 1):
        return None
    weight = layer.weight.detach().flatten(1)
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    return weight, bias


def relative_difference(found: Tensor, wanted: Tensor) -> float:
    """Return max |found - wanted| / max |wanted|: 0 where both are zero, infinite where one is not finite."""
    difference = float((found.double() - wanted.double()).abs().max())
    scale = float(wanted.double().abs().max())
    if not math.isfinite(difference) or not math.isfinite(scale):
        return math.inf
    if scale == 0:
        return 0.0 if difference == 0 else math.inf
    return difference / scale

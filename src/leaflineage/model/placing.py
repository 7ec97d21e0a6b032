"""Where a classifier is split: at its last feature map, or at an earlier layer that decides the rest alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from leaflineage.errors import ModelError, suggest
from leaflineage.model.cuts import Cut
from leaflineage.model.layout import Probe
from leaflineage.model.measuring import describe_on_noise
from leaflineage.model.split import Classifier
from leaflineage.records import ModelRecord

UNNAMED_LAYER = "forward_features"  # the last feature map where no module's output is it
N_LISTED = 12  # layers an error names


def place_split(
    network: nn.Module,
    *,
    layer: str,
    probe: Probe,
    record: ModelRecord,
    device: torch.device,
    arguments: Mapping[str, Any],
    where: str,
) -> Classifier:
    """Split a network and describe its head.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, frozen, batch norms folded.
    layer : str
        As for ``load_classifier``.
    probe : Probe
        What its last feature map is, and where it comes from.
    record : ModelRecord
        What is known of the network; layer, shape of the map, prefix and what is measured on noise are filled in.
    device : torch.device
    arguments : mapping
        What timm was given to make the network, beside its name.
    where : str
        The source, for errors.

    Raises
    ------
    ModelError
        Where ``layer`` is neither the last feature map nor a complete cut.
    """
    last = probe.layer_names[0] if probe.layer_names else UNNAMED_LAYER
    whole = Classifier(
        network,
        layout=probe.layout,
        cut=None,
        record=record.model_copy(update={"layer": last if layer == "auto" else layer}),
        device=device,
        arguments=arguments,
    )
    if layer == "auto":
        return _move_before_class_token(_describe(whole))
    if layer in probe.layer_names:
        return _describe(whole)
    cut = whole.find_cut(layer)
    if cut is None:
        raise _refuse_layer(whole, layer, last_names=probe.layer_names, where=where)
    return _describe(_split_at(whole, cut))


def _describe(classifier: Classifier) -> Classifier:
    """Fill in a classifier's record with what can be said of its split before specimens are seen."""
    layout = classifier.layout
    classifier.record = describe_on_noise(classifier).model_copy(
        update={
            "map_shape": (layout.rows, layout.columns, layout.n_channels),
            "n_prefix_tokens": layout.n_prefix_tokens,
        }
    )
    return classifier


def _split_at(whole: Classifier, cut: Cut) -> Classifier:
    """Return the same network split at a cut."""
    return Classifier(
        whole.network,
        layout=cut.layout,
        cut=cut,
        record=whole.record.model_copy(update={"layer": cut.name}),
        device=whole.device,
        arguments=whole.arguments,
    )


def _move_before_class_token(whole: Classifier) -> Classifier:
    """Return the classifier, split at the closest cut whose cells the head reads where it reads prefix tokens alone."""
    if whole.record.depends_on_cells or not whole.layout.n_prefix_tokens:
        return whole
    for cut in whole.walk_cuts():
        moved = _describe(_split_at(whole, cut))
        if moved.record.depends_on_cells:
            note = (
                f"split after {cut.name}: at {whole.record.layer}, the last feature map, the head reads the class "
                "token alone and ignores every cell"
            )
            moved.record = moved.record.model_copy(update={"notes": [*moved.record.notes, note]})
            return moved
    return whole


def _refuse_layer(whole: Classifier, layer: str, *, last_names: list[str], where: str) -> ModelError:
    """Return the error of a layer that a network cannot be split at, with those it can be split at."""
    cuts = whole.list_cuts()
    names = [*last_names[:1], *(cut.name for cut in cuts)]
    listed = ", ".join(names[:N_LISTED]) + (", …" if len(names) > N_LISTED else "")
    if layer and layer in dict(whole.network.named_modules()):
        came = "a layer that does not decide alone what comes after it (inside a residual block, or beside the way)."
    else:
        came = "no layer of this network."
    near = suggest(layer, [*last_names, *(name for cut in cuts for name in (cut.name, *cut.aliases))])
    return ModelError(
        f"Wanted a layer that everything after it depends on alone ({listed or 'there is none'}), got {layer!r}, in "
        f'{where}: {came}{near} Set [classifier] layer to one of those, or to "auto".'
    )

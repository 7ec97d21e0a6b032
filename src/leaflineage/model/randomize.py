"""The same classifier with weights that learned nothing: a floor for every figure about concepts.

Reference: Adebayo et al., "Sanity checks for saliency maps" (arXiv:1810.03292).
"""

from __future__ import annotations

import timm
import torch
from torch import nn

from leaflineage.model.folding import fold_batch_norms
from leaflineage.model.layout import probe_features
from leaflineage.model.placing import UNNAMED_LAYER, place_split
from leaflineage.model.split import Classifier, make_noise


def randomize(classifier: Classifier, seed: int) -> Classifier:
    """Return a classifier of the same architecture, preprocessing and split, with weights as timm initialises them.

    Parameters
    ----------
    classifier : Classifier
        It is left as it is.
    seed : int
        Of the weights: the same seed gives the same weights. Global random state is left as it was.

    Returns
    -------
    Classifier
        What its record says of the head was measured on noise.

    Raises
    ------
    ModelError
        Where the split cannot be placed there.
    """
    record, device = classifier.record, classifier.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: nn.Module = timm.create_model(
            record.architecture.partition(".")[0], pretrained=False, **classifier.arguments
        )
    made = made.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    noise = make_noise(record.preprocessing, device)
    return place_split(
        fold_batch_norms(made, noise),
        layer="auto" if record.layer == UNNAMED_LAYER else record.layer,
        probe=probe_features(made, noise, where=record.name),
        record=record.model_copy(
            update={
                "sha256": "",  # of no file
                "stated_accuracy": None,
                "split_error": 0.0,
                "notes": [f"random weights of seed {seed}: it learned nothing"],
            }
        ),
        device=device,
        arguments=classifier.arguments,
        where=record.name,
    )

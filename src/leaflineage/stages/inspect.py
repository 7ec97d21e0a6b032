"""Open the classifier, verify where it is split, and see whether its scores are what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaflineage.errors import ActivationError, ModelError
from leaflineage.model.check import check_accuracy
from leaflineage.model.load import Classifier, verify_classifier
from leaflineage.stages.context import Context
from leaflineage.stages.reading import read_specimens, to_tensor
from leaflineage.stages.selection import choose_evenly

if TYPE_CHECKING:
    from torch import Tensor

N_VERIFIED = 16  # specimens on which the split is verified
N_SCORED = 200  # specimens on which scores are checked


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write model.json and, where the head is affine after pooling, its weights.

    Raises
    ------
    ModelError
        Where the split does not reproduce the classifier, or its scores are near chance.
    ActivationError
        Where the activations are signed and the config wants NMF, which cannot take them.
    """
    classifier = context.load_classifier()
    context.__dict__["model"] = classifier.record
    known = [each for each in context.list_used() if each.family in classifier.record.label_names]
    if not known:
        named = ", ".join(str(name) for name in classifier.record.label_names if name)[:200]
        raise ModelError(
            f"Specimens of the classifier's families were wanted, and none of the {len(context.list_used())} specimens "
            f"is of one: it names {named}. Set [classifier] label_names, or mend the families of the specimens."
        )
    chosen = choose_evenly(known, N_SCORED)
    fitted, families = [], []
    set_aside: dict[str, str] = {}
    for index, _, image, _ in read_specimens(context, chosen, set_aside):
        fitted.append(image)
        families.append(chosen[index].family)
    if not fitted:
        raise ModelError("Pictures were wanted to verify the classifier on, and none of those tried could be read.")
    step = max(1, len(fitted) // N_VERIFIED)
    verified = (fitted[::step] * N_VERIFIED)[:N_VERIFIED]
    specimens = to_tensor(verified)
    record = verify_classifier(classifier, specimens)
    if record.signed and context.config.concepts.factorization == "nmf":
        raise _refuse_nmf(classifier, specimens)
    outputs = {name: index for index, name in enumerate(record.label_names) if name}
    check = check_accuracy(
        classifier, fitted, [outputs[str(each)] for each in families], stated_accuracy=record.stated_accuracy
    )
    if check.problem and not context.config.classifier.trust_names:
        raise ModelError(check.problem)
    files = {}
    if record.affine_head and classifier.head_weight is not None and classifier.head_bias is not None:
        arrays = {"weight": classifier.head_weight.cpu().numpy(), "bias": classifier.head_bias.cpu().numpy()}
        files["head.safetensors"] = context.store.write_arrays("head.safetensors", arrays)
    else:
        context.store.remove("head.safetensors")  # of a split before
    payload = record.model_dump(mode="json")
    payload["score_check"] = {"top1": check.top1, "n": check.n_specimens, "chance": check.chance}
    payload["set_aside"] = set_aside
    return payload, files


def _refuse_nmf(classifier: Classifier, specimens: Tensor) -> ActivationError:
    """Return the error of a config that wants NMF of signed activations."""
    import torch

    with torch.no_grad():
        lowest = float(classifier.features(specimens).min())
    record = classifier.record
    return ActivationError(
        f"{record.architecture}: activations reach {lowest:.2g} at {record.layer}, and NMF needs 0 or more. Split the "
        'model after a ReLU ([classifier] layer = ...), or set [concepts] factorization = "semi-nmf".'
    )

"""What a task has at hand: the run's store, config, catalogue and classifier record, for one family or for all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from leaflineage.config import DRAWN_CLASSIFIER, Config
from leaflineage.errors import ModelError
from leaflineage.records import Catalogue, ModelRecord, Specimen
from leaflineage.stages.selection import SelectedFamily, list_queries, list_specimens, select_families
from leaflineage.store import Store

if TYPE_CHECKING:
    from leaflineage.model.load import Classifier

WEIGHT_SUFFIXES = frozenset([".safetensors", ".bin", ".pt", ".pth", ".tar", ".ckpt", ".json", ".h5", ".keras"])
_loaded: dict[str, Classifier] = {}  # one classifier a worker process, by what determines it


@dataclass(frozen=True)
class Context:
    """A task's surroundings.

    Attributes
    ----------
    slug
        The family's slug; empty for what concerns all families.
    """

    store: Store
    config: Config
    slug: str = ""

    @cached_property
    def catalogue(self) -> Catalogue:
        """The run's catalogue."""
        return Catalogue.model_validate(self.store.read_json("catalogue.json", "catalogue", stage="scan"))

    @cached_property
    def model(self) -> ModelRecord:
        """The classifier's record."""
        return ModelRecord.model_validate(self.store.read_json("model.json", "model", stage="inspect"))

    @cached_property
    def families(self) -> list[SelectedFamily]:
        """Every named output and every family of the catalogue, in order of slug."""
        return select_families(self.config, self.catalogue, self.model)

    @cached_property
    def family(self) -> SelectedFamily:
        """The family this task is about."""
        return next(family for family in self.families if family.slug == self.slug)

    @cached_property
    def specimens(self) -> list[Specimen]:
        """The family's reference specimens in use, in order of id."""
        return list_specimens(self.catalogue).get(self.family.name, [])

    @property
    def specimens_root(self) -> Path:
        """The folder that specimens' files are relative to."""
        return self.config.specimens.root or self.store.path("specimens")

    def list_used(self) -> list[Specimen]:
        """Return all families' reference specimens in use, in order of id."""
        return [each for each in self.catalogue.specimens if each.family is not None and each.set_aside is None]

    def list_queries(self) -> list[Specimen]:
        """Return the specimens without a family."""
        return list_queries(self.catalogue)

    def list_built(self) -> list[str]:
        """Return the slugs of families that get concepts."""
        return [family.slug for family in self.families if family.missing is None]

    def count_makers(self) -> dict[str, int]:
        """Return how many of the run's artifacts, the manifest aside, each maker made (`machine.describe_maker`)."""
        built = {*self.list_built()}
        counts: dict[str, int] = {}
        for name, maker in sorted(self.store.read_makers().items()):
            folder, _, rest = name.partition("/")
            if name != "manifest.json" and (folder != "families" or rest.partition("/")[0] in built):
                counts[maker] = counts.get(maker, 0) + 1
        return dict(sorted(counts.items()))

    def of(self, slug: str) -> Context:
        """Return the context of a family in the same run, sharing what has been read."""
        other = Context(self.store, self.config, slug)
        for name in ("catalogue", "model", "families"):
            if name in self.__dict__:
                other.__dict__[name] = self.__dict__[name]
        return other

    # --- outside the run -------------------------------------------------------------------------------------

    def locate_classifier(self) -> str:
        """Return the classifier's source, the reserved word resolved to the folder that ships with the package."""
        source = self.config.classifier.source
        if source == DRAWN_CLASSIFIER:
            return str(Path(__file__).resolve().parent.parent / "herbarium" / "classifier")
        return source

    def hash_classifier(self) -> str:
        """Return the sha256 over the classifier's files, or its address where it lies on a hub.

        Raises
        ------
        ModelError
            Where nothing is at its path.
        """
        return self._hash_source(self.locate_classifier(), "[classifier] source")

    def hash_second_classifier(self) -> str | None:
        """Return the same of the classifier that pictures are shown to beside, None where none is named."""
        second = self.config.visualize.transfer_classifier
        return None if second is None else self._hash_source(str(second), "[visualize] transfer_classifier")

    def _hash_source(self, source: str, key: str) -> str:
        if source.startswith("hf-hub:"):
            return source
        path = Path(source.removeprefix("local-dir:"))
        if not path.exists():
            raise ModelError(
                f"A classifier was wanted at {path}, and nothing is there. Put the checkpoint (a timm folder with "
                f"config.json and model.safetensors, or a weights file) there, or set {key}."
            )
        files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix in WEIGHT_SUFFIXES)
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.name.encode() if path.is_dir() else b"")
            digest.update((self.hash_outside(file) or "").encode())
        return digest.hexdigest()

    def hash_outside(self, path: Path | None) -> str | None:
        """Return the sha256 of a file outside the run, None where there is none."""
        if path is None or not path.is_file():
            return None
        stat = path.stat()
        return _hash(path, stat.st_size, stat.st_mtime_ns)

    def load_classifier(self) -> Classifier:
        """Return the classifier on the run's device, loaded once a process."""
        from leaflineage.model.load import load_classifier

        settings = self.config.classifier
        device = choose_device(self.config.run.device)
        key = json.dumps([settings.model_dump(mode="json"), device, self.hash_classifier()])
        if key not in _loaded:
            _loaded.clear()
            _loaded[key] = load_classifier(
                self.locate_classifier(),
                architecture=settings.architecture,
                layer=settings.layer,
                label_names=settings.label_names,
                catalogue_families=self.catalogue.families,
                input_size=settings.input_size,
                mean=settings.mean,
                std=settings.std,
                interpolation=settings.interpolation,
                fit=settings.fit,
                pad_colour=settings.pad_colour,
                trust_names=settings.trust_names,
                device=device,
            )
        return _loaded[key]


@cache
def _hash(path: Path, size: int, mtime_ns: int) -> str:
    """Return a file's sha256, read once a process while its size and time of change stay as they are."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def name_accelerator(wanted: str) -> str:
    """Return the name of the accelerator that a build computes on; empty where that is the processor itself."""
    if wanted == "cpu" or choose_device(wanted) == "cpu":
        return ""
    import torch

    device = choose_device(wanted)
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def choose_device(wanted: str) -> str:
    """Return the device to compute on: "auto" takes CUDA where torch finds it."""
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"The device {wanted!r} was wanted, and torch has none of that name here ({str(error).splitlines()[0]}). "
            "Use --device cpu, or --device auto to take what there is."
        ) from error
    return wanted

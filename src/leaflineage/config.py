"""A run's config: TOML in, frozen models out, every mistake told at once.

The only home of a default. What is given later wins: default < file < ``--set`` < named flag. Paths in a file are
relative to the file, paths on the command line to the working directory.
"""

from __future__ import annotations

import copy
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from leaflineage.errors import ConfigError, suggest
from leaflineage.records import Licences

PATH_KEYS = (
    ("specimens", "root"),
    ("specimens", "catalogue"),
    ("specimens", "withdrawn"),
    ("atlas", "taxonomy"),
    ("anatomy", "names"),
    ("classifier", "source"),
    ("classifier", "label_names"),
    ("visualize", "transfer_classifier"),
    ("train", "output"),
)
PRESETS = {
    "draft": {"size": 384, "steps": 70, "crops": 3, "n_visualizations": 1},
    "standard": {"size": 512, "steps": 256, "crops": 6, "n_visualizations": 1},
    "fine": {"size": 768, "steps": 512, "crops": 12, "n_visualizations": 2},
}
LEAST_SIZE = 32  # pixels of a feature visualization: smaller ones hold no spectrum
DRAWN_CLASSIFIER = "herbarium"  # the reserved source that stands for the classifier shipped with the drawn leaves


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused, no silent conversion of strings to numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse text where a number or a truth value belongs, and a truth value where a number does."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        kinds = {annotation, *get_args(annotation)}
        if any(get_origin(kind) is Literal for kind in kinds):  # a word may stand in a number's place
            return value
        if kinds & {int, float} and isinstance(value, (str, bool)):
            raise ValueError("needs a number, without quotes")
        if bool in kinds and not isinstance(value, bool):
            raise ValueError("needs true or false, without quotes")
        return value


class LicencesSection(Licences):
    """Licences, unknown keys refused."""

    model_config = ConfigDict(extra="forbid")


class AtlasSection(Section):
    """What the atlas is called and which families it shows."""

    title: str = "LeafLineage"
    rank: str = "family"
    families: list[str] = []
    n_shown: int = Field(10, ge=1, le=99)
    taxonomy: Path | None = None
    version: str | None = None
    doi: str | None = None
    authors: list[str] = []
    licences: LicencesSection = LicencesSection()


class DrawSection(Section):
    """How many leaves the herbarium draws, and how large."""

    n: int = Field(40, ge=1, le=10_000)
    size: int = Field(256, ge=48, le=2048)
    seed: int = Field(0, ge=0)
    families: list[str] = []


class SpecimensSection(Section):
    """Where the specimens come from and which of them count."""

    root: Path | None = None
    catalogue: Path | None = None
    withdrawn: Path | None = None
    draw: DrawSection | None = None
    split: str = Field("column", pattern=r"^(column|none|md5:[1-9][0-9]*)$")
    min_specimens: int = Field(10, ge=2)
    max_pixels: int = Field(50_000_000, ge=1)
    follow_symlinks: bool = False

    @model_validator(mode="after")
    def _has_one_source(self) -> SpecimensSection:
        if (self.root is None) == (self.draw is None):
            raise ValueError(
                "needs either root (a folder of pictures) or draw (a table: how many leaves to draw), and "
                f"{'both are' if self.root else 'neither is'} given"
            )
        return self


class ClassifierSection(Section):
    """Which classifier is explained, and how its input is made."""

    source: str
    architecture: str | None = None
    layer: str = "auto"
    label_names: list[str] | Path | None = None
    input_size: int | None = Field(None, ge=16, le=4096)
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    interpolation: Literal["bilinear", "bicubic", "nearest", "lanczos", "box", "hamming"] | None = None
    fit: Literal["pad", "crop", "squash"] = "pad"
    pad_colour: tuple[int, int, int] = (255, 255, 255)
    trust_names: bool = False

    @field_validator("label_names", mode="before")
    @classmethod
    def _is_list_or_path(cls, names: Any) -> Any:
        if names is None or isinstance(names, (str, Path)):
            return names
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            raise ValueError("needs a list of names, or the path of a text file with one name a line")
        return names

    @field_validator("std")
    @classmethod
    def _is_positive(cls, std: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if std is not None and min(std) <= 0:
            raise ValueError("needs three numbers above 0")
        return std


class ConceptsSection(Section):
    """How concepts are found."""

    fit_on: Literal["cells", "crops", "both"] = "cells"
    max_cells: int = Field(20_000, ge=100)
    n_concepts: int | Literal["auto"] = 10
    n_concepts_tried: list[Annotated[int, Field(ge=1, le=99)]] = [4, 6, 8, 10, 12, 15, 20, 25]
    factorization: Literal["auto", "nmf", "semi-nmf"] = "auto"
    max_iterations: int = Field(400, ge=1)
    crop_side: float = Field(0.4, gt=0, le=1)
    crop_stride: float = Field(0.3, gt=0, le=1)
    drop_blank: bool = True
    refits: int = Field(5, ge=0, le=100)
    n_crops: int = Field(10, ge=1, le=50)
    n_attributions: int = Field(3, ge=0, le=50)
    recurse: int = Field(1, ge=1, le=2)
    n_subconcepts: int = Field(3, ge=2, le=9)
    min_leaf_share: float = Field(0.0, ge=0, le=1)

    @property
    def most_concepts(self) -> int:
        """The number of concepts fitted a family, or the largest number tried."""
        return max(self.n_concepts_tried) if self.n_concepts == "auto" else self.n_concepts

    @property
    def fewest_concepts(self) -> int:
        """The number of concepts fitted a family, or the smallest number tried."""
        return min(self.n_concepts_tried) if self.n_concepts == "auto" else self.n_concepts

    @field_validator("n_concepts", mode="plain")
    @classmethod
    def _is_a_count_or_auto(cls, n: Any) -> Any:
        if n == "auto":
            return n
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 99:
            raise ValueError('needs a whole number from 1 to 99, without quotes, or "auto"')
        return n

    @field_validator("n_concepts_tried")
    @classmethod
    def _is_rising(cls, tried: list[int]) -> list[int]:
        if not tried or sorted(set(tried)) != tried:
            raise ValueError("needs at least one number, each larger than the one before")
        return tried


class ImportanceSection(Section):
    """How finely importance is sampled where no closed form exists."""

    half_width: float = Field(0.02, gt=0, lt=1)
    max_evaluations: int = Field(200_000, ge=64)


class VisualizeSection(Section):
    """How concepts are drawn (MACO)."""

    quality: Literal["draft", "standard", "fine"] = "draft"
    size: int = Field(0, ge=0, le=4096)
    steps: int = Field(0, ge=0, le=100_000)
    crops: int = Field(0, ge=0, le=256)
    n_visualizations: int = Field(0, ge=0, le=16)
    spectrum: Literal["family", "all"] = "family"
    transfer_classifier: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        """Let ``quality`` set what is not given; 0 means "as the preset says"."""
        if not isinstance(values, Mapping):
            return values
        quality = values.get("quality", "draft")
        preset = PRESETS.get(quality, {}) if isinstance(quality, str) else {}
        return {**values, **{key: values.get(key, 0) or number for key, number in preset.items()}}

    @field_validator("size")
    @classmethod
    def _is_large_enough(cls, size: int) -> int:
        if 0 < size < LEAST_SIZE:
            raise ValueError(f"needs 0 (as the quality says) or at least {LEAST_SIZE} pixels")
        return size


class SiteSection(Section):
    """How the site is baked."""

    base_url: str | None = None
    repository: str | None = None
    images: Literal["all", "licensed", "none"] = "all"
    budget_mb: float = Field(300.0, gt=0)


class TrainSection(Section):
    """How a classifier of the drawn leaves is fine-tuned: ``leaflineage train``."""

    output: Path | None = None
    architecture: str = "tf_efficientnet_lite0"
    n_train: int = Field(150, ge=2)
    n_held_out: int = Field(40, ge=1)
    input_size: int = Field(128, ge=32)
    epochs: int = Field(6, ge=1)
    batch_size: int = Field(32, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    seed: int = Field(1000, ge=0)


class RunSection(Section):
    """What changes no result: where and how fast a build runs (the seed aside)."""

    seed: int = Field(0, ge=0)
    device: str = "auto"
    jobs: int = Field(0, ge=0, le=1024)
    memory_gb: float = Field(4.0, gt=0)
    keep_activations: bool = False


class AnatomySection(Section):
    """Where on the leaf concepts sit, and their names."""

    suggest: bool = True
    names: Path | None = None


class Config(Section):
    """One run's settings, resolved."""

    name: str = "atlas"
    atlas: AtlasSection = AtlasSection()
    specimens: SpecimensSection
    classifier: ClassifierSection
    concepts: ConceptsSection = ConceptsSection()
    importance: ImportanceSection = ImportanceSection()
    visualize: VisualizeSection = VisualizeSection()
    anatomy: AnatomySection = AnatomySection()
    site: SiteSection = SiteSection()
    train: TrainSection = TrainSection()
    run: RunSection = RunSection()

    def settings(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the values of dotted ``keys`` (``concepts.n_concepts``) as plain JSON values, in order of key.

        Of paths the last part alone: where a file lies changes no result.
        """
        dumped = self.model_dump(mode="json")
        for section, key in PATH_KEYS:
            table = dumped[section]
            if isinstance(table[key], str):
                table[key] = Path(table[key]).name
        found: dict[str, Any] = {}
        for key in sorted(keys):
            value: Any = dumped
            for part in key.split("."):
                value = value[part] if value is not None else None
            found[key] = value
        return found


def load_config(
    path: Path | None,
    *,
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    name: str | None = None,
    base: Mapping[str, Any] | None = None,
) -> Config:
    """Read a config file, lay ``--set`` overrides and named flags over it, and validate the whole.

    Parameters
    ----------
    path
        TOML file; None for defaults and overrides alone.
    overrides
        ``section.key=value`` each; the value is read as TOML, else taken as a string.
    flags
        Dotted key to value, from named flags of the command line; None values are passed over.
    name
        The run's name; the stem of ``path`` unless given.
    base
        Tables in a file's place, their paths absolute: a config that is laid over again.

    Raises
    ------
    ConfigError
        With one line a mistake, all of them.
    """
    where = str(path) if path else "the command line"
    values = _resolve_paths(_read_toml(path), (path.parent if path else Path.cwd()).resolve())
    values = {**copy.deepcopy(dict(base or {})), **values}
    mistakes: list[str] = []
    if "name" in values and base is None:
        mistakes.append("name is no key of ours: a run is named after its config's file, or with --run.")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.strip().split(".")):
            mistakes.append(f"--set wants section.key=value, and {override!r} is not that.")
            continue
        _lay_over(values, key.strip(), _read_value(text), mistakes)
    for key, value in (flags or {}).items():
        if value is not None:
            _lay_over(values, key, value, mistakes)
    if name or path:
        values["name"] = name or (path.stem if path else "atlas")
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        mistakes += [_say_mistake(each) for each in error.errors(include_url=False)]
        config = None
    if mistakes or config is None:
        lines = "\n".join(f"  - {mistake}" for mistake in mistakes)
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise ConfigError(f"The config from {where} has {count}:\n{lines}")
    return config


def check_paths(config: Config, path: Path | None) -> None:
    """See that every file and folder a config names is there, before anything long begins.

    Raises
    ------
    ConfigError
        With one line a path that is missing, all of them.
    """
    source = config.classifier.source.removeprefix("local-dir:")
    on_disk = source != DRAWN_CLASSIFIER and not source.startswith("hf-hub:")
    names = config.classifier.label_names
    wanted = {
        "[specimens] root": config.specimens.root,
        "[specimens] catalogue": config.specimens.catalogue,
        "[specimens] withdrawn": config.specimens.withdrawn,
        "[classifier] source": Path(source) if on_disk else None,
        "[classifier] label_names": names if isinstance(names, Path) else None,
        "[atlas] taxonomy": config.atlas.taxonomy,
        "[anatomy] names": config.anatomy.names,
        "[visualize] transfer_classifier": config.visualize.transfer_classifier,
    }
    missing = {key: place for key, place in wanted.items() if place is not None and not place.exists()}
    if missing:
        lines = "\n".join(f"  - {key}: nothing is at {place}" for key, place in missing.items())
        head = _read_head(path)
        told = any(f"/{place.name}" in head for place in missing.values())
        now = f"The head of {path} says what to download and where to put it" if told else "Put it there"
        raise ConfigError(f"The config names what is not there:\n{lines}\n{now}, or give other paths with --set.")


def check_places(run: Path, out: Path | None, config: Config | None = None) -> None:
    """Raise a ConfigError where a site, a run and the leaves would lie in each other's way."""
    folder, site = run.resolve(), (out or run / "site").resolve()
    if site == folder or site in folder.parents:
        raise ConfigError(
            f"A folder for the site was wanted, and {site} is or holds the run folder, which has files of its own. "
            "Name another one with --out."
        )
    if config is None or config.specimens.root is None or config.specimens.catalogue is not None:
        return
    root = config.specimens.root.resolve()
    for place, flag in ((folder, "--run"), (site, "--out")):
        if place == root or root in place.parents:
            raise ConfigError(
                f"Whatever lies in {root} is taken for leaves, and what a build writes would go to {place}, inside it: "
                f"the next build would take crops and heat maps for specimens. Name another folder with {flag}."
            )


def _read_head(path: Path | None) -> str:
    """Return the comment a config opens with."""
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path else []
    return "\n".join(itertools.takewhile(lambda line: line.startswith("#") or not line.strip(), lines))


def _read_toml(path: Path | None) -> dict[str, Any]:
    """Return a TOML file's tables."""
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"A config was wanted at {path}, and no file is there. Write one with `leaflineage init`, or give the path "
            "of one that exists."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"A config was wanted at {path}, and it cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}. Strings need quotes, tables [brackets].") from None


def _read_value(text: str) -> Any:
    """Read a value as TOML, else take it as a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _lay_over(values: dict[str, Any], key: str, value: Any, mistakes: list[str]) -> None:
    """Set a dotted key, its path relative to the working directory."""
    *tables, last = key.split(".")
    table = values
    for part in tables:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            mistakes.append(f"{key} cannot be set: {part} is a value, not a table.")
            return
        table = inner
    if (*tables, last) in PATH_KEYS:
        value = _resolve_path(value, Path.cwd())
    if key == "specimens.root":
        values["specimens"].pop("draw", None)  # a folder given later replaces the drawn leaves
    table[last] = value


def _resolve_paths(values: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Make the path keys of a file's values absolute."""
    resolved = {key: dict(table) if isinstance(table, dict) else table for key, table in values.items()}
    for section, key in PATH_KEYS:
        table = resolved.get(section)
        if isinstance(table, dict) and key in table:
            table[key] = _resolve_path(table[key], directory)
    return resolved


def _resolve_path(value: Any, directory: Path) -> Any:
    """Make one path absolute; leave hub addresses, the reserved word and what is no string alone."""
    if not isinstance(value, str) or not value or value == DRAWN_CLASSIFIER or value.startswith("hf-hub:"):
        return value
    prefix = "local-dir:" if value.startswith("local-dir:") else ""
    return prefix + str((directory / Path(value.removeprefix(prefix)).expanduser()).resolve())


def _say_mistake(error: Any) -> str:
    """Turn one of pydantic's findings into a sentence of ours."""
    parts = [str(part) for part in error["loc"]]
    key = ".".join(parts)
    if error["type"] == "extra_forbidden":
        choices = _keys_beside(parts)
        return f"{key} is no key of ours.{suggest(parts[-1], choices)} Keys there: {', '.join(choices)}."
    if error["type"] == "missing":
        return f"{key} is needed and is not given."
    text = str(error["msg"]).removeprefix("Value error, ")
    came = error.get("input")
    shown = "" if isinstance(came, dict) else f" It is {came!r}."
    return f"{key}: {text[0].lower()}{text[1:]}.{shown}"


def _keys_beside(parts: Sequence[str]) -> list[str]:
    """Return the keys that may stand where the last part of a location stands."""
    model: type[BaseModel] = Config
    for part in parts[:-1]:
        field = model.model_fields.get(part)
        if field is None:
            return []
        inner = field.annotation
        candidates = [inner, *getattr(inner, "__args__", ())]
        models = [each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)]
        if not models:
            return []
        model = models[0]
    return sorted(name for name in model.model_fields if not (model is Config and name == "name"))

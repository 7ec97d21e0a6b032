"""The experts' names for concepts: one line a concept in a file that people edit and send as a pull request.

    "betulaceae/concept-03" = { name = "Petiole and base", uid = "…", author = "N. N.", date = 2026-11-26, note = "…" }

A line is for the concept of that uid, wherever it stands now; where no uid is given, for the concept that stands at
that id. When a run changes, a uid may be gone, and another concept may stand at an id. The direction that was named
lies beside the file (``names.safetensors``, written by `leaflineage names --keep`), and the line goes over to the
concept of the same family whose direction is nearest by cosine, if that is near enough. Where two lines come to one
concept, the nearer has it. Each succession is reported.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.errors import ConfigError, suggest

Floats = NDArray[np.floating]
NEAR = 0.75  # cosine from which a concept succeeds another; different concepts of one family reach 0.57
KEYS = ("name", "uid", "terms", "author", "date", "note", "agree", "disagree")
LINE = re.compile(r"""\s*\[?\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*[=\]]""")


@dataclass(frozen=True)
class ExpertName:
    """One line of the file.

    Attributes
    ----------
    id
        Where the concept stood when the line was written, as "betulaceae/concept-03".
    line
        Number of the line, from 1.
    """

    id: str
    line: int
    name: str
    uid: str | None = None
    terms: tuple[str, ...] = ()
    author: str | None = None
    date: str | None = None
    note: str | None = None
    agree: tuple[str, ...] = ()
    disagree: tuple[str, ...] = ()


@dataclass(frozen=True)
class Concept:
    """A concept as it stands in a run: its direction (n_channels,) is the row of the bank."""

    id: str
    uid: str
    direction: Floats


@dataclass(frozen=True)
class Matches:
    """Which line names which concept.

    Attributes
    ----------
    named
        {id of a concept now: line}.
    moved
        (line, id now, cosine) of lines whose concept is another's successor; cosine 1 where only the id changed.
    lost
        Lines that name no concept of the run.
    """

    named: dict[str, ExpertName] = field(default_factory=dict)
    moved: list[tuple[ExpertName, str, float]] = field(default_factory=list)
    lost: list[ExpertName] = field(default_factory=list)


def read_names(path: Path) -> list[ExpertName]:
    """Return the lines of a file of names, in order.

    Raises
    ------
    ConfigError
        Where the file cannot be read, is no TOML, or a line lacks a name or has a key that means nothing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        entries = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"A file of names was wanted at {path}, and cannot be read ({error.strerror or error}). Write it, or take "
            "[anatomy] names out of the config."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} should be TOML, one line a concept, and is not: {error}. A line reads: "
            '"betulaceae/concept-03" = { name = "Petiole and base", author = "N. N." }'
        ) from error
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if found := LINE.match(line):
            lines.setdefault(_read_key(found[1]), number)
    return [_read_entry(path, key, entry, lines.get(key, 0)) for key, entry in entries.items()]


def _read_key(written: str) -> str:
    """Return a key as it is meant, from how it is written: bare, or in quotes of either kind."""
    try:
        return next(iter(tomllib.loads(f"{written} = 0")))
    except tomllib.TOMLDecodeError:
        return written  # inside a text of several lines


def _read_entry(path: Path, key: str, entry: Any, line: int) -> ExpertName:
    where = f"{path.name}, line {line}" if line else path.name
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        raise ConfigError(
            f"{where}: {key!r} should be a concept with a name, as { {'name': 'Petiole and base'} }, and is "
            f"{entry!r}. Give it one, or take the line out."
        )
    for name in entry:
        if name not in KEYS:
            raise ConfigError(
                f"{where}: {key!r} has {name!r}, which means nothing there.{suggest(name, KEYS)} "
                f"A line may hold {', '.join(KEYS)}."
            )
    date = entry.get("date")
    values: dict[str, Any] = {
        "date": date.isoformat() if isinstance(date, (dt.date, dt.datetime)) else date,
        "name": " ".join(entry["name"].split()),
    }
    for name in ("uid", "author", "note"):
        values[name] = entry.get(name)
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{where}: {name} of {key!r} should be a text, and is {value!r}. Put it in quotes.")
    for name in ("terms", "agree", "disagree"):
        listed = entry.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            raise ConfigError(
                f"{where}: {name} of {key!r} should be a list of texts, and is {listed!r}. Write it in brackets."
            )
        values[name] = tuple(listed)
    return ExpertName(id=key, line=line, **values)


def match_names(names: Sequence[ExpertName], concepts: Sequence[Concept], directions: Mapping[str, Floats]) -> Matches:
    """Return which line names which concept of a run.

    Parameters
    ----------
    names
        In order; of two lines that come to one concept, the later is lost.
    concepts
        All of the run's.
    directions
        {uid or id: (n_channels,)} of what was named, as `read_directions` gives them.
    """
    by_uid = {each.uid: each for each in concepts}
    by_id = {each.id: each for each in concepts}
    matches = Matches()
    waiting = []
    for name in names:
        concept = by_uid.get(name.uid) if name.uid else by_id.get(name.id)
        direction = directions.get(name.uid or name.id)
        if concept is not None and not name.uid and direction is not None and _compare(concept, direction) < NEAR:
            concept = None  # another stands at that id now
        if concept is None:
            waiting.append(name)
        elif concept.id in matches.named:
            matches.lost.append(name)
        else:
            matches.named[concept.id] = name
            if concept.id != name.id:
                matches.moved.append((name, concept.id, 1.0))
    _give_on(matches, waiting, concepts, directions)
    return matches


def _give_on(
    matches: Matches, waiting: Sequence[ExpertName], concepts: Sequence[Concept], directions: Mapping[str, Floats]
) -> None:
    """Give lines whose concept is gone to free concepts of the same family, the nearest pair first; lose the others."""
    pairs = []
    for place, name in enumerate(waiting):
        direction = directions.get(name.uid or name.id)
        slug = name.id.partition("/")[0]
        for concept in concepts:
            if direction is None or concept.id.partition("/")[0] != slug or concept.id in matches.named:
                continue
            cosine = _compare(concept, direction)
            if cosine >= NEAR:
                pairs.append((-cosine, place, concept.id))
    given: set[int] = set()
    for minus_cosine, place, concept_id in sorted(pairs):
        if place not in given and concept_id not in matches.named:
            given.add(place)
            matches.named[concept_id] = waiting[place]
            matches.moved.append((waiting[place], concept_id, -minus_cosine))
    matches.lost.extend(name for place, name in enumerate(waiting) if place not in given)


def _compare(concept: Concept, direction: Floats) -> float:
    """Return the cosine of a concept's direction with another; −1 where they are of different classifiers."""
    if concept.direction.shape != direction.shape:
        return -1.0
    first, second = concept.direction.astype(np.float64), direction.astype(np.float64)
    return float(first @ second) / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12)


def write_line(name: ExpertName) -> str:
    """Return a name as a line of the file."""
    parts = [f"name = {_quote(name.name)}"]
    if name.uid:
        parts.append(f"uid = {_quote(name.uid)}")
    if name.terms:
        parts.append(f"terms = [{', '.join(_quote(term) for term in name.terms)}]")
    for key in ("author", "date", "note"):
        value = getattr(name, key)
        if value:
            parts.append(f"{key} = {_quote(value)}")
    for key in ("agree", "disagree"):
        if getattr(name, key):
            parts.append(f"{key} = [{', '.join(_quote(each) for each in getattr(name, key))}]")
    return f"{_quote(name.id)} = {{ {', '.join(parts)} }}"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # which JSON may hold bare, and TOML not


def locate_in_repository(path: Path) -> str:
    """Return where a file stands in the Git repository around it, as a POSIX path; its name where there is none."""
    whole = path.resolve()
    for folder in whole.parents:
        if (folder / ".git").exists():
            return whole.relative_to(folder).as_posix()
    return path.name


# --- directions ----------------------------------------------------------------------------------------------


def locate_directions(path: Path) -> Path:
    """Return where the directions that a file of names speaks of lie."""
    return path.with_suffix(".safetensors")


def read_directions(path: Path) -> dict[str, Floats]:
    """Return {uid, or id where a line has none: direction} of what was named; empty where nothing was kept.

    Raises
    ------
    ConfigError
        Where the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    beside = locate_directions(path)
    if not beside.is_file():
        return {}
    try:
        return {uid: row.astype(np.float32) for uid, row in load_file(beside).items()}
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"{beside} should hold the directions of named concepts, and is damaged ({error}). Write it again with "
            "`leaflineage names RUN --keep`, from the run that the names were given in."
        ) from error


def keep_directions(path: Path, matches: Matches, concepts: Sequence[Concept]) -> int:
    """Write the directions of all named concepts beside the file of names; return how many there are.

    Directions of names that the run has lost are kept as they were.
    """
    from safetensors.numpy import save

    known = read_directions(path)
    by_id = {each.id: each for each in concepts}
    for concept_id, name in matches.named.items():
        known[name.uid or name.id] = by_id[concept_id].direction
    content = save({uid: np.ascontiguousarray(known[uid].astype(np.float16)) for uid in sorted(known)})
    beside = locate_directions(path)
    part = beside.with_name(beside.name + ".part")
    part.write_bytes(content)
    part.replace(beside)
    return len(known)

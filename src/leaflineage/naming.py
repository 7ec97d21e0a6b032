"""The concepts of a finished run beside their names: list them, check the experts' lines, propose new ones, keep."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaflineage.errors import suggest
from leaflineage.expert_names import (
    Concept,
    ExpertName,
    Matches,
    keep_directions,
    locate_directions,
    match_names,
    read_directions,
    read_names,
    write_line,
)
from leaflineage.resources import find_resource
from leaflineage.store import Store
from leaflineage.website.words import Words


@dataclass(frozen=True)
class Listed:
    """A shown concept with the name that a program suggests for it, None where it suggests none."""

    concept: Concept
    rank: int
    share: float
    suggested: ExpertName | None  # its line, were it an expert's
    confidence: float | None


@dataclass(frozen=True)
class Naming:
    """A run's concepts by family and rank, and which line of the file names which.

    Attributes
    ----------
    file
        None where no file is read: then there are no lines.
    """

    families: dict[str, list[Listed]]
    file: Path | None
    names: Sequence[ExpertName]
    matches: Matches

    @property
    def concepts(self) -> list[Concept]:
        """All shown concepts."""
        return [each.concept for listed in self.families.values() for each in listed]


def read_naming(run: Path, file: Path | None) -> Naming:
    """Return the concepts of a run beside the lines of a file of names.

    Raises
    ------
    ArtifactError
        Where the run is not finished.
    ConfigError
        Where the file cannot be read, or a line of it cannot be followed.
    """
    store = Store(run)
    index = store.read_json("index.json", "index", stage="collect")
    families = {
        family["slug"]: _list_family(store, family["slug"], family["concepts"])
        for family in index["families"]
        if family["concepts"]
    }
    names = read_names(file) if file else []
    concepts = [each.concept for listed in families.values() for each in listed]
    matches = match_names(names, concepts, read_directions(file) if file else {})
    return Naming(families, file, names, matches)


def _list_family(store: Store, slug: str, concepts: Sequence[dict[str, Any]]) -> list[Listed]:
    """Return a family's concepts by rank, as the index has them."""
    bank = store.read_arrays(f"families/{slug}/bank.safetensors", stage="collect")["concept_bank"]
    located = store.read_json(f"families/{slug}/zones.json", "zones", stage="name")["concepts"]
    found = []
    for each in sorted(concepts, key=lambda concept: int(concept["rank"])):
        said = located.get(each["id"].partition("/")[2], {}).get("suggested")
        line = ExpertName(each["id"], 0, said["text"], uid=each["uid"], terms=tuple(said["terms"])) if said else None
        found.append(
            Listed(
                concept=Concept(each["id"], each["uid"], bank[each["concept_index"]]),
                rank=each["rank"],
                share=each["importance"]["share"],
                suggested=line,
                confidence=said["confidence"] if said else None,
            )
        )
    return found


def write_list(naming: Naming) -> Iterator[str]:
    """Yield every concept in a line with its suggestion, under it who named it; then what moved and what is lost."""
    for listed in naming.families.values():
        for each in listed:
            said = "no suggestion"
            if each.suggested is not None and each.confidence is not None:
                said = f"suggested {each.suggested.name!r}, confidence {each.confidence:.2f}"
            concept = each.concept
            yield f"{concept.id}  uid {concept.uid}  rank {each.rank}  share {each.share:.0%}  {said}"
            name = naming.matches.named.get(concept.id)
            if name is not None:
                yield f"  named {name.name!r}{_tell_author(name)} ({_tell_place(naming, name)})"
    if naming.file is None:
        return
    n_lines, n_named = len(naming.names), len(naming.matches.named)
    yield f"{naming.file}: {n_lines} {'line' if n_lines == 1 else 'lines'}, {n_named} of them in use"
    for name, now, cosine in naming.matches.moved:
        yield f"  moved: {name.name!r} of {name.id} ({_tell_place(naming, name)}) to {now}, cosine {cosine:.2f}"
    for name in naming.matches.lost:
        yield f"  lost: {name.name!r} of {name.id} ({_tell_place(naming, name)})"


def _tell_author(name: ExpertName) -> str:
    told = ", ".join(part for part in (name.author, name.date) if part)
    return f" by {told}" if told else ""


def _tell_place(naming: Naming, name: ExpertName) -> str:
    assert naming.file is not None, "a line is of a file"
    return f"{naming.file.name}:{name.line}" if name.line else naming.file.name


def find_problems(naming: Naming) -> list[str]:
    """Return what is wrong with the lines, a sentence each: names that are lost, terms that the glossary lacks."""
    if naming.file is None:
        return []
    known = list(Words.load(find_resource("locale") / "en").entries["glossary"]["term"])
    kept = read_directions(naming.file)
    problems = [
        f"{_tell_place(naming, name)}: the name {name.name!r} of {name.id} is lost: {_explain_loss(naming, name, kept)}"
        for name in naming.matches.lost
    ]
    for name in naming.names:
        problems += [
            f"{_tell_place(naming, name)}: {term!r} of {name.id} is no term of the glossary.{suggest(term, known)}"
            for term in name.terms
            if term not in known
        ]
    return problems


def _explain_loss(naming: Naming, name: ExpertName, kept: Container[str]) -> str:
    """Return why a line names no concept, and what to do."""
    for concept in naming.concepts:
        rival = naming.matches.named.get(concept.id)
        if rival is not None and (concept.uid == name.uid or (name.uid is None and concept.id == name.id)):
            return f"{_tell_place(naming, rival)} names that concept already. Take one of the two lines out."
    if (name.uid or name.id) in kept:
        return "no free concept of its family is near enough to what was named. Give it another uid, or take it out."
    return (
        f"no shown concept of this run has its {'uid' if name.uid else 'id'}, and what was named was not kept. Give it "
        "another uid, or take it out; `leaflineage names RUN --keep` lets names outlive a change of the run."
    )


def write_proposals(naming: Naming) -> Iterator[str]:
    """Yield a ready line for each concept without one; one without a suggestion is commented out."""
    for listed in naming.families.values():
        for each in listed:
            if each.concept.id in naming.matches.named:
                continue
            line = each.suggested or ExpertName(each.concept.id, 0, "", uid=each.concept.uid)
            yield write_line(line) if each.suggested else f"# {write_line(line)}"


def keep(naming: Naming) -> tuple[Path, int]:
    """Write the directions of what is named beside the file; return where, and how many there are."""
    assert naming.file is not None, "asked only where a file is read"
    return locate_directions(naming.file), keep_directions(naming.file, naming.matches, naming.concepts)

"""Which family each output of the classifier stands for.

Names come, in this order, from the config's list or text file, the timm config, an entry of the checkpoint, and the
sorted families of the catalogue where their number equals the outputs'. Families are matched to outputs by name,
never by position. Fewer names than outputs is normal: what has no name stays unnamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leaflineage.errors import ModelError, suggest

UNNAMED = "-"


@dataclass(frozen=True)
class OutputNames:
    """One name an output, None where there is none, and where the names come from, in words and without a path."""

    names: list[str | None]
    origin: str


def resolve_label_names(
    *,
    n_outputs: int,
    label_names: Sequence[str] | Path | None,
    config_names: Sequence[str | None] | None,
    checkpoint_names: Sequence[str | None] | None,
    catalogue_families: Sequence[str],
    trust_names: bool,
    where: str,
) -> OutputNames:
    """Return the name of each output.

    Parameters
    ----------
    n_outputs : int
        Logits of the classifier.
    label_names : sequence of str, path of a text file with one name a line, or None
        ``[classifier] label_names``; ``-`` is an unnamed output.
    config_names, checkpoint_names : sequence of (str or None), or None
        What the timm config and the checkpoint say.
    catalogue_families : sequence of str
        Families of the specimens; may be empty (queries only).
    trust_names : bool
        Take the names even where no family of the catalogue bears one.
    where : str
        The classifier's source, for errors.

    Raises
    ------
    ModelError
        Where there are more names than outputs, one name twice, no names at all, or names that no family bears.
    """
    if label_names is not None:
        given, origin = _read_given_names(label_names)
    elif config_names:
        given, origin = list(config_names), "label_names of the timm config"
    elif checkpoint_names:
        given, origin = list(checkpoint_names), "an entry of the checkpoint"
    else:
        given, origin = _take_catalogue_families(catalogue_families, n_outputs, where)
    names = _complete_names(given, n_outputs=n_outputs, origin=origin, where=where)
    if catalogue_families and not trust_names:
        _require_a_match(names, catalogue_families, origin=origin, where=where)
    return OutputNames(names=names, origin=origin)


def read_names_file(path: Path) -> list[str]:
    """Read a text file of names, one a line as in timm's ``class_map.txt``; an empty line is an unnamed output."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"Wanted a text file with one family a line, got a file that cannot be read ({error}), at {path}. "
            "Mend the path in [classifier] label_names, or give the names there as a list."
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise ModelError(
            f"Wanted a text file with one family a line, got an empty file, at {path}. Write the names in the order "
            "of the outputs, or leave [classifier] label_names out."
        )
    return [line or UNNAMED for line in lines]


def _read_given_names(label_names: Sequence[str] | Path) -> tuple[list[str | None], str]:
    if isinstance(label_names, str | Path):
        path = Path(label_names)
        return list(read_names_file(path)), f"[classifier] label_names, file {path.name}"
    return list(label_names), "[classifier] label_names"


def _take_catalogue_families(families: Sequence[str], n_outputs: int, where: str) -> tuple[list[str | None], str]:
    found = sorted(set(families))
    if len(found) != n_outputs:
        raise ModelError(
            f"Wanted the names of the {n_outputs} outputs, got none, in {where}; the catalogue's {len(found)} families "
            f"cannot stand in, since their number is not {n_outputs}. Set [classifier] label_names to a list or a "
            'text file, one name an output in the classifier\'s order, "-" for an unnamed one.'
        )
    return list(found), "the sorted families of the catalogue (the classifier carries no names)"


def _complete_names(given: Sequence[str | None], *, n_outputs: int, origin: str, where: str) -> list[str | None]:
    """Check the names and fill up with unnamed outputs."""
    if len(given) > n_outputs:
        raise ModelError(
            f"Wanted at most {n_outputs} names, one an output of {where}, got {len(given)}, in {origin}. "
            f"Take out what is no output; the first name too many is {given[n_outputs]!r}."
        )
    names = [None if name is None or name.strip() in ("", UNNAMED) else name.strip() for name in given]
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name is not None and name in first:
            raise ModelError(
                f"Wanted each family once, got {name!r} for outputs {first[name]} and {index} of {where}, in {origin}. "
                'Name one of them as it should be, or "-" where its name is not known.'
            )
        if name is not None:
            first[name] = index
    if not first:
        raise ModelError(
            f"Wanted names of outputs, got only unnamed ones, in {origin} of {where}. "
            "Name at least the families you look for."
        )
    return names + [None] * (n_outputs - len(names))


def _require_a_match(names: Sequence[str | None], families: Sequence[str], *, origin: str, where: str) -> None:
    known = [name for name in names if name is not None]
    if set(known).isdisjoint(families):
        family = sorted(set(families))[0]
        raise ModelError(
            f"Wanted outputs that bear the names of the catalogue's families ({_list_few(sorted(set(families)))}), got "
            f"{_list_few(known)}, in {origin} of {where}: not one matches.{suggest(family, known)} "
            "Write the families the same way in both, or give the outputs' names in [classifier] label_names."
        )


def _list_few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")

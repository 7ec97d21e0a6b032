"""The words of the site: one catalogue, so that a translation is a folder.

Templates, scripts and alt texts take every word from ``locale/<language>/*.toml``: a file a kind of page, read as one.
A key is a dotted path; an entry is a sentence with named places (``{family}``) or a table with ``one`` and ``other``,
chosen by the place ``n``. Numbers are written here too: integers of per cent behind a narrow no-break space, a true
minus, two decimals.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from leaflineage.errors import SiteError
from leaflineage.records import Span

NARROW_SPACE = "\u202f"
MINUS = "\u2212"


class Words:
    """The catalogue of one language.

    Parameters
    ----------
    entries : dict
        The parsed files: nested tables of sentences.
    source : str
        Name of the folder, for errors.
    """

    def __init__(self, entries: dict[str, Any], source: str) -> None:
        self.entries = entries
        self.source = source
        self._found: dict[str, Any] = {}  # entries that were asked for, and sentences without places as they are said
        self._said: dict[str, str] = {}

    @classmethod
    def load(cls, folder: Path) -> Words:
        """Read a catalogue from the TOML files of a folder.

        Raises
        ------
        SiteError
            If two files hold the same table.
        """
        entries: dict[str, Any] = {}
        for path in sorted(folder.glob("*.toml")):
            found = tomllib.loads(path.read_text(encoding="utf-8"))
            if twice := entries.keys() & found.keys():
                raise SiteError(
                    f"{path.name}: each table of words stands in one file, and {min(twice)!r} stands in another too. "
                    "Take one of them out."
                )
            entries.update(found)
        return cls(entries, folder.name)

    def __call__(self, key: str, /, **places: Any) -> str:
        """Return the sentence at ``key`` with its places filled; markup in a place makes the result markup."""
        if not places and key in self._said:
            return self._said[key]
        entry = self._found.get(key) or self._find(key)
        if isinstance(entry, dict) and "other" in entry:
            entry = entry["one"] if places.get("n") == 1 and "one" in entry else entry["other"]
        if not isinstance(entry, str):
            raise SiteError(f"{self.source}: {key!r} names a table where a sentence is wanted. Name one of its keys.")
        is_markup = False
        for name, value in places.items():  # there are two hundred sentences on a page
            kind = type(value)
            if kind is int:
                places[name] = write_integer(value)
            elif kind is not str and isinstance(value, Markup):
                is_markup = True
        try:
            if is_markup:
                return Markup(escape(entry)).format(**places)
            said = entry.format(**places)
        except KeyError as gap:
            raise SiteError(
                f"{self.source}: the sentence {key!r} has a place {gap} that the page does not fill. "
                "Take the place out of the sentence, or pass it."
            ) from gap
        if not places:
            self._said[key] = said
        return said

    def table(self, key: str) -> dict[str, str]:
        """Return the sentences of one table, for scripts."""
        entry = self._find(key)
        if not isinstance(entry, dict):
            raise SiteError(f"{self.source}: {key!r} is a sentence where a table is wanted. Make it a table.")
        return {name: str(text) for name, text in sorted(entry.items())}

    def get(self, key: str, otherwise: str) -> str:
        """Return the sentence at ``key``, or ``otherwise`` where there is none."""
        try:
            return self(key)
        except SiteError:
            return otherwise

    def number(self, n: int) -> str:
        """Return a count in words up to twelve, in figures above."""
        return self.get(f"number.{n}", write_integer(n))

    def join(self, parts: list[str]) -> str:
        """Return "a", "a and b" or "a, b and c"; markup if a part is."""
        if len(parts) < 2:
            return parts[0] if parts else ""
        empty: str = Markup("") if any(isinstance(part, Markup) for part in parts) else ""
        return empty + escape_join(self("list.comma"), parts[:-1]) + self("list.and") + parts[-1]

    def _find(self, key: str) -> Any:
        if key in self._found:
            return self._found[key]
        entry: Any = self.entries
        for step in key.split("."):
            if not isinstance(entry, dict) or step not in entry:
                raise SiteError(f"{self.source}: the sentence {key!r} is wanted and missing. Add it to the catalogue.")
            entry = entry[step]
        self._found[key] = entry
        return entry


def escape_join(separator: str, parts: list[str]) -> str:
    """Join parts, escaping the plain ones where any is markup."""
    if any(isinstance(part, Markup) for part in parts):
        return Markup(escape(separator)).join(parts)
    return separator.join(parts)


def write_integer(n: int) -> str:
    """Return an integer with commas between thousands and a true minus."""
    return f"{n:,}".replace("-", MINUS)


def write_decimal(value: float, digits: int = 2) -> str:
    """Return a number with a fixed count of decimals and a true minus."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def write_signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign always shown, zero aside."""
    text = write_decimal(value, digits)
    return text if text.startswith(MINUS) or float(text) == 0 else f"+{text}"


def write_ordinal(n: int) -> str:
    """Return "97th"; English only, as figures with a suffix are."""
    suffix = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{suffix}"


def find_span(span: Span | None) -> Span | None:
    """Return an interval, or None where its ends are equal: it would claim to know what it cannot."""
    return span if span is not None and span[0] != span[1] else None


def write_interval(span: Span, words: Words, write: Callable[[float], str] = write_decimal) -> str:
    """Return "0.10–0.26", or "−0.10 to +0.26" where an end carries a sign; one number where the ends are equal."""
    if find_span(span) is None:
        return write(span[0])
    low, high = (write(end) for end in span)
    signed = any(text[:1] in (MINUS, "+") for text in (low, high))
    return words("interval.signed" if signed else "interval.plain", low=low, high=high)


def write_percent_interval(span: Span, words: Words) -> str:
    """Return "92–95 %"; with a decimal where whole per cent would hide the difference; one share for equal ends."""
    if find_span(span) is None:
        return write_percent(span[0], words)
    digits = 0 if round(span[0] * 100) != round(span[1] * 100) else 1
    low, high = (write_decimal(end * 100, digits) for end in span)
    return words("percent.interval", low=low, high=high)


def write_measured(value: float, span: Span | None, words: Words, write: Callable[[float], str] = write_decimal) -> str:
    """Return a number and, where it has one of some width, its interval in brackets."""
    span = find_span(span)
    if span is None:
        return write(value)
    return words("interval.of", value=write(value), interval=write_interval(span, words, write))


def write_measured_percent(value: float, span: Span | None, words: Words) -> str:
    """Return a share and, where it has one of some width, its interval in brackets."""
    text, span = write_percent(value, words), find_span(span)
    return text if span is None else words("interval.of", value=text, interval=write_percent_interval(span, words))


def write_bytes(n: int) -> str:
    """Return a size in kB or MB."""
    if n >= 1_000_000:
        return f"{n / 1e6:.1f}\u00a0MB"
    return f"{max(1, round(n / 1e3))}\u00a0kB"


def write_length(fraction: float, digits: int = 3) -> str:
    """Return a fraction as a length in per cent for SVG: at most so many decimals, never below zero."""
    text = f"{max(0.0, fraction) * 100:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if digits else text}%"


def write_percent(fraction: float, words: Words) -> str:
    """Return a share in whole per cent; what rounds to 0 or 100 without being it is said in words."""
    if 0 < fraction < 0.01:
        return words("percent.under_one")
    if 0.99 < fraction < 1 and round(fraction * 100) == 100:
        return words("percent.over_99")
    return words("percent.plain", value=f"{round(fraction * 100)}".replace("-", MINUS))

"""A build's progress on the terminal: a bar a stage where there is one, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_INTERVAL = 10.0  # seconds between two plain lines of one stage
WORDS = {
    "draw": "drawing leaves",
    "scan": "reading the specimens",
    "inspect": "opening the classifier",
    "probe": "sampling all families",
    "extract": "extracting activations",
    "factorize": "finding concepts",
    "rank": "ranking concepts",
    "fidelity": "trying concepts",
    "illustrate": "cutting crops",
    "contrast": "explaining mistakes",
    "name": "locating concepts",
    "visualize": "drawing concepts",
    "recurse": "dividing concepts",
    "explain": "explaining queries",
    "collect": "collecting the atlas",
    "bake": "baking the site",
    "train": "training",
}


class TerminalReporter:
    """Shows stages on a console; as a context manager it owns the live bars.

    Parameters
    ----------
    quiet
        Say nothing but errors.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console = console
        self.quiet = quiet
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._plain: dict[str, tuple[int, int, float, float]] = {}  # done, total, began, last line

    def __enter__(self) -> TerminalReporter:
        if self.console.is_terminal and not self.quiet:
            self._progress = Progress(
                TextColumn("{task.description:<26}"),
                BarColumn(bar_width=32),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def start(self, stage: str, total: int, fresh: int) -> None:
        """Say that a stage begins."""
        words = WORDS.get(stage, stage)
        if self._progress is not None:
            self._bars[stage] = self._progress.add_task(words, total=total, completed=fresh)
        elif not self.quiet:
            now = time.monotonic()
            self._plain[stage] = (fresh, total, now, now)
            self.console.print(f"{words}: {total - fresh} of {total} to do" if fresh else f"{words}: {total} to do")

    def advance(self, stage: str, item: str = "") -> None:
        """Say that one more item is done."""
        if self._progress is not None and stage in self._bars:
            self._progress.advance(self._bars[stage])
        elif stage in self._plain:
            done, total, began, last = self._plain[stage]
            done, now = done + 1, time.monotonic()
            if now - last >= PLAIN_INTERVAL and done < total:
                left = (now - began) / done * (total - done)
                self.console.print(f"  {WORDS.get(stage, stage)}: {done}/{total}, about {left:.0f} s left")
                last = now
            self._plain[stage] = (done, total, began, last)

    def finish(self, stage: str, seconds: float) -> None:
        """Say that a stage is done."""
        if self._progress is not None and stage in self._bars:
            task = self._bars[stage]
            total = next(each.total for each in self._progress.tasks if each.id == task)
            self._progress.update(task, completed=total)
        elif stage in self._plain:
            self.console.print(f"  {WORDS.get(stage, stage)}: done in {seconds:.1f} s")

    def say(self, text: str) -> None:
        """Say something worth a line."""
        if not self.quiet:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)

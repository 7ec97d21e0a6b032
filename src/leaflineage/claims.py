"""Who works on what in a run that several processes share: a claim a task, with a heartbeat.

The tasks of a job array work in one run folder, on other machines, and none may wait for another's family. Before it
begins a task, a process writes ``claims/<stage>--<slug>.json`` in one step that only one can win: its host, process
and job. While it works, it touches the file every few seconds. A claim whose heart has not beaten for a minute, or
whose process is gone from this machine, is taken over: moved aside, again in a step that only one can win.

File systems that many machines share order neither clocks nor `flock` well; creating a link and renaming are whole
everywhere, and a claim's age is told by the file system's own clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leaflineage.errors import ArtifactError
from leaflineage.machine import describe_process

FOLDER = "claims"
BEAT = 5.0  # seconds between two beats
DEAD = 60.0  # seconds without a beat after which a claim is taken over
WAIT = 0.5  # seconds between two looks at another's claim


@contextlib.contextmanager
def claim(run: Path, stage: str, slug: str, *, beat: float = BEAT, dead: float = DEAD) -> Iterator[bool]:
    """Hold one task of a run; wait while another process holds it.

    Yields
    ------
    bool
        Whether another held it meanwhile: what the task would make may be there by now.

    Raises
    ------
    ArtifactError
        Where the folder cannot be written.
    """
    path = run / FOLDER / f"{stage}--{slug or 'all'}.json"
    token, waited = uuid.uuid4().hex, False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _take(path, token):
            waited = True
            holder = _read(path)
            if _is_dead(path, holder, dead):
                _take_away(path, token, holder)
            else:
                time.sleep(WAIT)
    except OSError as error:
        raise ArtifactError(
            f"A claim on {stage} of {slug or 'all families'} was to be written into {path.parent}, and could not be "
            f"({error.strerror or error}). Free some space, or name another folder with --run."
        ) from error
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, token, stop, beat), daemon=True)
    heart.start()
    try:
        yield waited
    finally:
        stop.set()
        heart.join()
        if _read(path).get("token") == token:  # not taken over while we were away
            path.unlink(missing_ok=True)


def show_sign(run: Path) -> Path:
    """Write a file by which a process elsewhere can tell that it sees this run folder; return its path.

    Raises
    ------
    ArtifactError
        Where the folder cannot be written.
    """
    sign = run / FOLDER / f"sign-{uuid.uuid4().hex}.part"
    try:
        sign.parent.mkdir(parents=True, exist_ok=True)
        sign.touch()
    except OSError as error:
        raise ArtifactError(
            f"A sign for the workers was to be written into {sign.parent}, and could not be "
            f"({error.strerror or error}). Free some space, or name another folder with --run."
        ) from error
    return sign


def look_again(folder: Path) -> None:
    """See in a folder what another machine wrote: a network file system remembers for a while what it saw last.

    Writing into the folder makes it ask again.
    """
    probe = folder / f".look-{uuid.uuid4().hex}.part"
    with contextlib.suppress(OSError):  # not there yet, or not ours to write: then it is as it is
        probe.touch()
        probe.unlink()


def list_claims(run: Path) -> list[dict[str, Any]]:
    """Return the claims on a run's tasks: stage, slug, host, pid, job, seconds since the last beat."""
    found = []
    for path in sorted((run / FOLDER).glob("*.json")):
        stage, _, slug = path.stem.partition("--")
        about = _read(path)
        age = _age(path)
        if about and age is not None:
            found.append({"stage": stage, "slug": "" if slug == "all" else slug, "seconds": age, **about})
    return found


def _take(path: Path, token: str) -> bool:
    """Write the claim where there is none; whether that was us."""
    own = path.with_name(f"{path.name}.{token}.part")
    own.write_text(json.dumps({**describe_process(), "token": token}), encoding="utf-8")
    try:
        os.link(own, path)  # whole, and only where nothing is
        return True
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(own.read_text(encoding="utf-8"))
            return True
        except FileExistsError:
            return False
    finally:
        own.unlink(missing_ok=True)


def _take_away(path: Path, token: str, holder: dict[str, Any]) -> None:
    """Move a dead holder's claim aside; one that was taken anew meanwhile is put back."""
    aside = path.with_name(f"{path.name}.{token}.dead.part")
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        path.rename(aside)
        if _read(aside).get("token") != holder.get("token"):
            os.link(aside, path)
    aside.unlink(missing_ok=True)


def _is_dead(path: Path, about: dict[str, Any], dead: float) -> bool:
    """Tell whether a claim's holder has ended: its process is gone from this machine, or its heart stands still."""
    age = _age(path)
    if age is None:
        return False  # released meanwhile
    own = describe_process()
    if about.get("host") == own["host"] and isinstance(about.get("pid"), int) and about["pid"] != own["pid"]:
        try:
            os.kill(about["pid"], 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
    return age > dead


def _age(path: Path) -> float | None:
    """Return the seconds since a claim's last beat, by the clock of its file system; None where it is gone."""
    probe = path.with_name(f".clock-{uuid.uuid4().hex}.part")
    try:
        probe.touch()
        return max(0.0, probe.stat().st_mtime - path.stat().st_mtime)
    except OSError:
        try:
            return max(0.0, time.time() - path.stat().st_mtime)
        except OSError:
            return None
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _beat(path: Path, token: str, stop: threading.Event, beat: float) -> None:
    """Touch the claim until told to stop, or until it is another's."""
    while not stop.wait(beat):
        if _read(path).get("token") != token:
            return
        with contextlib.suppress(OSError):
            os.utime(path)

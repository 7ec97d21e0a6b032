"""What made a number: the versions of what it depends on, and the type of processor.

Bytes are promised on one type of processor with the same versions; these two say whether that holds.
"""

from __future__ import annotations

import os
import platform
import resource
import socket
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from leaflineage import __version__

VERSIONED = ("torch", "torchvision", "timm", "scikit-learn", "scipy", "numpy", "pillow", "safetensors")
JOB_VARIABLES = ("SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "PBS_JOBID", "LSB_JOBID", "GITHUB_RUN_ID")


@cache
def find_versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on."""
    found = {"leaflineage": __version__}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def find_processor() -> str:
    """Return the type of this machine's processor, as "x86_64, AMD EPYC 7R13, family 25, model 1".

    Virtual machines often hide the rest of the name; family and model still tell one generation from another.
    """
    known: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            known.setdefault(key.strip().lower(), value.strip())
    except OSError:
        known["model name"] = platform.processor()
    name = next((known[key] for key in ("model name", "hardware", "cpu model") if known.get(key)), "")
    numbers = [f"{word} {known[key]}" for word, key in (("family", "cpu family"), ("model", "model")) if known.get(key)]
    return ", ".join(part for part in (platform.machine(), name, *numbers) if part)


def describe_maker(accelerator: str = "") -> str:
    """Return in one line what an artifact is made with here: versions and processor, and an accelerator where used."""
    versions = ", ".join(f"{name} {number}" for name, number in find_versions().items())
    return "; ".join(part for part in (versions, find_processor(), accelerator) if part)


def measure_peak_mb(*, children: bool = False) -> float:
    """Return the largest resident memory so far, in MB: of this process, or of the largest that it has waited for."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def measure_resident_mb() -> float:
    """Return the memory that this process holds now, in MB; its largest where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return measure_peak_mb()
    return pages * resource.getpagesize() / 1024**2


def measure_cpu_seconds() -> float:
    """Return the CPU time so far of this process and of those that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def describe_process() -> dict[str, str | int]:
    """Return who this process is, for whoever finds what it holds: host, process and, in a job, the job."""
    job = "-".join(os.environ[name] for name in JOB_VARIABLES if os.environ.get(name))
    return {"host": socket.gethostname(), "pid": os.getpid(), "job": job}

"""Put the search library of the site where the package looks for it.

MiniSearch comes from npm, pinned in ``package-lock.json``, and is not committed. Whatever is built here (a wheel,
an sdist, an editable install) runs ``npm ci`` once and copies its UMD file to ``static/vendor/minisearch.js``
under a first line that names the version. A file of the pinned version that is already there is left alone, so an
sdist, which carries it, needs no Node.js.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "minisearch"
VENDORED = Path("static", "vendor", "minisearch.js")


class SearchLibraryHook(BuildHookInterface):  # type: ignore[type-arg]
    """Vendor MiniSearch before any target is built."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run before the files of a target are gathered; hatchling calls it."""
        vendor_search_library(Path(self.root))


def vendor_search_library(root: Path) -> None:
    """Make ``static/vendor/minisearch.js`` the pinned version, or stop with a sentence that says what is missing."""
    target = root / VENDORED
    header = f"/*! {PACKAGE} {pinned_version(root)}, MIT licence, copied from npm by hatch_build.py */\n"
    if target.is_file() and target.read_text(encoding="utf-8").startswith(header):
        return
    source = fetch_search_library(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".part")
    unfinished.write_text(header + source.read_text(encoding="utf-8"), encoding="utf-8")
    unfinished.replace(target)


def pinned_version(root: Path) -> str:
    """Return the version of MiniSearch that ``package-lock.json`` names."""
    lock = root / "package-lock.json"
    try:
        packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
        return str(packages[f"node_modules/{PACKAGE}"]["version"])
    except FileNotFoundError:
        raise SystemExit(
            f"LeafLineage's site needs {PACKAGE} at the version package-lock.json pins, and {lock} is missing. "
            "Restore it from the repository."
        ) from None
    except (KeyError, ValueError):
        raise SystemExit(
            f"LeafLineage's site needs {PACKAGE}, and {lock} pins no version of it. Restore it from the repository."
        ) from None


def fetch_search_library(root: Path) -> Path:
    """Install the pinned packages into ``node_modules`` and return the library's UMD file."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(
            f"LeafLineage's site needs {PACKAGE}, which npm installs, and Node.js was not found on the PATH. "
            "Install Node.js 18 or newer (Debian: apt-get install nodejs npm), then run this again. "
            "A wheel or an sdist already holds the file and needs no Node.js."
        )
    command = [npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
    finished = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise SystemExit(
            f"`{' '.join(['npm', *command[1:]])}` was to install {PACKAGE} in {root} and ended with "
            f"{finished.returncode}:\n{finished.stderr.strip()}\n"
            "Mend what it says (often the network), then run this again."
        )
    source = root / "node_modules" / PACKAGE / "dist" / "umd" / "index.js"
    if not source.is_file():
        raise SystemExit(
            f"{PACKAGE} was installed, and its UMD file is not at {source}. "
            "Pin a version in package-lock.json that has one (7.x does)."
        )
    return source

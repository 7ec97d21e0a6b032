"""What must start at once imports neither torch nor timm; who may import whom is import-linter's contract."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm")
LIGHT = (
    "leaflineage",
    "leaflineage.cli",
    "leaflineage.config",
    "leaflineage.pipeline",
    "leaflineage.records",
    "leaflineage.store",
    "leaflineage.stages.table",
    "leaflineage.website",
)


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_imports_neither_torch_nor_timm(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_the_import_contracts_are_kept() -> None:
    if importlib.util.find_spec("importlinter") is None:
        pytest.skip("import-linter is not installed")
    code = "from importlinter.cli import lint_imports_command as lint; lint()"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout

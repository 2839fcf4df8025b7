"""The wiring mistakes beside this file are refused by the type checker, each of them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed; `tox -e lint` has it")
def test_the_type_checker_refuses_every_mistake_and_nothing_else() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "setup.cfg", str(HERE)],
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    # What is wrong in the package itself, the run over all of it tells.
    assert "source files)" in checked.stdout or "Success" in checked.stdout, checked.stdout + checked.stderr
    assert "tests/typing" not in checked.stdout, checked.stdout


def test_every_mistake_is_marked_with_what_the_type_checker_says_of_it() -> None:
    for name in ("wrong_wires.py", "wrong_outputs.py"):
        text = (HERE / name).read_text(encoding="utf-8")
        functions = text.split("\ndef ")[1:]
        assert len(functions) >= 5
        for function in functions:
            assert function.count("# type: ignore[") == 1, function

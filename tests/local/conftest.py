from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scaleout_cfn.local import Emulator, running

from .helpers import Account

Faults = Callable[..., None]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


@pytest.fixture
def account(emulator: Emulator) -> Account:
    return Account(emulator)


@pytest.fixture(scope="session")
def _faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path]]:
    path = tmp_path_factory.mktemp("faults") / "faults.json"
    with running(faults=path) as emulator:
        yield emulator, path


@pytest.fixture
def faulty(_faulty: tuple[Emulator, Path]) -> Account:
    """An account in an emulator that obeys `faults`."""
    return Account(_faulty[0])


@pytest.fixture
def faults(_faulty: tuple[Emulator, Path]) -> Iterator[Faults]:
    """Write the faults file of `faulty`: one rule for each argument. It is removed after the test."""
    path = _faulty[1]

    def write(*rules: dict[str, Any], **others: Any) -> None:
        path.write_text(
            json.dumps({"fail": [{"stack": "", "message": "on purpose", **rule} for rule in rules], **others})
        )

    yield write
    path.unlink(missing_ok=True)

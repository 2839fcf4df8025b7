"""What one step tells the next stays as it was told, whoever holds it."""

from __future__ import annotations

import dataclasses
import importlib.util
import pkgutil
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import scaleout_cfn

#: Who changes while it works, and is nobody's fact.
WORKING = {
    "deploy.deployment": {"Run"},
    "simulator.decide": {"_Stepper", "_Tracker"},
    "simulator.series": {"_Left"},
    "simulator.service": {"Metrics", "Trace"},
    "simulator.tasks": {"_Cohort", "_Version"},
    # Compared by identity, and so never by what is in them.
    "templates.conditions": {"Every", "Not"},
    "local.containers.balancer": {"Target", "_Group"},
    "local.containers.lifecycle": {"Work"},
    "local.containers.nodes": {"_Node"},
    "local.containers.scaling": {"_Counts", "_Loop"},
}


def _says_facts(name: str) -> bool:
    spec = importlib.util.find_spec(f"scaleout_cfn.{name}")
    assert spec is not None and spec.origin is not None
    return re.search(r"Struct|@dataclass", Path(spec.origin).read_text(encoding="utf-8")) is not None


NAMES = [found.name.partition(".")[2] for found in pkgutil.walk_packages(scaleout_cfn.__path__, "scaleout_cfn.")]
MODULES = [name for name in NAMES if not name.endswith("__main__") and _says_facts(name)]


def classes(module: str) -> list[Any]:
    """The structs and dataclasses that a module itself declares."""
    found = vars(importlib.import_module(f"scaleout_cfn.{module}")).values()
    return [
        kind
        for kind in found
        if isinstance(kind, type)
        and kind.__module__ == f"scaleout_cfn.{module}"
        and (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind))
    ]


@pytest.mark.parametrize("module", MODULES)
def test_a_fact_cannot_be_changed(module: str) -> None:
    changing = {
        kind.__name__
        for kind in classes(module)
        if not (kind.__struct_config__.frozen if issubclass(kind, msgspec.Struct) else kind.__dataclass_params__.frozen)
    }
    assert changing == WORKING.get(module, set())

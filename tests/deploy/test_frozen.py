"""What is told from module to module is a fact: nobody changes it on the way."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import is_dataclass

import scaleout_cfn.deploy


def test_no_fact_of_the_deployer_can_be_changed() -> None:
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(scaleout_cfn.deploy.__path__, "scaleout_cfn.deploy.")
    ]
    facts = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    facts = {fact for fact in facts if is_dataclass(fact) and fact.__module__.startswith("scaleout_cfn.deploy.")}
    assert len(facts) > 20
    # A run is no fact: it goes from phase to phase.
    assert {fact.__name__ for fact in facts if not fact.__dataclass_params__.frozen} == {"Run"}  # type: ignore[attr-defined]

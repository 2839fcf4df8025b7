"""The set-level rules, by id. A further rule is one more function in one of these modules."""

from __future__ import annotations

from scaleout_cfn.lint.rules import (
    balancing,
    capacity,
    ecs_services,
    kinds,
    listeners,
    names,
    permissions,
    scaling_policies,
    schedules,
    task_definitions,
    wiring,
)
from scaleout_cfn.lint.rules.base import Rule

__all__ = ["RULES", "Rule"]

_MODULES = (
    balancing,
    capacity,
    ecs_services,
    kinds,
    listeners,
    names,
    permissions,
    scaling_policies,
    schedules,
    task_definitions,
    wiring,
)
RULES: tuple[Rule, ...] = tuple(
    sorted(
        (value for module in _MODULES for value in vars(module).values() if isinstance(value, Rule)),
        key=lambda rule: rule.id,
    )
)

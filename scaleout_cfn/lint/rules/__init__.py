"""The set-level rules, by id. A further rule is one more class in one of these modules."""

from __future__ import annotations

from scaleout_cfn.lint.rules import (
    balancing,
    capacity,
    documents,
    ecs_services,
    instances,
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

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            cls()
            for module in (
                wiring,
                kinds,
                names,
                balancing,
                capacity,
                documents,
                instances,
                listeners,
                task_definitions,
                ecs_services,
                permissions,
                scaling_policies,
                schedules,
            )
            for cls in vars(module).values()
            if isinstance(cls, type) and issubclass(cls, Rule) and cls.__module__ == module.__name__
        ),
        key=lambda rule: rule.id,
    )
)

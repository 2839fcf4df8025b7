"""Delays and failures on purpose, from a JSON file that is read again at every resource:

    {"delay_s": 0.03,
     "fail": [{"stack": "-Service-", "resource": "Service", "operation": "update",
               "message": "Unable to place a task", "times": 1}]}

`delay_s` is waited before every resource is created, changed or deleted (nested stacks are not: their own
resources are). `stack` is searched in the stack's name, `resource` must match the whole logical id; both are
regular expressions. `operation` is create, update or delete. Without `times` a rule fails for ever, also
during the rollback; with it, that often since the file was last written. No file means no faults.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from ministack.services.cloudformation import stacks

from scaleout_cfn.aws.names import NESTED

_OPERATIONS: Final = ("create", "update", "delete")
_REQUIRED: Final = {"stack", "resource", "operation", "message"}


def install(path: Path) -> None:
    """Put the faults in front of the engine's three calls, and give each resource a thread to wait on."""
    plan = _Plan(path)
    create, update, delete = stacks._provision_resource, stacks._update_resource, stacks._delete_resource

    def create_or_fail(resource_type: str, logical_id: str, properties: Any, stack_name: str) -> Any:
        plan.meet(stack_name, logical_id, resource_type, "create")
        return create(resource_type, logical_id, properties, stack_name)

    def update_or_fail(
        resource_type: str, physical_id: str, old: Any, new: Any, stack_name: str, logical_id: str = "", *rest: Any
    ) -> Any:
        if old != new:
            plan.meet(stack_name, logical_id, resource_type, "update")
        return update(resource_type, physical_id, old, new, stack_name, logical_id, *rest)

    def delete_or_fail(
        resource_type: str, physical_id: str, properties: Any, stack_name: str = "", logical_id: str = ""
    ) -> Any:
        plan.meet(stack_name, logical_id, resource_type, "delete")
        return delete(resource_type, physical_id, properties, stack_name, logical_id)

    stacks._provision_resource = create_or_fail
    stacks._update_resource = update_or_fail
    stacks._delete_resource = delete_or_fail
    # A delay on the event loop would stop the whole server.
    stacks._runs_on_worker_thread = lambda resource_type: True


class _Plan:
    """The file's content, and how often each rule has failed since the file was written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: int | None = None
        self._spent: Counter[int] = Counter()

    def meet(self, stack: str, resource: str, resource_type: str, operation: str) -> None:
        """Wait, and raise ValueError (which fails the resource) when a rule says so."""
        plan = self._read()
        if resource_type != NESTED:
            time.sleep(plan.get("delay_s", 0))
        for number, rule in enumerate(plan.get("fail", [])):
            if (
                rule["operation"] == operation
                and re.fullmatch(rule["resource"], resource)
                and re.search(rule["stack"], stack)
                and self._spent[number] < rule.get("times", float("inf"))
            ):
                self._spent[number] += 1
                raise ValueError(rule["message"])

    def _read(self) -> dict[str, Any]:
        try:
            written = self._path.stat().st_mtime_ns
            text = self._path.read_text()
        except FileNotFoundError:
            return {}
        if written != self._written:
            self._written = written
            self._spent.clear()
        try:
            plan = json.loads(text)
            _check(plan)
        except ValueError as error:
            raise ValueError(f"The faults file {self._path} is refused: {error}") from None
        return plan  # type: ignore[no-any-return]


def _check(plan: Any) -> None:
    if not isinstance(plan, dict) or plan.keys() - {"delay_s", "fail"}:
        raise ValueError('expected an object with "delay_s" and "fail"')
    if not isinstance(plan.get("delay_s", 0), (int, float)) or plan.get("delay_s", 0) < 0:
        raise ValueError('"delay_s" must be a number of seconds, 0 or more')
    for rule in plan.get("fail", []):
        if not _REQUIRED <= rule.keys() <= _REQUIRED | {"times"}:
            raise ValueError(f"a rule has the keys {sorted(_REQUIRED)} and perhaps times, got {sorted(rule)}")
        if rule["operation"] not in _OPERATIONS:
            raise ValueError(f"operation must be one of {_OPERATIONS}, got {rule['operation']!r}")

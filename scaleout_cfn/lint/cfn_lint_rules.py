"""Our rules of single templates as a plug-in of cfn-lint, so that editors and CI that run cfn-lint show them, too.

    cfn-lint --append-rules scaleout_cfn.lint.cfn_lint_rules -t template.yaml

cfn-lint tells the severity by the first letter of an id, so S206, a warning, is WS206 there. Rules about how templates
of a set fit together (S1) are left to `lint`, which sees the set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cfnlint.rules import CloudFormationLintRule, RuleMatch

from scaleout_cfn.lint.rules import RULES, Rule
from scaleout_cfn.templates.sets import StackSet

__all__: list[str] = []  # what is made below is found by cfn-lint, as each class of the module that is a rule

_LETTERS = {"error": "E", "warning": "W", "info": "I"}


class _Last:
    """The set of the template that cfn-lint is at: it asks each rule in turn, and the facts are the same for all."""

    template: Any = None
    stacks: StackSet


def _stacks(name: str, template: Mapping[str, Any]) -> StackSet:
    if _Last.template is not template:
        _Last.template, _Last.stacks = template, StackSet({name: template})
    return _Last.stacks


def _keys(value: Any, path: str) -> list[str | int]:
    """A place as keys and indexes. A key may have dots of its own, so that the longest one that is there counts."""
    keys: list[str | int] = []
    parts = path.split(".") if path else []
    while parts:
        for length in range(len(parts), 0, -1):
            key = ".".join(parts[:length])
            if isinstance(value, Mapping) and key in value:
                value = value[key]
                keys.append(key)
                break
            if length == 1 and isinstance(value, Sequence) and key.isdigit() and int(key) < len(value):
                value = value[int(key)]
                keys.append(int(key))
                break
        else:
            return keys  # what is missing: the place where it would be
        parts = parts[length:]
    return keys


def _class_of(rule: Rule) -> type[CloudFormationLintRule]:
    def match(self: CloudFormationLintRule, cfn: Any) -> list[RuleMatch]:
        stacks = _stacks(str(cfn.filename), cfn.template)
        return [
            RuleMatch(_keys(cfn.template, finding.path), f"{finding.message} {finding.cure}")
            for finding in dict.fromkeys(rule.check(stacks))
        ]

    described = {
        "__doc__": rule.sentence,
        "__module__": __name__,
        "id": f"{_LETTERS[rule.severity]}{rule.id}",
        "shortdesc": rule.sentence,
        "description": rule.sentence,
        "source_url": rule.source,
        "tags": ["scaleout-cfn"],
        "match": match,
    }
    return type(rule.id, (CloudFormationLintRule,), described)


for _rule in RULES:
    if not _rule.id.startswith("S1"):
        globals()[_rule.id] = _class_of(_rule)

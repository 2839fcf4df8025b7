"""What AWS calls a change because it cannot tell, and what cannot be one. Pure.

CloudFormation calls whatever names an output of a nested stack that changes a possible replacement, for it does not
look what the output is: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759. Both
templates say it: what is the same expression of the same values before and after stays what it is. A value may change
unless that is proved, and only what AWS itself does not know is judged here. Where the value that forces a replacement
is the id of what surely is made anew, the replacement is as sure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from scaleout_cfn.aws import NESTED
from scaleout_cfn.deploy.changes.plan import UNKNOWN, Change, Property
from scaleout_cfn.deploy.changes.terms import Scope, Term, Terms
from scaleout_cfn.templates.schemas import is_identity, is_known, is_made, recreation

#: Parameters and outputs that an id is followed through: far beyond real sets.
FARTHEST = 40


@dataclass(frozen=True)
class Pair:
    """A stack's template before the change and after it; of a root also what its parameters are, where that is told."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    given: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})


Read: TypeAlias = Callable[[str], Pair | None]
"""The templates of the stack at a path, read when they are asked for; None where they cannot be read or compared."""


def with_unchanged(changes: Iterable[Change], read: Read) -> tuple[Change, ...]:
    """The same changes, where what cannot change says so, and replaces nothing; what surely is replaced says that."""
    return tuple(Comparison(changes, read).settled())


class Comparison:
    """Changes beside both templates of each stack. What is asked once is remembered."""

    def __init__(self, changes: Iterable[Change], read: Read) -> None:
        self.changes = {change.path: change for change in changes}
        self.read = read
        self.terms = Terms()
        self._at_work: set[str] = set()
        self._raising: set[str] = set()
        self._scopes: dict[str, tuple[Scope, Scope] | None] = {}
        self._differing: dict[str, frozenset[str] | None] = {}
        self._values: dict[str, dict[str, Term]] = {}

    def settled(self) -> Iterator[Change]:
        for path in self.changes:
            self.settle(path)
        for path in self.changes:
            yield self._raised(path)

    def _raised(self, path: str, steps: int = FARTHEST) -> Change:
        """A change that has been settled, with a replacement that is sure for what it hangs on told as that."""
        change = self.changes[path]
        if change.replacement != "possible" or change.action != "Modify" or path in self._raising or not steps:
            return change
        self._raising.add(path)
        properties = tuple(
            replace(entry, forces_replacement="certain") if self._comes_anew(change, entry, steps) else entry
            for entry in change.properties
        )
        if properties != change.properties:
            self.changes[path] = replace(change, properties=properties, replacement="certain")
        return self.changes[path]

    def _comes_anew(self, change: Change, entry: Property, steps: int) -> bool:
        """Whether a property forces a replacement, and its value is the id of what surely is made anew."""
        forces = entry.forces_replacement == "possible" and _is_open(entry) and not entry.unchanged
        if not forces or recreation(change.type, [entry.name]) != "Always":
            return False
        stack, title = _stack_of(change.path), _title_of(change.path)
        origins = set()
        for side, scope in enumerate(self._both(stack) or ()):
            properties = scope.resources.get(title, {}).get("Properties")
            value = properties.get(entry.name) if isinstance(properties, dict) else None
            origins.add(self._origin(stack, side, value))
        (origin, *others) = origins or {""}
        if others or not origin or origin not in self.changes:
            return False
        other = self._raised(origin, steps - 1)
        return other.action == "Modify" and other.replacement == "certain" and is_known(other.type)

    def _origin(self, stack: str, side: int, value: Any, steps: int = FARTHEST) -> str:
        """The path of the resource whose id a value is, through parameters and outputs; empty for any other value."""
        both = self._both(stack)
        if both is None or not isinstance(value, dict) or len(value) != 1 or not steps:
            return ""
        scope, ((function, argument),) = both[side], value.items()
        if function == "Ref" and isinstance(argument, str):
            if argument in scope.resources:
                nested = scope.resources[argument]["Type"] == NESTED
                return "" if nested else f"{stack}/{argument}".lstrip("/")
            looked_up = str(scope.parameters.get(argument, {}).get("Type", "")).startswith("AWS::SSM")
            above = self._both(_stack_of(stack)) if stack and argument in scope.parameters and not looked_up else None
            properties = above[side].resources.get(_title_of(stack), {}).get("Properties") if above else None
            passed = properties.get("Parameters") if isinstance(properties, dict) else None
            if not isinstance(passed, dict):
                return ""
            return self._origin(_stack_of(stack), side, passed.get(argument), steps - 1)
        title, _, name = ".".join(map(str, argument if isinstance(argument, list) else [argument])).partition(".")
        resource = scope.resources.get(title) if function == "Fn::GetAtt" else None
        path = f"{stack}/{title}".lstrip("/")
        if resource is None:
            return ""
        if resource["Type"] != NESTED:
            return path if is_made(resource["Type"], name) else ""
        below = self._both(path) if path in self.changes else None
        output = below[side].outputs.get(name.removeprefix("Outputs.")) if below else None
        if output is None or "Condition" in output:
            return ""
        return self._origin(path, side, output.get("Value"), steps - 1)

    def settle(self, path: str) -> Change:
        """A change, with what cannot be one told. Once only, for others hang on it."""
        change = self.changes[path]
        if (
            path in self._at_work
            or change.nested
            or change.action != "Modify"
            or not any(map(_is_open, change.properties))
        ):
            return change
        self._at_work.add(path)  # for good: what is settled stays so
        if self._is_certain(change):
            return change
        named = {_top(entry) for entry in change.properties}
        differing = self.differing(path)
        if differing is None or differing - named:  # AWS and the templates do not say the same of it
            return change
        asked = [entry for entry in change.properties if _top(entry) not in differing]
        open_ = tuple(f"{entry.name}." for entry in asked if _is_open(entry))
        # With a list that is not known yet, AWS tells of each item that it had.
        properties = tuple(
            self._judged(path, entry) if entry in asked and f"{entry.name}.".startswith(open_) else entry
            for entry in change.properties
        )
        change = replace(change, properties=properties)
        if change.replacement == "possible" or change.routine:
            whatever = self._is_replaced_by_any(path)
            forcing = [entry for entry in properties if whatever or entry.forces_replacement != "none"]
            if forcing and all(entry.unchanged for entry in forcing):
                policy = "" if change.policy.startswith("Replace") else change.policy
                change = replace(change, replacement="none", policy=policy)
        self.changes[path] = change
        return change

    def _is_certain(self, change: Change) -> bool:
        """Whether all that AWS does not know of a resource hangs on what is made anew beside it: nothing has to be read
        to see that it changes, as with a service and its new task definition."""
        stack = _stack_of(change.path)
        open_ = [entry for entry in change.properties if _is_open(entry)]
        return all(any(self._is_new(stack, cause) for cause in entry.causes) for entry in open_)

    def _is_new(self, stack: str, cause: str) -> bool:
        source, _, entity = cause.partition(" ")
        other = self.changes.get(f"{stack}/{entity.partition('.')[0]}".lstrip("/"))
        if other is None or source not in ("ResourceReference", "ResourceAttribute"):
            return False
        return other.action == "Add" or (other.replacement == "certain" and not any(map(_is_open, other.properties)))

    def _judged(self, path: str, entry: Property) -> Property:
        """A property of which AWS does not know what it will be, and which is the same by the templates but for what is
        looked up."""
        term = self._values[path].get(_top(entry), self.terms.absent)
        known = self.terms.plain(term)
        if (
            entry.drifted
            or term == self.terms.absent
            or not self.terms.is_sure(term)
            or (known is not None and entry.before not in ("", known))
        ):
            return entry
        return replace(entry, unchanged=True, follows=", ".join(self.terms.sources(term)))

    def differing(self, path: str) -> frozenset[str] | None:
        """The properties of a resource that are not the same after the change; None where the resource itself is not,
        or that cannot be told. What is looked up counts as the same: CloudFormation does that, and tells of it."""
        if path not in self._differing:
            self._differing[path] = None
            self._differing[path] = self._compared(path)
        return self._differing[path]

    def _compared(self, path: str) -> frozenset[str] | None:
        both, title = self._both(_stack_of(path)), _title_of(path)
        if both is None:
            return None
        was, will = (scope.resources.get(title) for scope in both)
        if was is None or will is None or was["Type"] != will["Type"]:
            return None
        holds = [scope.condition(resource.get("Condition")) for scope, resource in zip(both, (was, will), strict=True)]
        sections = [resource.get("Properties") or {} for resource in (was, will)]
        if holds[0] != holds[1] or not all(isinstance(section, dict) for section in sections):
            return None
        if any(str(name).startswith("Fn::") for section in sections for name in section):
            return None
        absent = self.terms.absent
        before, after = (
            {str(name): scope.value(value) for name, value in section.items()}
            for scope, section in zip(both, sections, strict=True)
        )
        self._values[path] = after
        names = dict.fromkeys((*before, *after))
        return frozenset(name for name in names if before.get(name, absent) != after.get(name, absent))

    def _both(self, stack: str) -> tuple[Scope, Scope] | None:
        """The template of a stack, before and after."""
        if stack not in self._scopes:
            pair = self.read(stack)
            self._scopes[stack] = (self._scope(pair, stack, 0), self._scope(pair, stack, 1)) if pair else None
        return self._scopes[stack]

    def _scope(self, pair: Pair, stack: str, side: int) -> Scope:
        def given(name: str) -> Term | None:
            if stack:
                return self._passed(stack, side, name)
            value, terms = pair.given[side].get(name), self.terms
            if str(scope.parameters[name].get("NoEcho", "")).lower() == "true":
                return terms.make("secret", (name,), unsure=True)
            return terms.moving() if value is None else terms.text(value)

        def attribute(title: str, name: str) -> Term:
            path = f"{stack}/{title}".lstrip("/")
            if name.startswith("Outputs.") and scope.resources[title]["Type"] == NESTED:
                return self._output(path, side, name.removeprefix("Outputs."))
            return self.terms.make("of", (path, name)) if self.stays(path, name) else self.terms.moving()

        scope = Scope(self.terms, pair.after if side else pair.before, stack, given, attribute)
        return scope

    def _passed(self, nested: str, side: int, name: str) -> Term | None:
        """What a nested stack's parameter is given; None where it is given nothing."""
        both = self._both(_stack_of(nested))
        resource = both[side].resources.get(_title_of(nested)) if both else None
        properties = resource.get("Properties") if resource else None
        passed = properties.get("Parameters", {}) if isinstance(properties, dict) else None
        if both is None or not isinstance(passed, dict) or any(str(key).startswith("Fn::") for key in passed):
            return self.terms.moving()
        value = both[side].value(passed[name]) if name in passed else self.terms.absent
        return None if value == self.terms.absent else value

    def _output(self, nested: str, side: int, name: str) -> Term:
        """An output of a nested stack. One that AWS shows no change of has the outputs that it had."""
        if nested not in self.changes:
            same = self.differing(nested) is not None
            return self.terms.make("of", (nested, f"Outputs.{name}")) if same else self.terms.moving()
        both = self._both(nested) if self.changes[nested].action == "Modify" else None
        output = both[side].outputs.get(name) if both else None
        if both is None or output is None:
            return self.terms.moving()
        holds, value = both[side].condition(output.get("Condition")), both[side].value(output.get("Value"))
        return value if holds == self.terms.yes else self.terms.call("Outputs", holds, value)

    def stays(self, path: str, attribute: str) -> bool:
        """Whether an attribute of a resource, or with an empty name what Ref gives of it, is surely what it was."""
        stack = _stack_of(path)
        if stack and stack not in self.changes:
            return True
        change = self.settle(path) if path in self.changes else None
        both, differing = self._both(stack), self.differing(path)
        if both is None or differing is None or (change is not None and change.action != "Modify"):
            return False
        if change.unchanged if change is not None else not differing:
            return True
        kind = both[1].resources[_title_of(path)]["Type"]
        if kind == NESTED:
            return not attribute
        if (attribute and not is_identity(kind, attribute)) or self._is_replaced_by_any(path):
            return False
        told = {_top(entry) for entry in change.properties} if change is not None else set()
        replaced = change is not None and change.replacement != "none"
        return not replaced and all(recreation(kind, [name]) == "Never" for name in differing - told)

    def _is_replaced_by_any(self, path: str) -> bool:
        """Whether an Auto Scaling group is replaced by whatever changes of it.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html
        """
        title = _title_of(path)
        both = self._both(_stack_of(path)) or ()
        return any("AutoScalingReplacingUpdate" in str(scope.resources[title].get("UpdatePolicy")) for scope in both)


def _stack_of(path: str) -> str:
    return path.rpartition("/")[0]


def _title_of(path: str) -> str:
    return path.rpartition("/")[2]


def _is_open(entry: Property) -> bool:
    """Whether AWS does not know yet what a property will be."""
    return UNKNOWN in entry.after


def _top(entry: Property) -> str:
    """The property of the resource that something within it belongs to: a list is judged whole."""
    return entry.name.partition(".")[0]

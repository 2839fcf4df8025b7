"""A stack as its template, who nests it and what they pass: what its expressions give and when its parts exist.

What an expression gives is plain data, a Symbol, a Text, or UNKNOWN, which no rule may judge. Values are followed
across stack borders: a `Ref` to a parameter is what the parent passes, and a `Fn::GetAtt` of a child's output is what
the child's output says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.templates.conditions import Choice, Equal, Formula, every, negation
from scaleout_cfn.templates.facts import VARIABLE, Facts, attribute_of, is_function, names_in, sub_parts
from scaleout_cfn.templates.values import UNKNOWN, as_number, as_text, has_unknown, is_list_type, is_plain

# Expressions within expressions, also across stacks, that are followed; and the longest text that is put together.
# Both are far beyond real sets, and keep a made-up one from taking all the stack and memory.
_DEEPEST = 60
_LONGEST = 100_000


# What has not been read yet: what has been may be None.
_UNREAD: Any = object()

# The parameter types whose value is looked up in SSM begin so.
SSM_VALUE = "AWS::SSM::Parameter::Value<"


class Others(Protocol):
    """What stacks elsewhere tell: the value of an export, and that of an SSM parameter; UNKNOWN where none does."""

    def exported(self, asking: StackView, name: Any) -> Any: ...

    def stored(self, name: Any) -> Any: ...


class Everything:
    def __contains__(self, _: object) -> bool:
        return True


EVERYTHING: Final = Everything()


class Symbol(Struct, frozen=True):
    """A value that exists only once deployed, named by where it comes from.

    `type` is a resource's or a parameter's type, empty for a pseudo parameter. `attribute` is empty
    for what `Ref` gives.
    """

    stack: StackView
    name: str
    attribute: str
    type: str
    is_resource: bool

    @property
    def bare(self) -> Symbol:
        """The resource itself, whichever of its attributes this is."""
        return replace(self, attribute="")

    @property
    def place(self) -> Place:
        """The properties of the resource, read in the stack that makes it."""
        return self.stack.place(self.name)

    def __str__(self) -> str:
        place = f"{self.name}.{self.attribute}" if self.attribute else self.name
        return f"{place} ({self.type}) of {self.stack.file}" if self.type else place


class Text(Struct, frozen=True):
    """A string with Symbols in it."""

    parts: tuple[str | Symbol, ...]


class Scope(Struct, frozen=True):
    """Reads expressions of one stack.

    A root parameter counts as its Default, except the `doubtful` ones: those that decide whether the
    thing being read exists, so that their Default may mean "leave it out". `assumed` conditions hold.
    """

    stack: StackView
    doubtful: frozenset[Symbol] | Everything
    assumed: frozenset[str]

    def get(self, node: Any, *path: str) -> Any:
        """What is at a path of properties: None where absent, UNKNOWN where that cannot be told."""
        return self.below(self.value(node), path)

    def below(self, value: Any, path: Sequence[str]) -> Any:
        """What is at a path below something that has been read."""
        for key in path:
            if not isinstance(value, dict):
                return UNKNOWN if value is not None else None
            value = value.get(key)
            if value is not None:
                value = self.value(value)
        return value

    def items(self, node: Any, *path: str) -> list[Any] | None:
        """The items of a list of properties, those left out by AWS::NoValue dropped; None if unknown."""
        return items_of(self.get(node, *path))

    def value(self, node: Any) -> Any:
        """What an expression gives: plain data, a Symbol, a Text, None for AWS::NoValue, or UNKNOWN.

        Mappings that are no function come back as they are, to be read key by key with `get`.
        """
        if isinstance(node, str):
            return self._dynamic(node) if "{{resolve:" in node else node
        if isinstance(node, dict):
            if len(node) != 1:
                return node
        else:
            return [self.value(item) for item in node] if isinstance(node, list) else node
        ((function, argument),) = node.items()
        if function == "Ref":
            # It leads up, to who passes the value, where there is an end: no mark is needed against a circle.
            return self._ref(argument)
        read = _FUNCTIONS.get(function)
        if read is None:
            return UNKNOWN if is_function(node) else node
        mark = (id(node), id(self.stack))
        active = self.stack.root.active
        if mark in active or len(active) > _DEEPEST:
            return UNKNOWN
        active.add(mark)
        try:
            return read(self, argument)
        finally:
            active.discard(mark)

    def choices(self, node: Any, deepest: int = 4) -> list[tuple[Formula, Any]]:
        """What an expression may give, each with what makes it so: both sides of an Fn::If, also one that is passed."""
        value = self.value(node)
        if value is UNKNOWN and deepest and isinstance(node, dict) and len(node) == 1:
            (function, argument), *_ = node.items()
            if function == "Ref":
                outer, passed = self._passed(argument)
                return outer.choices(passed, deepest - 1) if outer else [(True, value)]
            if function == "Fn::If" and isinstance(argument, list) and len(argument) == 3:
                holds = self.stack.when(argument[0])
                sides = ((holds, argument[1]), (negation(holds), argument[2]))
                return [
                    (every([side, when]), given)
                    for side, part in sides
                    for when, given in self.choices(part, deepest - 1)
                ]
        return [(True, value)]

    def _passed(self, parameter: Any) -> tuple[Scope | None, Any]:
        """What the parent passes for a parameter, and the scope to read it in; no scope where it passes nothing."""
        stack = self.stack
        arguments = stack.nested.arguments if stack.nested else None
        if stack.parent is None or stack.nested is None or not arguments or parameter not in arguments:
            return None, None
        return stack.remembered(("outer", self.doubtful), self._outer), arguments[parameter]

    def _outer(self) -> Scope:
        """The scope in which the parent reads what it passes."""
        stack = self.stack
        assert stack.parent and stack.nested
        outer = stack.parent.scope_of(stack.parent.resource(stack.nested.logical_id))
        return Scope(stack.parent, _both(self.doubtful, outer.doubtful), outer.assumed)

    def _ref(self, name: Any) -> Any:
        stack = self.stack
        if not isinstance(name, str):
            return UNKNOWN
        if name == "AWS::NoValue":
            return None
        if name.startswith("AWS::"):
            own = name in ("AWS::StackName", "AWS::StackId")
            return Symbol(stack if own else stack.root, name, "", "", False)
        if name in stack.facts.parameters:
            return stack.remembered(("parameter", name, self.doubtful), lambda: self._parameter(name))
        return stack.symbol(name) if name in stack.facts.resources else UNKNOWN

    def _parameter(self, name: str) -> Any:
        stack = self.stack
        definition = stack.facts.parameters[name]
        kind = str(definition.get("Type", "String"))
        if kind.startswith(SSM_VALUE):
            stored = stack.root.others.stored(self._named(name, definition)) if stack.root.others else UNKNOWN
            return stack.symbol(name) if stored is UNKNOWN else stored
        allowed = definition.get("AllowedValues")
        if isinstance(allowed, list) and len(allowed) == 1 and is_plain(allowed[0]) and not is_list_type(kind):
            return allowed[0]
        if stack.parent is None or stack.nested is None:
            symbol = stack.symbol(name)
            if "Default" not in definition or symbol in self.doubtful:
                return symbol
            return _parameter_value(definition["Default"], kind)
        if stack.nested.arguments is None:
            return UNKNOWN
        outer, argument = self._passed(name)
        passed = outer.value(argument) if outer else None
        if passed is None:
            passed = definition.get("Default", UNKNOWN)
        return _parameter_value(passed, kind)

    def _named(self, name: str, definition: Mapping[str, Any]) -> Any:
        """Which SSM parameter a parameter means: what is passed, or its default."""
        outer, argument = self._passed(name)
        return outer.value(argument) if outer else definition.get("Default", UNKNOWN)

    def _dynamic(self, text: str) -> Any:
        """What a text stands for that is nothing but a dynamic reference to an SSM parameter of the set."""
        name = text.removeprefix("{{resolve:ssm:").removesuffix("}}")
        others = self.stack.root.others
        # A version may follow: {{resolve:ssm:NAME:1}}.
        return others.stored(name.partition(":")[0]) if others and len(name) == len(text) - 16 else UNKNOWN

    def _import(self, argument: Any) -> Any:
        others = self.stack.root.others
        return others.exported(self.stack, self.value(argument)) if others else UNKNOWN

    def _get_att(self, argument: Any) -> Any:
        name, attribute = attribute_of(argument)
        stack = self.stack
        if not name or name not in stack.facts.resources:
            return UNKNOWN
        head, _, output = attribute.partition(".")
        if head == "Outputs" and name in stack.nestings:
            child, *others = stack.children.get(name, (None,))
            if child is None or others or output not in child.facts.outputs:
                return UNKNOWN
            return child.remembered(("output", output, self.doubtful), lambda: self._output(child, output))
        return stack.symbol(name, attribute)

    def _output(self, child: StackView, name: str) -> Any:
        return child.output(name, self.doubtful)

    def _sub(self, argument: Any) -> Any:
        template, given = sub_parts(argument)
        if not template:
            return UNKNOWN if argument else ""
        parts: list[Any] = []
        for index, piece in enumerate(VARIABLE.split(template)):
            if index % 2 == 0:
                parts.append(piece)
            elif piece.startswith("!"):
                parts.append(f"${{{piece[1:]}}}")
            elif piece in given:
                parts.append(self.value(given[piece]))
            elif "." in piece:
                parts.append(self._get_att(piece.strip()))
            else:
                parts.append(self._ref(piece.strip()))
        return _glue(parts)

    def _join(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str):
            return UNKNOWN
        items = self.value(argument[1])
        if isinstance(items, Symbol) and is_list_type(items.type) and argument[0] == ",":
            return items
        if not isinstance(items, list):
            return UNKNOWN
        parts: list[Any] = []
        for item in items:
            if item is not None:
                parts += [argument[0], item] if parts else [item]
        return _glue(parts)

    def _if(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3 or not isinstance(argument[0], str):
            return UNKNOWN
        name, then, otherwise = argument
        truth = True if name in self.assumed else self.stack.condition(name)
        if truth is not None:
            return self.value(then if truth else otherwise)
        left, right = self.value(then), self.value(otherwise)
        return left if left == right and not has_unknown(left) else UNKNOWN

    def _select(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2:
            return UNKNOWN
        index, items = as_number(self.value(argument[0])), self.value(argument[1])
        if index is None or not isinstance(items, list) or not 0 <= index < len(items):
            return UNKNOWN
        return items[int(index)]

    def _split(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str):
            return UNKNOWN
        separator, source = argument[0], self.value(argument[1])
        if isinstance(source, Symbol) and source.type == "AWS::ECS::Service" and not source.attribute:
            return self._service_arn(source, separator)
        return source.split(separator) if isinstance(source, str) and separator else UNKNOWN

    def _service_arn(self, service: Symbol, separator: str) -> Any:
        """What a Ref to an ECS service gives, arn:PARTITION:ecs:REGION:ACCOUNT:service/CLUSTER/NAME, taken apart.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-service.html
        """
        cluster, name = service.place.get("Cluster"), replace(service, attribute="Name")
        if isinstance(cluster, str):
            # By its name or by its ARN, whose name is the last part.
            cluster = cluster.rpartition("/")[2]
        elif cluster is None:
            cluster = "default"
        elif not isinstance(cluster, Symbol):
            cluster = Symbol(service.stack, f"{service.name}.Cluster", "", "", False)
        partition, region, account = (self._ref(f"AWS::{part}") for part in ("Partition", "Region", "AccountId"))
        if separator == ":":
            return ["arn", partition, "ecs", region, account, _glue(["service/", cluster, "/", name])]
        if separator == "/":
            return [_glue(["arn:", partition, ":ecs:", region, ":", account, ":service"]), cluster, name]
        return UNKNOWN

    def _find_in_map(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:
            return UNKNOWN
        # Where a key is chosen at deploy time, all that it may lead to; the name of the mapping is always given.
        found: list[Any] = [self.stack.facts.body.get("Mappings", {})]
        for depth, part in enumerate(argument):
            key = self.value(part)
            if not all(isinstance(entries, dict) for entries in found):
                return UNKNOWN
            if isinstance(key, (str, int)):
                found = [entries[str(key)] for entries in found if str(key) in entries]
            else:
                found = [item for entries in found for item in entries.values()] if depth else []
        return found[0] if found and all(item == found[0] for item in found) else UNKNOWN


_FUNCTIONS = {
    "Fn::GetAtt": Scope._get_att,
    "Fn::Sub": Scope._sub,
    "Fn::Join": Scope._join,
    "Fn::If": Scope._if,
    "Fn::Select": Scope._select,
    "Fn::Split": Scope._split,
    "Fn::FindInMap": Scope._find_in_map,
    "Fn::ImportValue": Scope._import,
}


def resource_of(value: Any, *types: str) -> Symbol | None:
    """A value that is a resource of one of these types, else None."""
    return value if isinstance(value, Symbol) and value.is_resource and value.type in types else None


class Nested(Struct, frozen=True):
    """One nested stack as its parent writes it.

    `child` is its file in the set, None where that cannot be told or is not there. `missing` names the file that should
    be there and is not. `why` says in words why a child is not followed, `when` where a condition chooses this one of
    several templates.
    """

    parent: str
    logical_id: str
    properties: Mapping[str, Any]
    child: str | None = None
    missing: str | None = None
    why: str = ""
    when: Formula = True

    @property
    def path(self) -> str:
        return f"Resources.{self.logical_id}.Properties"

    @property
    def arguments(self) -> Mapping[str, Any] | None:
        """What is passed, by parameter; None where a function decides that."""
        passed = self.properties.get("Parameters", {})
        return passed if isinstance(passed, dict) and not is_function(passed) else None


class Place:
    """The properties of a resource, or a piece of them: where that stands, and what it says.

    `path` is where, as keys joined by dots. `node` is a mapping, or what else stands there. As text a place is its
    `title`, by default the resource's logical id.
    """

    __slots__ = ("_each", "_inner", "_read", "logical_id", "node", "path", "scope", "stack", "title")

    def __init__(self, logical_id: str, path: str, node: Any, scope: Scope, title: str = "") -> None:
        self.stack = scope.stack
        self.logical_id = logical_id
        self.path = path
        self.node = node
        self.scope = scope
        self.title = title or logical_id
        self._read: dict[tuple[str, ...], Any] = {}
        self._inner: dict[tuple[str, ...], Place] = {}
        self._each: dict[tuple[str, ...], tuple[Place, ...]] = {}

    def get(self, *path: str) -> Any:
        """What is at a path: None where absent, UNKNOWN where that cannot be told."""
        read = self._read.get(path, _UNREAD)
        if read is _UNREAD:
            read = self._read[path] = self.scope.below(self.node, path)
        return read

    def items(self, *path: str) -> list[Any] | None:
        """The items of a list, those left out by AWS::NoValue dropped; None if unknown."""
        return items_of(self.get(*path))

    def number(self, *path: str) -> float | None:
        return as_number(self.get(*path))

    def inner(self, *path: str) -> Place:
        inner = self._inner.get(path)
        if inner is None:
            inner = Place(self.logical_id, ".".join((self.path, *path)), self.get(*path), self.scope)
            self._inner[path] = inner
        return inner

    def each(self, *path: str) -> tuple[Place, ...]:
        """A place for each item of a list; none where the list is not known."""
        each = self._each.get(path)
        if each is None:
            start, items = ".".join((self.path, *path)), items_of(self.get(*path))
            each = self._each[path] = tuple(
                [Place(self.logical_id, f"{start}.{index}", item, self.scope) for index, item in enumerate(items or ())]
            )
        return each

    @property
    def type(self) -> str:
        """The type of the resource."""
        return str(self.stack.resource(self.logical_id)["Type"])

    @property
    def symbol(self) -> Symbol:
        return self.stack.symbol(self.logical_id)

    @property
    def presence(self) -> Formula:
        """When the resource exists."""
        return self.stack.presence(self.stack.resource(self.logical_id))

    def __str__(self) -> str:
        return self.title


class StackView:
    """One stack of a tree: a template together with who nests it and what they pass."""

    def __init__(
        self,
        file: str,
        facts: Facts,
        nestings: Mapping[str, Nested],
        parent: StackView | None = None,
        nested: Nested | None = None,
    ) -> None:
        self.file = file
        self.facts = facts
        self.nestings = nestings
        self.parent = parent
        self.nested = nested
        # One for each nested stack that is followed, or one for each template that a condition chooses between.
        self.children: dict[str, list[StackView]] = {}
        self.root: StackView = parent.root if parent else self
        # Of a root: what stacks elsewhere tell it, where the set is read as one that is deployed together.
        self.others: Others | None = None
        # Expressions of the tree being read just now, so that a value that depends on itself ends as UNKNOWN.
        self.active: set[tuple[int, int]] = set()
        self._conditions: dict[str, Formula] = {}
        self._conditions_open: list[str] = []
        self._values: dict[tuple[Any, ...], Any] = {}
        self._places: dict[str, Place] = {}
        self._symbols: dict[tuple[str, str], Symbol] = {}
        # Root parameters that decide whether this stack exists at all: their defaults prove nothing here.
        self.doubtful: frozenset[Symbol] = frozenset()
        # When this stack exists.
        self.exists: Formula = True
        if parent is not None and nested is not None:
            resource = parent.resource(nested.logical_id)
            self.doubtful = parent.doubtful | parent.deciders(resource.get("Condition"))
            self.exists = every([parent.presence(resource), nested.when])

    def __repr__(self) -> str:
        return f"<StackView {self.file}>"

    def tree(self) -> list[StackView]:
        """This stack and all that hang on it, once all of them are there."""
        stacks: list[StackView] = self.remembered(("tree",), self._tree)
        return stacks

    def _tree(self) -> list[StackView]:
        return [self, *(below for several in self.children.values() for child in several for below in child.tree())]

    def resource(self, logical_id: str) -> Mapping[str, Any]:
        return self.facts.resources.get(logical_id, {})

    def place(self, logical_id: str) -> Place:
        """The properties of a resource, read once for all who ask."""
        place = self._places.get(logical_id)
        if place is None:
            resource = self.resource(logical_id)
            scope = self.scope_of(resource)
            path = f"Resources.{logical_id}.Properties"
            place = Place(logical_id, path, scope.value(resource.get("Properties", {})), scope)
            self._places[logical_id] = place
        return place

    def places(self, *types: str) -> Iterator[Place]:
        """The resources of some types that may exist."""
        for kind in types:
            if kind in self.facts.by_type:
                yield from self.remembered(("places", kind), partial(self._places_of, kind))

    def _places_of(self, kind: str) -> list[Place]:
        if self.exists is False:
            return []
        may_exist = [
            self.place(logical_id)
            for logical_id in self.facts.by_type[kind]
            if self.condition(self.facts.resources[logical_id].get("Condition")) is not False
        ]
        return [place for place in may_exist if isinstance(place.node, dict)]

    def below(self, *types: str) -> Iterator[Place]:
        """The resources of some types that may exist in this stack or in one that hangs on it."""
        for kind in types:
            yield from self.remembered(("below", kind), partial(self._below, kind))

    def _below(self, kind: str) -> list[Place]:
        return [place for stack in self.tree() if kind in stack.facts.by_type for place in stack.places(kind)]

    def scope_of(self, entry: Mapping[str, Any]) -> Scope:
        """The scope in which a resource or output is read: its own condition holds."""
        condition = entry.get("Condition")
        name = condition if isinstance(condition, str) else None
        scope: Scope = self.remembered(("scope", name), partial(self._scope_under, name))
        return scope

    def _scope_under(self, condition: str | None) -> Scope:
        assumed = frozenset() if condition is None else frozenset([condition])
        return Scope(self, self.doubtful | self.deciders(condition), assumed)

    def presence(self, entry: Mapping[str, Any]) -> Formula:
        """When a resource or an output of this stack exists."""
        return every([self.exists, self.when(entry.get("Condition"))])

    def presence_at(self, path: Sequence[str]) -> Formula:
        """When a place within a resource or an output counts: where the entry exists, and by each Fn::If on the way."""
        node: Any = self.facts.body
        formulas = [self.exists]
        for depth, key in enumerate(path):
            if depth == 2 and isinstance(node, Mapping):
                formulas.append(self.when(node.get("Condition")))
            inner = node.get(key) if isinstance(node, Mapping) else node[int(key)] if isinstance(node, list) else None
            if key == "Fn::If" and isinstance(inner, list) and len(inner) == 3 and depth + 1 < len(path):
                holds = self.when(inner[0])
                formulas.append(holds if path[depth + 1] == "1" else negation(holds))
            node = inner
        return every(formulas)

    def condition(self, name: Any) -> bool | None:
        """Whether a condition holds; None where that depends on what is chosen at deploy time."""
        formula = self.when(name)
        return formula if isinstance(formula, bool) else None

    def when(self, name: Any) -> Formula:
        """When a condition of this template holds; always, for no condition."""
        if name is None:
            return True
        conditions = self.facts.body.get("Conditions")
        if not isinstance(name, str) or not isinstance(conditions, Mapping) or name not in conditions:
            return _unclear(self, name)
        if name not in self._conditions:
            # For a condition that stands within itself, and one at the end of a very long chain.
            self._conditions[name] = _unclear(self, name)
            if len(self._conditions_open) < _DEEPEST:
                self._conditions_open.append(name)
                self._conditions[name] = self._formula(conditions[name])
                self._conditions_open.pop()
        return self._conditions[name]

    def _formula(self, node: Any) -> Formula:
        if not isinstance(node, Mapping) or len(node) != 1:
            return _unclear(self, node)
        (function, argument), *_ = node.items()
        if function == "Condition":
            return self.when(argument)
        if not isinstance(argument, list) or not argument:
            return _unclear(self, node)
        if function == "Fn::Equals" and len(argument) == 2:
            scope = Scope(self, EVERYTHING, frozenset())
            left, right = (scope.choices(side) for side in argument)
            pairs = [(every([a, b]), _equality(x, y, _unclear(self, node))) for a, x in left for b, y in right]
            return _any(every([when, same]) for when, same in pairs)
        parts = [self._formula(part) for part in argument]
        if function == "Fn::Not" and len(parts) == 1:
            return negation(parts[0])
        if function == "Fn::And":
            return every(parts)
        if function == "Fn::Or":
            return _any(parts)
        return _unclear(self, node)

    def remembered(self, key: tuple[Any, ...], read: Callable[[], Any]) -> Any:
        """A value of this stack, read once: what many read, through many stacks, would cost ever more."""
        value = self._values.get(key, _UNREAD)
        if value is _UNREAD:
            value = self._values[key] = read()
        return value

    def deciders(self, condition: Any) -> frozenset[Symbol]:
        """The root parameters that a condition hangs on, followed through all parents."""
        conditions = self.facts.body.get("Conditions")
        if not isinstance(condition, str) or not isinstance(conditions, Mapping):
            return frozenset()
        names: set[str] = set()
        seen: set[str] = set()
        waiting = [condition]
        while waiting:
            name = waiting.pop()
            if name in conditions and name not in seen:
                seen.add(name)
                names_in(conditions[name], names, waiting)
        return self.roots_of(names)

    def roots_of(self, names: set[str]) -> frozenset[Symbol]:
        """The root parameters that some names of this template hang on, followed through all parents."""
        own = names & self.facts.parameters.keys()
        if self.parent is None:
            return frozenset(self.symbol(name) for name in own)
        passed: set[str] = set()
        for name in own:
            names_in((self.nested.arguments or {}).get(name) if self.nested else None, passed, [])
        return self.parent.roots_of(passed) if passed else frozenset()

    def symbol(self, name: str, attribute: str = "") -> Symbol:
        """The symbol of a resource's attribute or of a parameter."""
        known = self._symbols.get((name, attribute))
        if known is None:
            known = self._symbols[name, attribute] = self._symbol(name, attribute)
        return known

    def _symbol(self, name: str, attribute: str) -> Symbol:
        if name in self.facts.resources:
            return Symbol(self, name, attribute, self.facts.resources[name]["Type"], True)
        return Symbol(self, name, "", str(self.facts.parameters[name].get("Type", "String")), False)

    def output(self, name: str, doubtful: frozenset[Symbol] | Everything = frozenset()) -> Any:
        """What an output says."""
        entry = self.facts.outputs[name]
        inner = self.scope_of(entry)
        return Scope(self, _both(doubtful, inner.doubtful), inner.assumed).value(entry.get("Value", UNKNOWN))

    def is_fixed(self, parameter: str) -> bool:
        """Whether what the parent passes is the same whatever is chosen for the root's parameters."""
        if self.parent is None or self.nested is None or not self.nested.arguments:
            return False
        scope = self.parent.scope_of(self.parent.resource(self.nested.logical_id))
        return is_plain(replace(scope, doubtful=EVERYTHING).value(self.nested.arguments.get(parameter)))

    def fed_by_sibling(self, parameter: str) -> bool:
        """Whether a parameter gets its value from the output of another nested stack."""
        return bool(self.remembered(("fed", parameter), lambda: self._fed_by_sibling(parameter)))

    def _fed_by_sibling(self, parameter: str) -> bool:
        if self.parent is None or self.nested is None or not self.nested.arguments:
            return False
        facts = Facts({"Resources": {"": self.nested.arguments.get(parameter)}})
        siblings = self.parent.nestings
        if any(name in siblings and attribute.startswith("Outputs.") for _, name, attribute in facts.attributes):
            return True
        return any(self.parent.fed_by_sibling(name) for _, name in facts.refs if name in self.parent.facts.parameters)


def items_of(value: Any) -> list[Any] | None:
    """The items of a list, those left out by AWS::NoValue dropped; None if unknown."""
    if value is None:
        return []
    if not isinstance(value, list) or UNKNOWN in value:
        return None
    return [item for item in value if item is not None]


def _any(formulas: Iterable[Formula]) -> Formula:
    return negation(every([negation(formula) for formula in formulas]))


def _unclear(stack: StackView, node: Any) -> Formula:
    """Something that may hold or not, the same wherever one template says it in the same words."""
    return Equal(Choice((id(stack), json.dumps(node, default=str))), None)


def _equality(left: Any, right: Any, otherwise: Formula) -> Formula:
    if is_plain(left) and is_plain(right):
        return as_text(left) == as_text(right)
    if left == right and not has_unknown(left):
        return True
    if is_plain(left):
        left, right = right, left
    if not isinstance(left, (Symbol, Text)):
        return otherwise
    if is_plain(right):
        return Equal(_choice(left), as_text(right))
    return Equal(*sorted((_choice(left), _choice(right)), key=str)) if isinstance(right, (Symbol, Text)) else otherwise


def _choice(value: Symbol | Text) -> Choice:
    allowed = None
    if isinstance(value, Symbol) and not value.is_resource:
        allowed = value.stack.facts.parameters.get(value.name, {}).get("AllowedValues")
    known = isinstance(allowed, list) and all(is_plain(item) for item in allowed)
    return Choice(value, frozenset(as_text(item) for item in allowed) if known and allowed else None)


def _both(
    left: frozenset[Symbol] | Everything, right: frozenset[Symbol] | Everything
) -> frozenset[Symbol] | Everything:
    return EVERYTHING if isinstance(left, Everything) or isinstance(right, Everything) else left | right


def _parameter_value(value: Any, parameter_type: str) -> Any:
    if not is_list_type(parameter_type):
        return value
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if value else []
    if isinstance(value, Text):
        return _split_text(value)
    if isinstance(value, Symbol):
        return value if is_list_type(value.type) else [value]
    return [value] if isinstance(value, (int, float)) else value


def _split_text(text: Text) -> list[Any]:
    items: list[list[Any]] = [[]]
    for part in text.parts:
        if isinstance(part, str):
            first, *rest = part.split(",")
            items[-1].append(first)
            items.extend([piece] for piece in rest)
        else:
            items[-1].append(part)
    return [_glue(item) for item in items]


def _glue(parts: list[Any]) -> Any:
    """One string of several values: text where all are known, else a Text, a lone Symbol as it is."""
    glued: list[str | Symbol] = []
    length = 0
    for part in parts:
        for piece in part.parts if isinstance(part, Text) else (part,):
            if isinstance(piece, Symbol):
                glued.append(piece)
            elif is_plain(piece):
                text = as_text(piece)
                length += len(text)
                if glued and isinstance(glued[-1], str):
                    glued[-1] += text
                elif text:
                    glued.append(text)
            else:
                return UNKNOWN
    if length > _LONGEST or len(glued) > _LONGEST:
        return UNKNOWN
    if not glued:
        return ""
    return glued[0] if len(glued) == 1 else Text(tuple(glued))

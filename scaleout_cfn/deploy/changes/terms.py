"""What an expression of a template gives, as a term: two that are the same term give the same value. Pure.

Nothing has to be known of a value for that: a function gives the same where its arguments are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from scaleout_cfn.templates.facts import VARIABLE, attribute_of, is_function, sub_parts
from scaleout_cfn.templates.values import as_text, is_list_type

Term: TypeAlias = int
"""The number of a term in its table: equal numbers, equal values."""

# Far beyond real templates. What is deeper or longer may be anything.
_DEEPEST = 60
_LONGEST = 100_000


class _Node(NamedTuple):
    kind: str
    words: tuple[str, ...]
    parts: tuple[Term, ...]


class Terms:
    """The table of all terms. Each is there once, so that comparing two takes no time, however much they share."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, tuple[str, ...], tuple[Term, ...]], Term] = {}
        self._nodes: list[_Node] = []
        self._unsure: set[Term] = set()
        self.depth = 0
        self.absent: Final = self.make("absent")
        self.yes: Final = self.make("holds", ("yes",))
        self.no: Final = self.make("holds", ("no",))

    def make(self, kind: str, words: Iterable[str] = (), parts: Iterable[Term] = (), *, unsure: bool = False) -> Term:
        """A term of this kind. `unsure`: CloudFormation looks it up, and may find something else each time."""
        key = (kind, tuple(words), tuple(parts))
        number = self._numbers.setdefault(key, len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append(_Node(*key))
            if unsure or not self._unsure.isdisjoint(key[2]):
                self._unsure.add(number)
        return number

    def moving(self) -> Term:
        """A value of which nothing is known: it is the same as no other."""
        return self.make("moving", (str(len(self._nodes)),), unsure=True)

    def text(self, value: str) -> Term:
        return self.make("text", (value,), unsure="{{resolve:" in value)

    def call(self, function: str, *parts: Term) -> Term:
        return self.make("call", (function,), parts)

    def is_sure(self, term: Term) -> bool:
        """Whether nothing in it is looked up, or not known."""
        return term not in self._unsure

    def plain(self, term: Term) -> str | None:
        node = self._nodes[term]
        return node.words[0] if node.kind in ("text", "number") else None

    def items(self, term: Term) -> tuple[Term, ...] | None:
        node = self._nodes[term]
        maybe = node.kind == "list" and any(self._nodes[part][:2] == ("call", ("Fn::If",)) for part in node.parts)
        return node.parts if node.kind == "list" and not maybe else None

    def glued(self, parts: Iterable[Term]) -> Term:
        """One text of several values."""
        found: list[Term] = []
        length = 0
        for part in parts:
            node = self._nodes[part]
            for piece in node.parts if node.kind == "glued" else (part,):
                text, last = self.plain(piece), self.plain(found[-1]) if found else None
                length += len(text or "") + 1
                if length > _LONGEST:
                    return self.moving()
                if text is not None and last is not None:
                    found[-1] = self.text(last + text)
                elif text != "":
                    found.append(piece if text is None else self.text(text))
        if len(found) == 1 and self.plain(found[0]) is not None:
            return found[0]
        return self.make("glued", (), found) if found else self.text("")

    def sources(self, term: Term) -> list[str]:
        paths: dict[str, None] = {}
        seen: set[Term] = set()
        waiting = [term]
        while waiting:
            number = waiting.pop()
            if number not in seen:
                seen.add(number)
                node = self._nodes[number]
                waiting.extend(reversed(node.parts))
                if node.kind == "of":
                    paths[node.words[0]] = None
        return list(paths)


class Scope:
    """Reads the expressions of one template.

    `path` is the stack's. `given` is what a parameter is given, None for its Default; `attribute` what a resource's
    attribute is, or with an empty name what Ref gives.
    """

    def __init__(
        self,
        terms: Terms,
        body: Mapping[str, Any],
        path: str,
        given: Callable[[str], Term | None],
        attribute: Callable[[str, str], Term],
    ) -> None:
        self.terms = terms
        self.path = path
        resources = _section(body, "Resources")
        self.resources = {title: one for title, one in resources.items() if isinstance(one.get("Type"), str)}
        self.outputs = _section(body, "Outputs")
        self.parameters = _section(body, "Parameters")
        self._conditions = _section(body, "Conditions")
        self._mappings = _section(body, "Mappings")
        self._given = given
        self._attribute = attribute
        self._known: dict[tuple[str, str], Term] = {}

    def value(self, node: Any) -> Term:
        """What an expression gives; `absent` for AWS::NoValue."""
        terms = self.terms
        if isinstance(node, str):
            return terms.text(node)
        if not isinstance(node, (dict, list)):
            return terms.make("number", (as_text(node) if node is not None else "null",))
        if terms.depth > _DEEPEST:
            return terms.moving()
        terms.depth += 1
        try:
            return self._inner(node)
        finally:
            terms.depth -= 1

    def _inner(self, node: dict[str, Any] | list[Any]) -> Term:
        terms = self.terms
        if isinstance(node, list):
            return terms.make("list", (), [item for item in map(self.value, node) if item != terms.absent])
        if is_function(node):
            ((function, argument),) = node.items()
            if function in _FUNCTIONS:
                return _FUNCTIONS[function](self, argument)
            return self._pure(function, argument) if function in _PURE else terms.moving()
        if any(str(key).startswith("Fn::") for key in node):  # a loop or a macro adds members
            return terms.moving()
        members = sorted((str(key), self.value(member)) for key, member in node.items())
        there = [(key, member) for key, member in members if member != terms.absent]
        return terms.make("map", [key for key, _ in there], [member for _, member in there])

    def condition(self, name: Any) -> Term:
        """Whether a condition holds: `yes`, `no`, or a term; `yes` for no condition."""
        if name is None:
            return self.terms.yes
        if not isinstance(name, str) or name not in self._conditions:
            return self.terms.moving()
        return self._remembered("condition", name, lambda: self._formula(self._conditions[name]))

    def _formula(self, node: Any) -> Term:
        terms = self.terms
        if not isinstance(node, dict) or len(node) != 1 or terms.depth > _DEEPEST:
            return terms.moving()
        terms.depth += 1
        try:
            return self._holds(*node.items())
        finally:
            terms.depth -= 1

    def _holds(self, node: tuple[str, Any]) -> Term:
        terms = self.terms
        function, argument = node
        if function == "Condition":
            return self.condition(argument)
        if not isinstance(argument, list):
            return terms.moving()
        if function == "Fn::Equals" and len(argument) == 2:
            left, right = map(self.value, argument)
            texts = terms.plain(left), terms.plain(right)
            if None not in texts and terms.is_sure(left) and terms.is_sure(right):
                return terms.yes if texts[0] == texts[1] else terms.no
            return terms.yes if left == right else terms.call(function, left, right)
        parts = [self._formula(part) for part in argument]
        if function == "Fn::Not" and len(parts) == 1:
            return {terms.yes: terms.no, terms.no: terms.yes}.get(parts[0]) or terms.call(function, *parts)
        if function not in ("Fn::And", "Fn::Or"):
            return terms.moving()
        decides, passes = (terms.no, terms.yes) if function == "Fn::And" else (terms.yes, terms.no)
        if decides in parts:
            return decides
        undecided = [part for part in parts if part != passes]
        return terms.call(function, *undecided) if undecided else passes

    def _remembered(self, kind: str, name: str, read: Callable[[], Term]) -> Term:
        key = (kind, name)
        if key not in self._known:
            self._known[key] = self.terms.moving()  # for what stands within itself
            self._known[key] = read()
        return self._known[key]

    def _pure(self, function: str, argument: Any) -> Term:
        return self.terms.call(function, self.value(argument))

    def _ref(self, name: Any) -> Term:
        terms = self.terms
        if not isinstance(name, str):
            return terms.moving()
        if name == "AWS::NoValue":
            return terms.absent
        if name in ("AWS::StackId", "AWS::StackName"):
            return terms.make("own", (self.path, name))
        if name.startswith("AWS::"):
            return terms.make("pseudo", (name,), unsure=name == "AWS::NotificationARNs")
        if name in self.parameters:
            return self._remembered("parameter", name, lambda: self._parameter(name))
        return self._attribute(name, "") if name in self.resources else terms.moving()

    def _parameter(self, name: str) -> Term:
        terms = self.terms
        declared = self.parameters[name]
        value, kind = self._given(name), str(declared.get("Type", "String"))
        if value is None:
            value = self.value(as_text(declared["Default"])) if "Default" in declared else terms.moving()
        if kind.startswith("AWS::SSM::Parameter::Value<"):
            return terms.make("looked up", (kind,), (value,), unsure=True)
        if not is_list_type(kind):
            return value
        text = terms.plain(value)
        if text is None:
            return terms.call("list", value)
        return terms.make("list", (), [terms.text(part.strip()) for part in text.split(",")] if text else [])

    def _get_att(self, argument: Any) -> Term:
        title, attribute = attribute_of(argument)
        if not title and isinstance(argument, list) and len(argument) == 2 and isinstance(argument[0], str):
            title, attribute = argument[0], self.terms.plain(self.value(argument[1])) or ""
        known = title in self.resources and attribute
        return self._attribute(title, attribute) if known else self.terms.moving()

    def _sub(self, argument: Any) -> Term:
        template, given = sub_parts(argument)
        if not isinstance(argument, str) and not template:
            return self.terms.moving()
        parts: list[Term] = []
        for index, piece in enumerate(VARIABLE.split(template)):
            if index % 2 == 0:
                parts.append(self.terms.text(piece))
            elif piece.startswith("!"):
                parts.append(self.terms.text(f"${{{piece[1:]}}}"))
            elif piece in given:
                parts.append(self.value(given[piece]))
            elif "." in piece:
                parts.append(self._get_att(piece.strip()))
            else:
                parts.append(self._ref(piece.strip()))
        return self.terms.glued(parts)

    def _join(self, argument: Any) -> Term:
        if not _is_list(argument, 2):
            return self.terms.moving()
        between, several = self.value(argument[0]), self.value(argument[1])
        items = self.terms.items(several)
        if items is None:
            return self.terms.call("Fn::Join", between, several)
        return self.terms.glued(part for number, item in enumerate(items) for part in (between, item)[number == 0 :])

    def _split(self, argument: Any) -> Term:
        if not _is_list(argument, 2):
            return self.terms.moving()
        separator, source = self.value(argument[0]), self.value(argument[1])
        by, text = self.terms.plain(separator), self.terms.plain(source)
        if not by or text is None or not self.terms.is_sure(source):
            return self.terms.call("Fn::Split", separator, source)
        return self.terms.make("list", (), [self.terms.text(part) for part in text.split(by)])

    def _select(self, argument: Any) -> Term:
        if not _is_list(argument, 2):
            return self.terms.moving()
        index, several = self.value(argument[0]), self.value(argument[1])
        number, items = self.terms.plain(index), self.terms.items(several)
        if items is None or number is None or not number.isdecimal() or int(number) >= len(items):
            return self.terms.call("Fn::Select", index, several)
        return items[int(number)]

    def _if(self, argument: Any) -> Term:
        if not _is_list(argument, 3):
            return self.terms.moving()
        holds = self.condition(argument[0])
        if holds in (self.terms.yes, self.terms.no):
            return self.value(argument[1 if holds == self.terms.yes else 2])
        return self.terms.call("Fn::If", holds, self.value(argument[1]), self.value(argument[2]))

    def _find_in_map(self, argument: Any) -> Term:
        if not isinstance(argument, list) or len(argument) not in (3, 4):
            return self.terms.moving()
        keys = [self.value(part) for part in argument]
        table: Any = self._mappings
        for key in keys[:3]:
            text = self.terms.plain(key)
            table = table.get(text) if isinstance(table, Mapping) and text is not None else None
        if table is not None:
            return self.value(table)
        # By a key that is not known yet: the same where all that it may lead to is.
        return self.terms.call("Fn::FindInMap", self.value(self._mappings), *keys)

    def _zones(self, argument: Any) -> Term:
        return self.terms.make("looked up", ("Fn::GetAZs",), (self.value(argument),), unsure=True)


def _section(body: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """The entries of a section that are mappings, as all are that CloudFormation takes."""
    entries = body.get(name)
    return {key: one for key, one in entries.items() if isinstance(one, dict)} if isinstance(entries, dict) else {}


def _is_list(argument: Any, length: int) -> bool:
    return isinstance(argument, Sequence) and not isinstance(argument, str) and len(argument) == length


_FUNCTIONS: Mapping[str, Callable[[Scope, Any], Term]] = {
    "Ref": Scope._ref,
    "Fn::GetAtt": Scope._get_att,
    "Fn::Sub": Scope._sub,
    "Fn::Join": Scope._join,
    "Fn::Split": Scope._split,
    "Fn::Select": Scope._select,
    "Fn::If": Scope._if,
    "Fn::FindInMap": Scope._find_in_map,
    "Fn::GetAZs": Scope._zones,
}

#: Nothing but their arguments goes into them. An export that a stack imports cannot change meanwhile:
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
_PURE = ("Fn::Base64", "Fn::Cidr", "Fn::ImportValue", "Fn::Length", "Fn::ToJsonString")

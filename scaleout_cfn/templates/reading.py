"""Templates as text, read into plain data: YAML with CloudFormation's short tags, or JSON.

The result is the long form (`Fn::GetAtt` as a list, `Ref`, `Fn::Sub`, ...) in dicts, lists and
scalars. Mapping keys are always strings. A date such as 2010-09-09 stays the string that
CloudFormation sees; the other plain scalars follow YAML 1.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.locations import SUFFIXES, locations

__all__ = ["Template", "is_template", "load", "read_folder", "read_template", "templates_of"]

ANATOMY = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html"
FORMATS = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html"

# PyYAML is sometimes installed without libyaml; its own parser gives the same, about ten times slower.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_YAML = "tag:yaml.org,2002:"
_SECTIONS = re.compile(r"""^\s*["']?(AWSTemplateFormatVersion|Resources)["']?\s*:""", re.MULTILINE)


@dataclass(frozen=True)
class Template:
    """One template file.

    `body` is the long form, empty where the text cannot be read. `lines` maps a dotted path to its
    line, counted from 1. `problems` says what is wrong with the text itself.
    """

    name: str
    body: dict[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    problems: tuple[Finding, ...] = ()

    def line(self, path: str) -> int | None:
        """The line of a path, or of the nearest thing around it that is written down."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path.rpartition(".")[0]
        return None


def load(text: str, name: str) -> Template:
    """Read one template. Text that cannot be read is no exception but `problems`."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        if not isinstance(node, yaml.MappingNode):
            what = "empty" if node is None else "a list" if isinstance(node, yaml.SequenceNode) else "one value"
            return Template(name, {}, problems=(_problem(name, 1, f"The file is {what}, not a template."),))
        reader = _Reader(name)
        return Template(name, reader.mapping(node, ""), reader.lines, tuple(reader.problems))
    except yaml.YAMLError as error:
        # libyaml has a limit of its own from 0.2.6 on; before, Python's is met first.
        if "maximum nesting depth" in str(error):
            return _too_deep(name)
        return _load_json(text, name, error)
    except RecursionError:
        return _too_deep(name)


def read_template(text: str, name: str = "template") -> Template:
    """Read one template, for callers that need a good one.

    Raises ValueError with the place and the reason where the text is no template.
    """
    template = load(text, name)
    if template.problems:
        first = template.problems[0]
        raise ValueError(f"{first.file}:{first.line}: {first.message} {first.cure}")
    return template


def read_folder(path: Path) -> dict[str, dict[str, Any]]:
    """The templates of a folder by file name: its own, and those in subfolders that they nest.

    Raises ValueError where a template cannot be read, OSError where the folder cannot be.
    """
    found = {}
    for template, _ in templates_of(path):
        if template.problems:
            first = template.problems[0]
            raise ValueError(f"{first.file}:{first.line}: {first.message} {first.cure}")
        found[template.name] = template.body
    return found


def templates_of(folder: Path) -> Iterator[tuple[Template, int]]:
    """Each template of a folder with its size in bytes, those of subfolders once something nests them.

    Other YAML and JSON files (build specifications, parameter files) are passed over.
    """
    waiting = sorted(
        (entry.name for entry in folder.iterdir() if entry.suffix in SUFFIXES and entry.is_file()),
        reverse=True,
    )
    seen = set(waiting)
    nested: set[str] = set()
    while waiting:
        name = waiting.pop()
        raw = (folder / name).read_bytes()
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problem = _problem(name, 1, f"The file is not UTF-8 text: {error.reason} at byte {error.start}.")
            yield Template(name, {}, problems=(problem,)), len(raw)
            continue
        template = load(text, name)
        if name not in nested and not is_template(template, text):
            continue
        yield template, len(raw)
        found = {
            path
            for location in locations(template.body)
            for path in location.candidates(name)
            if not path.startswith(("../", "/")) and (folder / path).is_file()
        }
        nested |= found
        waiting.extend(sorted(found - seen, reverse=True))
        seen |= found


def is_template(template: Template, text: str) -> bool:
    """Whether a file means to be a template, broken or not."""
    if template.body:
        return "Resources" in template.body or "AWSTemplateFormatVersion" in template.body
    return bool(_SECTIONS.search(text))


def _problem(name: str, line: int, message: str, path: str = "") -> Finding:
    return Finding(
        file=name,
        line=line,
        path=path,
        rule="E0000",
        severity="error",
        message=message,
        cure="CloudFormation takes one YAML or JSON mapping with Resources, each key once.",
        source=FORMATS,
    )


def _too_deep(name: str) -> Template:
    return Template(name, {}, problems=(_problem(name, 1, "The file is nested too deeply."),))


def _load_json(text: str, name: str, error: yaml.YAMLError) -> Template:
    # libyaml refuses some JSON (tabs as indentation, \/ in strings); then the JSON reader decides.
    if text.lstrip().startswith("{"):
        try:
            body = json.loads(text)
        except json.JSONDecodeError as fault:
            return Template(name, {}, problems=(_problem(name, fault.lineno, f"Not JSON: {fault.msg}."),))
        except RecursionError:
            return _too_deep(name)
        if isinstance(body, dict):
            return Template(name, body)
    mark = getattr(error, "problem_mark", None)
    what = " ".join(str(part) for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part)
    line = mark.line + 1 if mark is not None else 1
    what = " ".join((what or str(error)).split())
    return Template(name, {}, problems=(_problem(name, line, f"Not YAML: {what}."),))


class _Reader:
    """Builds plain data from PyYAML's nodes and notes each path's line on the way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[str, int] = {}
        self.problems: list[Finding] = []
        self._scalars = SafeConstructor()
        self._built: dict[int, Any] = {}
        self._open: set[int] = set()

    def value(self, node: Any, path: str) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        # An alias gives the same node again; it is built once, so that no alias can multiply.
        if id(node) in self._built:
            return self._built[id(node)]
        if id(node) in self._open:
            line = node.start_mark.line + 1
            self.problems.append(_problem(self.name, line, "An alias stands within what it stands for.", path))
            return None
        self._open.add(id(node))
        self._built[id(node)] = built = self._collection(node, path)
        return built

    def _collection(self, node: Any, path: str) -> Any:
        tag = node.tag
        if tag.startswith("!"):
            return self._function(node, path)
        return self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)

    def mapping(self, node: Any, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        where: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _YAML + "merge":
                merged = self.value(value_node, path)
                for source in merged if isinstance(merged, list) else [merged]:
                    if isinstance(source, dict):
                        found = source | found
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(_problem(self.name, line, "A mapping key is not a string.", path))
                continue
            key = key_node.value
            place = f"{path}.{key}" if path else key
            if key in where:
                said = f"{key} is written twice, first in line {where[key]}."
                self.problems.append(_problem(self.name, line, said, place))
            where.setdefault(key, line)
            self.lines.setdefault(place, line)
            found[key] = self.value(value_node, place)
        if found.keys() == {"Fn::GetAtt"} and isinstance(found["Fn::GetAtt"], str):
            found["Fn::GetAtt"] = found["Fn::GetAtt"].split(".", 1)
        return found

    def _sequence(self, node: Any, path: str) -> list[Any]:
        found: list[Any] = []
        for index, item in enumerate(node.value):
            place = f"{path}.{index}"
            self.lines.setdefault(place, item.start_mark.line + 1)
            found.append(self.value(item, place))
        return found

    def _function(self, node: Any, path: str) -> dict[str, Any]:
        name = node.tag[1:]
        key = name if name in ("Ref", "Condition") else f"Fn::{name}"
        place = f"{path}.{key}" if path else key
        self.lines.setdefault(place, node.start_mark.line + 1)
        found: dict[str, Any] = {}
        if isinstance(node, yaml.ScalarNode):
            found[key] = node.value.split(".", 1) if key == "Fn::GetAtt" else node.value
        elif isinstance(node, yaml.MappingNode):
            found[key] = self.mapping(node, place)
        else:
            found[key] = self._sequence(node, place)
        return found

    def _scalar(self, node: Any, path: str) -> Any:
        if node.tag.startswith("!"):
            return self._function(node, path)
        # Strings, and dates, which CloudFormation leaves as they are written.
        if node.tag not in _CONSTRUCT:
            return node.value
        try:
            return _CONSTRUCT[node.tag](self._scalars, node)
        except ValueError:
            # 0o17 and the like: a number by its form only.
            return node.value


_CONSTRUCT = {
    _YAML + "int": SafeConstructor.construct_yaml_int,
    _YAML + "float": SafeConstructor.construct_yaml_float,
    _YAML + "bool": SafeConstructor.construct_yaml_bool,
    _YAML + "null": SafeConstructor.construct_yaml_null,
}

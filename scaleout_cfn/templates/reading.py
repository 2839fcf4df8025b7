"""Templates as text, read into plain data: YAML with CloudFormation's short tags, or JSON.

The result is the long form (`Fn::GetAtt` as a list, `Ref`, `Fn::Sub`, ...) in dicts, lists and
scalars. Mapping keys are always strings. A date such as 2010-09-09 stays the string that
CloudFormation sees; the other plain scalars follow YAML 1.1.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import ReaderError

from scaleout_cfn.templates.facts import Facts
from scaleout_cfn.templates.locations import SUFFIXES, locations
from scaleout_cfn.templates.stacks import StackView
from scaleout_cfn.templates.values import Finding

FORMATS = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html"

# PyYAML is sometimes installed without libyaml; its own parser gives the same, about ten times slower.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_YAML = "tag:yaml.org,2002:"
# CloudFormation takes a template of 1 MB, as text: no alias can make more of it, and no file of five times that is one.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
_WRITTEN_OUT = 1_000_000
_LARGEST = 5_000_000
# Real templates are some thirty levels deep. Python's own stack ends at some hundreds, wherever it stands just then.
_DEEPEST = 100
# A file that says so is a template, however broken and however it is laid out; one that is cut off may have no more
# than its first sections, and the type of its first resource.
_MENTIONS = re.compile(
    rb"""AWSTemplateFormatVersion|(?:^|[\s{,])["']?Resources["']?\s*(?::|\Z)|\{\s*["']Parameters["']\s*:"""
    rb"""|\bType["']?\s*:\s*["']?AWS::""",
    re.MULTILINE,
)
_JSON = re.compile(r"""\s*(?:/[/*].*?)?\{\s*(?:["}]|/[/*])""", re.DOTALL)
# Folders in which nobody keeps templates of their own.
_FOREIGN = ("node_modules", "__pycache__")


@dataclass(frozen=True)
class Source:
    """One template file.

    `body` is the long form, empty where the text cannot be read. `lines` maps a dotted path to its
    line, counted from 1. `problems` says what is wrong with the text itself, `raw` is the file as it is, `size`
    counts its bytes, `is_read` says that it is good YAML or JSON with something in it.
    """

    name: str
    body: dict[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    problems: tuple[Finding, ...] = ()
    raw: bytes = field(default=b"", repr=False)
    size: int = 0
    is_read: bool = False

    def line(self, path: str) -> int | None:
        """The line of a path, or of the nearest thing around it that is written down."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path.rpartition(".")[0]
        return None


def load(text: str, name: str) -> Source:
    """Read one template. Text that cannot be read is no exception but `problems`."""
    body = None
    try:
        if _JSON.match(text):
            # YAML would take more, a comma too many among it; CloudFormation says "JSON not well-formed".
            body = json.loads(text, strict=False, parse_constant=_no_constant)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        if not isinstance(node, yaml.MappingNode):
            what = "empty" if node is None else "a list" if isinstance(node, yaml.SequenceNode) else "one value"
            problem = _problem(name, 1, f"The file is {what}, not a template.")
            return Source(name, {}, problems=(problem,), is_read=isinstance(node, yaml.SequenceNode))
        builder = _Builder(name)
        body = builder.mapping(node, "")
        return _bounded(Source(name, body, builder.lines, tuple(builder.problems), is_read=True))
    except yaml.YAMLError as error:
        # libyaml has a limit of its own from 0.2.6 on; before, Python's is met first.
        if "maximum nesting depth" in str(error):
            return _too_deep(name)
        # libyaml refuses some JSON: tabs as indentation, \/ in strings.
        return _bounded(Source(name, body, is_read=True)) if isinstance(body, dict) else _not_yaml(name, text, error)
    except RecursionError:
        return _too_deep(name)
    except ValueError as error:
        line, said = getattr(error, "lineno", 1), getattr(error, "msg", str(error))
        return Source(name, {}, problems=(_problem(name, line, f"Not JSON: {said}."),))


def read_folder(path: Path) -> dict[str, dict[str, Any]]:
    """The templates of a folder by file name: its own, and those elsewhere that they nest.

    Raises ValueError where a template cannot be read, OSError where the folder cannot be.
    """
    found = {}
    reader = Reader(path)
    reader.folder(path)
    for source in reader.sources():
        if source.problems:
            first = source.problems[0]
            raise ValueError(f"{first.file}:{first.line}: {first.message} {first.cure}")
        found[source.name] = source.body
    return found


class Reader:
    """Finds templates in files and folders, and wherever those nest others. Names are relative to `base`.

    `published` fills with the files behind the names that CDK's asset manifests give them.
    """

    def __init__(self, base: Path) -> None:
        self.base = base.absolute()
        self.published: dict[str, str] = {}
        # Files by name, and whether somebody means them to be templates: whoever names or nests them.
        self._waiting: list[tuple[str, bool]] = []
        self._seen: set[tuple[str, bool]] = set()
        self._given: set[str] = set()
        # The repositories, or else the folders, in which a URL's file is looked for.
        self._tops: set[Path] = set()

    def file(self, path: Path) -> None:
        """Take one file for a template, whatever it looks like. Raises OSError where it is not there."""
        path.stat()
        self._take(self._name(path), True)
        self._tops.add(_top(path.absolute().parent))

    def folder(self, path: Path, *, deep: bool = False) -> None:
        """Look through a folder, and with `deep` through those in it; of CDK's output only the stacks that its manifest
        names. Raises OSError where it cannot be read.
        """
        self._tops.add(_top(path.absolute()))
        folders = [path]
        while folders:
            folder = folders.pop()
            entries = sorted(folder.iterdir())
            assembly = _assembly(folder / "manifest.json")
            if assembly is not None:
                # What else lies there are assets, and what earlier versions of the app left.
                for entry in entries:
                    if entry.name.endswith(".assets.json"):
                        self.published.update(self._manifest(entry))
                for file in assembly.templates:
                    self._take(self._name(folder / file), True)
                folders += [folder / inner for inner in reversed(assembly.stages) if (folder / inner).is_dir()]
                continue
            for entry in entries:
                if entry.name.endswith(".assets.json"):
                    self.published.update(self._manifest(entry))
                elif entry.suffix in SUFFIXES and entry.is_file():
                    self._take(self._name(entry), False)
            if deep:
                folders += [
                    entry
                    for entry in reversed(entries)
                    if not entry.name.startswith(".")
                    and entry.name not in _FOREIGN
                    and entry.is_dir()
                    and not entry.is_symlink()
                ]

    def sources(self) -> Iterator[Source]:
        """Each template, those that others nest after them. Other YAML and JSON files are passed over."""
        for name, meant in self._waiting:
            source = self._read(name, meant) if name not in self._given else None
            if source is not None:
                self._given.add(name)
                yield source
                self._follow(source)

    def _take(self, name: str, meant: bool) -> None:
        if (name, meant) not in self._seen:
            self._seen.add((name, meant))
            self._waiting.append((name, meant))

    def _follow(self, source: Source) -> None:
        for place in locations(StackView(source.name, Facts(source.body), {})):
            for path in place.candidates(source.name):
                file = self.base / path
                inside = place.path is not None or any(file.is_relative_to(top) for top in self._tops)
                if inside and _is_file(file):
                    self._take(path, True)

    def _read(self, name: str, meant: bool) -> Source | None:
        """The template in a file; None where the file is something else."""
        path = self.base / name
        try:
            size = path.stat().st_size
            raw = path.read_bytes() if size <= _LARGEST else b""
            if size > _LARGEST:
                with path.open("rb") as file:
                    raw = file.read(100_000)
        except OSError as error:
            return Source(name, {}, problems=(_problem(name, 1, f"The file cannot be read: {error.strerror}."),))
        mentions = bool(_MENTIONS.search(raw.replace(b"\0", b"")))
        if not mentions and not meant:
            return None
        if size > _LARGEST:
            return _too_large(name, size)
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            problem = _problem(name, line, f"The file is not UTF-8 text: {error.reason} at byte {error.start}.")
            return Source(name, {}, problems=(problem,), size=size)
        source = load(text, name)
        # CodeDeploy's appspec.yml has a list of Resources.
        has_resources = "Resources" in source.body and not isinstance(source.body["Resources"], list)
        if source.is_read and not (meant or has_resources or "AWSTemplateFormatVersion" in source.body):
            return None
        return replace(source, raw=raw, size=size)

    def _name(self, path: Path) -> str:
        path = Path(os.path.normpath(path.absolute()))
        return path.relative_to(self.base).as_posix() if path.is_relative_to(self.base) else path.as_posix()

    def _manifest(self, path: Path) -> dict[str, str]:
        """The files behind object keys, as CDK's asset manifest has them; nothing where it cannot be read."""
        found = {}
        try:
            files = json.loads(path.read_text("utf-8"))["files"].values()
            for file in files:
                for destination in file["destinations"].values():
                    published = path.parent / destination["objectKey"].rpartition("/")[2]
                    found[self._name(published)] = self._name(path.parent / file["source"]["path"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {}
        return found


@dataclass(frozen=True)
class _Assembly:
    """The files of its stacks that a cloud assembly of CDK names, and the folders of its stages."""

    templates: tuple[str, ...]
    stages: tuple[str, ...]


def _assembly(path: Path) -> _Assembly | None:
    """A cloud assembly by its manifest; None where there is none, or one of something else.

    https://github.com/aws/aws-cdk-cli/blob/main/packages/%40aws-cdk/cloud-assembly-schema/lib/cloud-assembly/schema.ts
    """
    found: dict[str, list[str]] = {"templateFile": [], "directoryName": []}
    keys = {"aws:cloudformation:stack": "templateFile", "cdk:cloud-assembly": "directoryName"}
    try:
        for artifact in json.loads(path.read_text("utf-8"))["artifacts"].values():
            if artifact["type"] in keys:
                key = keys[artifact["type"]]
                found[key].append(str(artifact["properties"][key]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return _Assembly(tuple(sorted(found["templateFile"])), tuple(sorted(found["directoryName"])))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        # A name that is too long, or that no file system takes.
        return False


def _top(folder: Path) -> Path:
    """The folder of the repository that a folder lies in; the folder itself where it lies in none."""
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), folder)


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


def _too_deep(name: str) -> Source:
    return Source(name, {}, problems=(_problem(name, 1, "The file is nested too deeply."),))


def _too_large(name: str, size: int) -> Source:
    message = f"The template has more than {size:,} bytes with its aliases written out; CloudFormation takes 1,000,000."
    if size > _WRITTEN_OUT:
        message = f"The file has {size:,} bytes; CloudFormation takes 1,000,000."
    return Source(name, {}, problems=(_problem(name, 1, message),), size=size)


def _bounded(source: Source) -> Source:
    """The same, unless it is deeper or larger than any template: aliases multiply what they stand for."""
    known: dict[int, tuple[int, int]] = {}

    def measure(node: Any) -> tuple[int, int]:
        """How many characters, at least, and how many levels."""
        if not isinstance(node, (dict, list)):
            return len(node) if isinstance(node, str) else 1, 0
        if id(node) not in known:
            size, deepest = 2, 0
            for item in node.values() if isinstance(node, dict) else node:
                more, levels = measure(item)
                size, deepest = size + more + 1, max(deepest, levels)
            known[id(node)] = size + (sum(map(len, node)) if isinstance(node, dict) else 0), deepest + 1
        return known[id(node)]

    size, levels = measure(source.body)
    if levels > _DEEPEST:
        return _too_deep(source.name)
    return source if size <= _WRITTEN_OUT else _too_large(source.name, _WRITTEN_OUT)


def _no_constant(name: str) -> None:
    # Python reads NaN and Infinity, which are no JSON: https://www.rfc-editor.org/rfc/rfc8259#section-6
    raise ValueError(f"{name} is no number of JSON's")


def _not_yaml(name: str, text: str, error: yaml.YAMLError) -> Source:
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        what = f"the character U+{error.character:04X} is not allowed"
        return Source(name, {}, problems=(_problem(name, line, f"Not YAML: {what}."),))
    what = " ".join(str(part) for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part)
    # The end of a text without a line's end counts as a line of its own.
    line = min(mark.line, text.count("\n")) + 1 if mark is not None else 1
    what = " ".join((what or str(error)).split())
    return Source(name, {}, problems=(_problem(name, line, f"Not YAML: {what}."),))


class _Builder:
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

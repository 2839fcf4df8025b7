"""The reference pages of the site, from the code itself: every key of the config, every command, every public name.

    python scripts/reference.py FOLDER

writes `config.md`, `commands.md` and `python.md` into a folder. Which property a key sets is found by trying: each key
is changed in the configs that the pages under docs/ show, and what then differs in the templates is what it sets.
"""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import msgspec

import scaleout_cfn as sc
from scaleout_cfn.cli import cli
from scaleout_cfn.config.text import toml
from scaleout_cfn.config.tunables import (
    Section,
    allowed_by,
    bare,
    bounds_of,
    choices_of,
    default_of,
    fields_of,
    named_sections,
    section_items,
    sections_of,
    tag_field_of,
    unit_of,
)

ROOT = Path(__file__).parent.parent
SHOWN = 3
"""Properties that a key is said to set; where it sets more, their number follows."""

TEXTS = (
    "alpha",
    "/alpha",
    "alpha.example.com",
    "10.9.0.0/16",
    "Alpha",
    "secretsmanager:alpha",
    "arn:aws:iam::123456789012:policy/alpha",
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:alpha",
    "arn:aws:s3:::alpha/alpha.env",
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com/alpha",
)
"""What is tried for a text that is empty by default; what is refused is left."""

Key = tuple[type[Section], str]
"""A key of the config, wherever it stands: the section's class and the field."""


def snippets() -> Iterator[sc.Config]:
    """The default config, and those that the pages show."""
    yield sc.Config()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            tomllib.loads(block)
            yield from _loaded(block)


def _loaded(text: str) -> Iterator[sc.Config]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scaleout.toml"
        path.write_text(text, encoding="utf-8")
        yield sc.load(path)


def places(section: Section, made: Any = None) -> Iterator[tuple[Section, str, Any]]:
    """Every field of every section within one, with a function that makes the whole anew with another value there."""
    rebuild = made or (lambda changed: changed)
    for field in fields_of(type(section)):
        value = getattr(section, field.name)

        def whole(changed: Any, name: str = field.name) -> Any:
            return rebuild(msgspec.structs.replace(section, **{name: changed}))

        if isinstance(value, Section):
            yield from places(value, whole)
        elif isinstance(value, Mapping) and any(isinstance(entry, Section) for entry in value.values()):
            for name, entry in value.items():
                if isinstance(entry, Section):
                    yield from places(
                        entry, lambda new, name=name, value=value, whole=whole: whole({**value, name: new})
                    )
        elif isinstance(value, tuple) and value and all(isinstance(entry, Section) for entry in value):
            yield from places(value[0], lambda new, value=value, whole=whole: whole((new, *value[1:])))
        else:
            yield section, field.name, whole


def others(section: Section, name: str) -> Iterator[Any]:
    """Other values that a field may have, to see what changes."""
    field = next(field for field in fields_of(type(section)) if field.name == name)
    inner, _ = bare(field.type)
    value, usual = getattr(section, name), default_of(field)
    if value != usual:
        yield usual
    kinds = [kind for kind in (get_args(inner) or (inner,)) if kind is not types.NoneType]
    if get_origin(inner) is not None and choices_of(inner):
        yield from (choice for choice in get_args(inner) if choice != value)
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (value + 1, value * 2, value - 1, value + 60)
    elif isinstance(value, str) and value:
        yield value + "x"
    elif bool in kinds:
        yield True
    elif int in kinds or float in kinds:
        yield from (1, 60, 100, 512, 1024)
    elif get_origin(inner) is tuple and not value:
        yield from ((text,) for text in TEXTS)
    elif get_origin(inner) is Mapping and not named_sections(inner):
        yield from ({"Alpha": text} for text in TEXTS)
    elif str in kinds:
        yield from TEXTS


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, (*path, str(key)))
    else:
        yield path, node


def properties(templates: Mapping[str, Any]) -> dict[tuple[str, ...], tuple[str, Any]]:
    """Each leaf of each resource: by its place, what it is called, and what it is."""
    found = {}
    for file, template in templates.items():
        for logical_id, resource in template["Resources"].items():
            kind = resource["Type"].removeprefix("AWS::")
            if kind == "CloudFormation::Stack":
                continue
            for path, value in leaves(resource.get("Properties", {})):
                found[file, logical_id, *path] = (f"{kind}.{'.'.join(path[:2])}", value)
        for name, parameter in template.get("Parameters", {}).items() if file.startswith("root.") else ():
            found[file, name] = (f"parameter {name}", parameter.get("Default"))
    return found


def sets() -> dict[Key, list[str]]:
    """Of each key that a page's config has, the properties that differ when it does."""
    result: dict[Key, list[str]] = {}
    tried: dict[Key, int] = {}
    for config in snippets():
        before = None
        for section, name, whole in places(config):
            key = (type(section), name)
            if result.get(key) or tried.get(key, 0) >= SHOWN:
                continue
            before = before if before is not None else properties(sc.set_of(sc.compose(config)))
            for other in others(section, name):
                try:
                    after = properties(sc.set_of(sc.compose(whole(other))))
                except (sc.ScaleoutError, msgspec.ValidationError, ValueError, TypeError):
                    continue
                tried[key] = tried.get(key, 0) + 1
                names = {
                    (after.get(place) or before[place])[0]
                    for place in before.keys() | after.keys()
                    if before.get(place) != after.get(place)
                }
                if names:
                    result[key] = sorted(names)
                    break
    return result


def kinds(inner: Any) -> tuple[type[Section], ...]:
    item = section_items(inner)
    return (*sections_of(inner), *named_sections(inner), *((item,) if item else ()))


def in_words(inner: Any) -> str:
    """The type of a tunable as one writes it in TOML."""
    if choices := choices_of(inner):
        return choices
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if inner in names:
        return names[inner]
    arguments = [bare(argument)[0] for argument in get_args(inner) if argument not in (types.NoneType, Ellipsis)]
    if get_origin(inner) is tuple:
        return f"list of {in_words(arguments[0])}s"
    if get_origin(inner) is Mapping or get_origin(inner) is dict:
        return f"table of {in_words(arguments[1])}s"
    return " or ".join(dict.fromkeys(in_words(argument) for argument in arguments)) or str(inner)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def config_page() -> str:
    """Every section with its keys."""
    set_by = sets()
    lines = [
        "# Every key of the config",
        "",
        "Each key of `scaleout.toml` with its default, unit, bounds and meaning, and the CloudFormation properties"
        " that it sets. `scaleout-cfn init` writes a file with all of it, `scaleout-cfn schema` the JSON Schema for"
        " editors, and `--set services.web.memory_mib=512` changes a key for one run. NAME is what you call it.",
        "",
        "The last column is found by changing each key in the configs that these pages show; it is empty where none has"
        " the key, or where it changes what is checked or run and no property.",
        "",
    ]
    at: dict[type[Section], list[str]] = {}

    def gather(section: type[Section], path: str) -> None:
        at.setdefault(section, []).append(path)
        if len(at[section]) > 1:
            return
        for field in fields_of(section):
            inner, _ = bare(field.type)
            key = f"{path}.{field.name}".removeprefix(".")
            is_named = bool(named_sections(inner))
            for kind in kinds(inner):
                gather(kind, f"{key}.NAME" if is_named else f"{key}[]" if section_items(inner) else key)

    gather(sc.Config, "")
    for section, paths in at.items():
        title = f"[{paths[0]}]" if paths[0] else "The top of the file"
        tag = section.__struct_config__.tag
        kind = f', {tag_field_of(section)} = "{tag}"' if tag else ""
        lines += [f"## `{title}`{kind}" if paths[0] else f"## {title}", ""]
        if section.__doc__:
            lines += [cell(section.__doc__.strip().split("\n\n")[0]), ""]
        if len(paths) > 1:
            lines += ["Also at " + ", ".join(f"`[{path}]`" for path in paths[1:]) + ".", ""]
        if not fields_of(section):
            lines += ["It has no keys.", ""]
            continue
        lines += ["| key | allowed | default | unit | meaning | sets |", "|---|---|---|---|---|---|"]
        for field in fields_of(section):
            inner, meta = bare(field.type)
            assert meta is not None
            within = kinds(inner)
            bounds = " ".join(filter(None, (bounds_of(meta), allowed_by(meta))))
            allowed = (
                "section" + ("s by name" if named_sections(inner) else "s, a list" if section_items(inner) else "")
                if within
                else f"{in_words(inner)}{', ' if bounds else ''}{bounds}"
            )
            usual = default_of(field)
            shown = "" if within or usual is None else f"`{toml(usual)}`"
            names = set_by.get((section, field.name), [])
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            said = ", ".join(f"`{name}`" for name in names[:SHOWN]) + more
            meaning = cell(meta.description or "")
            lines.append(
                f"| `{field.name}` | {cell(allowed)} | {cell(shown)} | {unit_of(meta) or ''} | {meaning} | {said} |"
            )
        lines.append("")
    return "\n".join(lines) + "\n"


def commands(command: click.Command, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield names, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            if (inner := command.get_command(context, name)) is not None and not inner.hidden:
                yield from commands(inner, (*names, name))


def commands_page() -> str:
    """What `--help` says of every command."""
    lines = [
        "# Every command",
        "",
        "What `scaleout-cfn COMMAND --help` prints. Exit codes are in [their page](../exit-codes.md).",
        "",
    ]
    for names, command in commands(cli):
        title = " ".join(("scaleout-cfn", *names))
        context = click.Context(command, info_name=title, max_content_width=100, terminal_width=100)
        lines += [f"{'##' if len(names) < 2 else '###'} {title}", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines) + "\n"


def python_page() -> str:
    """The public names by the module they live in, with signature and docstring."""
    lines = [
        "# Every public name",
        "",
        "What `import scaleout_cfn as sc` gives. The sections of the config are [in their own page](config.md), with"
        " every key; here they have their names only.",
        "",
    ]
    for module, names in sc._HOMES.items():
        lines += [f"## scaleout_cfn.{module}" if module else "## scaleout_cfn", ""]
        for name in names.split():
            value = getattr(sc, name)
            lines += [f"### {name}", ""]
            if inspect.isclass(value) and issubclass(value, Section):
                lines += [cell((inspect.getdoc(value) or "").split("\n\n")[0]), ""]
                continue
            if inspect.isroutine(value) or (inspect.isclass(value) and not issubclass(value, BaseException)):
                try:
                    shown = f"{name}{inspect.signature(value)}".replace("scaleout_cfn.", "")
                    shown = re.sub(r"<function (\w+) at \w+>", r"\1", re.sub(r"(: |-> )'([^']*)'", r"\1\2", shown))
                except ValueError:
                    shown = name
                lines += ["```python", shown, "```", ""]
            if inspect.isclass(value) or inspect.isroutine(value):
                lines += [inspect.getdoc(value) or str(getattr(value, "meaning", "")), ""]
            else:
                lines += [f"A value of type `{type(value).__name__}`.", ""]
    return "\n".join(lines) + "\n"


def write(folder: Path) -> None:
    """Write the three pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in (("config", config_page), ("commands", commands_page), ("python", python_page)):
        (folder / f"{name}.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))

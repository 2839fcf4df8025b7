"""What the config types say of themselves: a TOML file to start from, and a JSON Schema for editors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import NODEFAULT, Meta
from msgspec.structs import FieldInfo

from scaleout_cfn.config import Config
from scaleout_cfn.config.tunables import (
    Section,
    bare,
    bounds_of,
    choices_of,
    default_of,
    fields_of,
    general_key,
    named_sections,
    section_items,
    sections_of,
    tag_field_of,
    unit_of,
)

Table = dict[str, Any]


def json_schema() -> Table:
    """The JSON Schema of the TOML file, for editors."""
    schema = msgspec.json.schema(Config)
    definitions: Table = schema["$defs"]
    # An overlay gives a part of what its section needs, over the rest of the file. Items of lists are whole.
    partial = set(definitions) - _items(Config)
    overlays = {}
    for name in partial - {"Config"}:
        overlay = _pointing_to(definitions[name], partial)
        overlay.pop("required", None)
        overlays[f"{name}Overlay"] = overlay
    for name in _meant_without_kind(Config):
        needed = definitions[name]["required"]
        definitions[name]["required"] = [key for key in needed if key not in ("kind", "strategy")]
    config = definitions["Config"]
    environment = {
        "type": "object",
        "additionalProperties": False,
        "description": "Changes for one environment, chosen by --env.",
        "properties": _pointing_to(config["properties"], partial),
    }
    config["properties"]["environments"] = {"type": "object", "additionalProperties": environment}
    definitions |= dict(sorted(overlays.items()))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _meant_without_kind(section: type[Section]) -> set[str]:
    """Names of the sections that are meant where no `kind` is written: the first of those that exclude each other."""
    found = set()
    for field in fields_of(section):
        inner, _ = bare(field.type)
        choices = sections_of(inner) or named_sections(inner)
        if len(choices) > 1:
            found.add(choices[0].__name__)
        for choice in choices:
            found |= _meant_without_kind(choice)
    return found


def _items(section: type[Section]) -> set[str]:
    """Names of the sections that are items of lists, in a section or anywhere below it."""
    found = set()
    for field in fields_of(section):
        inner, _ = bare(field.type)
        if item := section_items(inner):
            found |= {item.__name__, *_items(item)}
        for choice in sections_of(inner) or named_sections(inner):
            found |= _items(choice)
    return found


def _pointing_to(node: Any, partial: set[str]) -> Any:
    """The same schema with references to sections replaced by references to their overlays."""
    if isinstance(node, dict):
        target = str(node.get("$ref", "")).rpartition("/")[2]
        changed = {
            key: _pointing_to(value, partial) for key, value in node.items() if key not in ("discriminator", "default")
        }
        return {**changed, "$ref": f"#/$defs/{target}Overlay"} if target in partial else changed
    return [_pointing_to(item, partial) for item in node] if isinstance(node, list) else node


#: What `starter` with `short` holds: what one set, pool or service rarely has in common with another.
SHORT = (
    *("stack_name", "region", "observability.alarm_email"),
    *("capacity.NAME.instance_types", "capacity.NAME.max_nodes", "capacity.NAME.spot_percent"),
    *("services.NAME.container_port", "services.NAME.cpu_units", "services.NAME.memory_mib"),
    *("services.NAME.health_check.path", "services.NAME.scaling.min_tasks", "services.NAME.scaling.max_tasks"),
)
#: What an example of a kind that the file does not have is called in it.
EXAMPLES = {
    "ec2": "nodes",
    "fargate": "fargate",
    "managed-instances": "managed",
    "web": "web",
    "internal": "api",
    "worker": "mailer",
    "container": "cache",
    "init": "setup",
    "firelens": "logs",
    "otel": "telemetry",
    "proxy": "front",
    "bind": "shared",
    "efs": "uploads",
    "efs-of": "uploads-of",
    "existing-efs": "archive",
    "ebs": "scratch",
}


def starter(
    config: Config | None = None, *, apply: str = "scaleout-cfn render -c scaleout.toml", short: bool = False
) -> str:
    """A TOML file that holds every tunable with its unit, bounds and meaning: commented out where it is the default.

    A value of `config` that is another than the default is a setting of the file, which means that config. `apply` is
    the command that takes the file. Of several pools or services the first has every tunable, the others what they
    differ in. A short file has that alone, a line each.
    """
    config = config or Config()
    service = next(iter(config.services), "web")
    lines = [
        "#:schema ./scaleout.schema.json",
        "# Editors complete and check it (VS Code with Even Better TOML, taplo) once there is a schema:",
        f"#   {apply.partition(' ')[0]} schema > scaleout.schema.json",
        f"# What is behind a # is the default: take it away to change a line. Apply with:  {apply}",
    ]
    if short:
        lines += ["# Every tunable there is:  init without --short"]
        _write_short(lines, config, Config(), "")
        return "\n".join(lines) + "\n"
    lines += [
        f"# One key for one run:  --set services.{service}.scaling.max_tasks=40",
        "# An overlay per environment, chosen by --env prod:",
        f"#   [environments.prod.services.{service}.scaling]",
        "#   max_tasks = 40",
        "",
    ]
    _write_section(lines, config, Config(), "")
    return "\n".join(lines).rstrip() + "\n"


def _usual(field: FieldInfo, section: Section | None) -> Any:
    """What a field is unless written: as in the default section at its place, or else as its type has it."""
    return default_of(field) if section is None else getattr(section, field.name)


def _is_needed(field: FieldInfo) -> bool:
    return field.default is NODEFAULT and field.default_factory is NODEFAULT


def _kind(choices: tuple[type[Section], ...], entry: Section, usual: type[Section]) -> list[str]:
    """The line that says of which kind a section is, where there are several: a comment where it is meant anyway."""
    if len(choices) == 1:
        return []
    return [f'{"#" if type(entry) is usual else ""}{tag_field_of(entry)} = "{entry.__struct_config__.tag}"']


def _write_short(
    lines: list[str], given: Section, usual: Section | None, path: str, head: Sequence[str] | None = None
) -> None:
    """What a section is told, and what belongs to SHORT, under its header. One with a head is written in any case."""
    settings: list[str] = []
    below: list[tuple[Section, Section | None, str, Sequence[str] | None]] = []
    for field in fields_of(type(given)):
        inner, meta = bare(field.type)
        assert meta is not None
        key = f"{path}.{field.name}" if path else field.name
        value = getattr(given, field.name)
        if (choices := sections_of(inner)) and value is not None:
            there = _usual(field, usual)
            is_kind = type(value) is type(there)
            head_below = None if is_kind else _kind(choices, value, type(there))
            below.append((value, there if is_kind else None, key, head_below))
        elif choices := named_sections(inner):
            for name, entry in value.items():
                below.append((entry, None, f"{key}.{name}", _kind(choices, entry, choices[0])))
        elif not sections_of(inner):
            is_default = value == _usual(field, usual) and not _is_needed(field)
            if not is_default or general_key(key, Config) in SHORT:
                (meaning,) = _comment(inner, meta)
                settings.append(f"{'#' if is_default else ''}{field.name} = {toml(value)}  {meaning}")
    if settings or head is not None:
        lines += ["", *([f"[{path}]"] if path else []), *(head or []), *settings]
    for section in below:
        _write_short(lines, *section)


def _write_section(lines: list[str], given: Section, usual: Section | None, path: str) -> None:
    fields = fields_of(type(given))
    for field in fields:
        inner, meta = bare(field.type)
        if not sections_of(inner) and not named_sections(inner):
            assert meta is not None
            key = f"{path}.{field.name}" if path else field.name
            value = getattr(given, field.name)
            is_default = value == _usual(field, usual) and not _is_needed(field)
            _write_tunable(lines, key, field.name, inner, meta, value, is_default)
    for field in fields:
        inner, meta = bare(field.type)
        assert meta is not None
        key = f"{path}.{field.name}" if path else field.name
        value = getattr(given, field.name)
        if (choices := sections_of(inner)) and value is None:
            _write_absent(lines, choices, meta, key)
        elif choices:
            there = _usual(field, usual)
            lines += [f"# {meta.description}", f"[{key}]"]
            if kind := _kind(choices, value, type(there)):
                lines += [f"# Which of {_tags(choices)}.", *kind, ""]
            inside: list[str] = []
            for choice in choices:
                if choice is not type(value):
                    _write_choice(lines, choice, key, value, inside)
            _write_section(lines, value, there if type(there) is type(value) else None, key)
        elif choices := named_sections(inner):
            _write_named(lines, choices, meta, value, key)
    if lines[-1]:
        lines.append("")


def _tags(choices: tuple[type[Section], ...]) -> str:
    return ", ".join(f'"{choice.__struct_config__.tag}"' for choice in choices)


def _write_example(
    lines: list[str], section: type[Section], key: str, *, unlike: type[Section] | None = None, kind: Sequence[str] = ()
) -> None:
    """A section that is not there, and what may be in it, as comments: but for what it has as `unlike` has it."""
    own = _own(section, unlike)
    lines += [f"#[{key}]", *kind]
    for field, inner, meta in own:
        if not sections_of(inner) and not named_sections(inner) and not section_items(inner):
            assert meta is not None
            value = default_of(field)
            lines += [*_comment(inner, meta), f"#{field.name} = " + ("..." if value is None else toml(value))]
    lines.append("")
    _write_left_out(lines, own, key)


def _own(section: type[Section], unlike: type[Section] | None) -> list[tuple[FieldInfo, Any, Meta | None]]:
    """The fields of a section with their types, but for those that another has, too."""
    known = {field.name: field.type for field in fields_of(unlike)} if unlike else {}
    return [(field, *bare(field.type)) for field in fields_of(section) if field.type != known.get(field.name)]


def _write_left_out(lines: list[str], own: list[tuple[FieldInfo, Any, Meta | None]], key: str) -> None:
    """What may be in a section and is not unless it is written, as comments."""
    for field, inner, meta in own:
        assert meta is not None
        if section_items(inner):
            _write_tunable(lines, f"{key}.{field.name}", field.name, inner, meta, (), is_default=True)
        elif (choices := sections_of(inner)) and default_of(field) is None:
            _write_absent(lines, choices, meta, f"{key}.{field.name}", "Inside it, none unless written")
        elif choices := named_sections(inner):
            _write_named(lines, choices, meta, {}, f"{key}.{field.name}", "Inside it, none unless written")


def _write_absent(
    lines: list[str],
    choices: tuple[type[Section], ...],
    meta: Meta,
    key: str,
    said: str = "None unless written",
) -> None:
    """A section that is not there, of each kind that it may be, as comments."""
    for choice in choices:
        tag = choice.__struct_config__.tag
        of_kind = f' Of {tag_field_of(choice)} "{tag}": {" ".join((choice.__doc__ or "").split())}' if tag else ""
        lines.append(f"# {said}: {meta.description}{of_kind}")
        _write_example(lines, choice, key, kind=[f'#{tag_field_of(choice)} = "{tag}"'] if tag else [])


def _write_named(
    lines: list[str],
    choices: tuple[type[Section], ...],
    meta: Meta,
    given: Mapping[str, Section],
    path: str,
    said: str = "None unless written",
) -> None:
    """Sections by name: those that are there, and an example of each other kind as a comment."""
    whole: dict[type[Section], str] = {}
    for name, entry in given.items():
        key, kind = f"{path}.{name}", _kind(choices, entry, choices[0])
        if whole:
            (like, above), *_ = whole.items()
            lines += _another(type(entry), f"{path}.{above}", like)[bool(lines[-1]) :]
            short: list[str] = []
            _write_short(short, entry, None, key, kind)
            lines += [*short[1:], ""]
            if type(entry) not in whole:
                absent = [own for own in _own(type(entry), like) if getattr(entry, own[0].name) is None]
                _write_left_out(lines, absent, key)
        else:
            lines += [f"# {meta.description}", f"[{key}]"]
            if kind:
                lines += [f"# Which of {_tags(choices)}.", *kind, ""]
            _write_section(lines, entry, None, key)
        whole.setdefault(type(entry), name)
    if not given:
        lines += [f"# {said}: {meta.description}"]
    for choice in choices:
        if choice not in whole:
            tag = choice.__struct_config__.tag
            key = f"{path}.{EXAMPLES.get(str(tag), tag or path.rpartition('.')[2].removesuffix('s'))}"
            first = next(iter(whole), None)
            if first:
                lines += _another(choice, f"{path}.{whole[first]}", first)
            elif tag:
                lines += [f'# Of kind "{tag}": {" ".join((choice.__doc__ or "").split())}']
            _write_example(lines, choice, key, unlike=first, kind=[f'#{tag_field_of(choice)} = "{tag}"'] if tag else [])
            if not given:
                whole.setdefault(choice, key.rpartition(".")[2])


def _another(kind: type[Section], above: str, its_kind: type[Section]) -> list[str]:
    tag = kind.__struct_config__.tag
    of_kind = f', of kind "{tag}"' if tag else ""
    lines = [f"# Another{of_kind}: {' '.join((kind.__doc__ or '').split())}"]
    own = {field.name for field in fields_of(kind)}
    missing = [field.name for field in fields_of(its_kind) if field.name not in own]
    if kind is its_kind:
        lines.append(f"# It has every tunable of [{above}].")
    elif len(missing) < len(own):
        without = f", but for {', '.join(missing)}" if missing else ""
        lines.append(f"# It has the tunables of [{above}]{without}.")
    return lines


def _write_choice(lines: list[str], choice: type[Section], key: str, instead_of: Section, inside: list[str]) -> None:
    """A section that is not the default, as a comment below the header that is there: TOML takes one only.

    `inside` are the names of what may be in those that are written already, and is so where it is the same.
    """
    tag = choice.__struct_config__.tag
    field_of_tag = tag_field_of(choice)
    said = " ".join((choice.__doc__ or "").split())
    lines += [f'# Instead, with {field_of_tag} = "{tag}": {said}', f'#{field_of_tag} = "{tag}"']
    below = [
        f"[{key}.{field.name}]"
        for field in fields_of(type(instead_of))
        if sections_of(bare(field.type)[0]) and getattr(instead_of, field.name) is not None
    ]
    if below:
        lines.append(f"# Then delete {' and '.join(below)}.")
    own = _own(choice, None)
    for field, inner, meta in own:
        assert meta is not None
        value = default_of(field)
        if not sections_of(inner) and not named_sections(inner):
            lines += [*_comment(inner, meta), f"#{field.name} = " + ("..." if value is None else toml(value))]
    if again := [field.name for field, *_ in own if field.name in inside]:
        lines.append(f"# Inside it, as above: {', '.join(again)}.")
    lines.append("")
    new = [entry for entry in own if entry[0].name not in inside]
    _write_left_out(lines, new, key)
    inside += [field.name for field, inner, _ in new if sections_of(inner) or named_sections(inner)]


def _write_tunable(lines: list[str], key: str, name: str, inner: Any, meta: Meta, value: Any, is_default: bool) -> None:
    lines += _comment(inner, meta)
    item = section_items(inner)
    if item and is_default:
        lines += [f"#[[{key}]]"]
        for one in fields_of(item):
            one_inner, one_meta = bare(one.type)
            assert one_meta is not None
            lines += [f"#  {line}" for line in _comment(one_inner, one_meta)]
            default_value = default_of(one)
            nested = section_items(one_inner)
            for part in fields_of(nested) if nested else ():
                part_inner, part_meta = bare(part.type)
                assert part_meta is not None
                lines += [f"#  #   {part.name}: {line.removeprefix('# ')}" for line in _comment(part_inner, part_meta)]
            example = (
                "[{" + ", ".join(f"{f.name} = {toml(default_of(f))}" for f in fields_of(nested)) + "}]"
                if nested
                else ("..." if default_value is None else toml(default_value))
            )
            lines.append(f"#{one.name} = {example}")
    else:
        lines.append(f"{'#' if is_default else ''}{name} = {toml(value)}")
    lines.append("")


def _comment(inner: Any, meta: Meta) -> list[str]:
    choices = choices_of(inner)
    allowed = f"one of {choices}" if choices else bounds_of(meta)
    inside = "; ".join(part for part in (unit_of(meta), allowed) if part)
    return [f"# {meta.description}" + (f" ({inside})" if inside else "")]


def toml(value: Any) -> str:
    if isinstance(value, Section):
        value = msgspec.structs.asdict(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        # TOML has no null: what is None is a section that is left out.
        there = {key: item for key, item in value.items() if item is not None}
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in there.items()) + "}"
    return "..." if value is None else str(value)

"""What the config types say of themselves: a TOML file to start from, and a JSON Schema for editors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Meta

from scaleout_cfn.config import Config
from scaleout_cfn.config.tunables import (
    Section,
    bare,
    bounds_of,
    choices_of,
    default_of,
    fields_of,
    section_items,
    sections_of,
    tunables,
    unit_of,
)

__all__ = ["json_schema", "starter"]

Table = dict[str, Any]


def json_schema() -> Table:
    """The JSON Schema of the TOML file, for editors."""
    schema = msgspec.json.schema(Config)
    definitions: Table = schema["$defs"]
    defaults = {type(getattr(Config(), field.name)).__name__ for field in fields_of(Config)} | {"Http"}
    # An overlay gives a part of what its section needs, over the rest of the file. Items of lists are whole.
    partial = {name for name in definitions if name not in ("Schedule", "StepAdjustment", "StepScaling")}
    overlays = {}
    for name in partial - {"Config"}:
        overlay = _pointing_to(definitions[name], partial)
        overlay.pop("required", None)
        overlays[f"{name}Overlay"] = overlay
    for name, definition in definitions.items():
        # `kind` may be left out where the default is meant.
        if name in defaults and "kind" in definition.get("required", ()):
            definition["required"] = [needed for needed in definition["required"] if needed != "kind"]
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


def _pointing_to(node: Any, partial: set[str]) -> Any:
    """The same schema with references to sections replaced by references to their overlays."""
    if isinstance(node, dict):
        target = str(node.get("$ref", "")).rpartition("/")[2]
        changed = {
            key: _pointing_to(value, partial) for key, value in node.items() if key not in ("discriminator", "default")
        }
        return {**changed, "$ref": f"#/$defs/{target}Overlay"} if target in partial else changed
    return [_pointing_to(item, partial) for item in node] if isinstance(node, list) else node


#: What `starter` with `short` holds: what one service rarely has in common with another.
SHORT = (
    *("stack_name", "region", "load_balancer.health_check.path", "cluster.instance_types", "cluster.max_nodes"),
    *("service.container_port", "service.cpu_units", "service.memory_mib", "scaling.min_tasks", "scaling.max_tasks"),
    "observability.alarm_email",
)


def starter(
    config: Config | None = None, *, apply: str = "scaleout-cfn render -c scaleout.toml", short: bool = False
) -> str:
    """A TOML file that holds every tunable with its unit, bounds and meaning: commented out where it is the default.

    A value of `config` that is another than the default is a setting of the file. `apply` is the command that takes
    the file. A short file holds what services differ in, a line each.
    """
    config = config or Config()
    lines = [
        "#:schema ./scaleout.schema.json",
        "# Editors complete and check it (VS Code with Even Better TOML, taplo) once there is a schema:",
        f"#   {apply.partition(' ')[0]} schema > scaleout.schema.json",
        f"# What is behind a # is the default: take it away to change a line. Apply with:  {apply}",
    ]
    if short:
        return "\n".join([*lines, "# Every tunable there is:  init without --short", *_short(config)]) + "\n"
    lines += [
        "# One key for one run:  --set scaling.max_tasks=40",
        "# An overlay per environment, chosen by --env prod:",
        "#   [environments.prod.scaling]",
        "#   max_tasks = 40",
        "",
    ]
    _write_section(lines, Config, config, Config(), "")
    return "\n".join(lines).rstrip() + "\n"


def _short(config: Config) -> Iterator[str]:
    default = {key: value for key, _, value, _ in tunables(Config())}
    table = ""
    for key, inner, value, meta in tunables(config):
        is_default = value == default.get(key)
        if is_default and key not in SHORT:
            continue
        section, _, name = key.rpartition(".")
        if section != table:
            yield from ("", f"[{section}]")
            table = section
        (meaning,) = _comment(inner, meta)
        yield f"{'#' if is_default else ''}{name} = {toml(value)}  {meaning}"


def _write_section(lines: list[str], section: type[Section], given: Any, default: Any, path: str) -> None:
    fields = fields_of(section)
    plain = [field for field in fields if not sections_of(bare(field.type)[0])]
    for field in plain:
        inner, meta = bare(field.type)
        assert meta is not None
        key = f"{path}.{field.name}" if path else field.name
        value = getattr(given, field.name)
        _write_tunable(lines, key, field.name, inner, meta, value, value == getattr(default, field.name))
    for field in fields:
        inner, meta = bare(field.type)
        choices = sections_of(inner)
        if not choices:
            continue
        assert meta is not None
        key = f"{path}.{field.name}" if path else field.name
        value = getattr(given, field.name)
        lines += [f"# {meta.description}", f"[{key}]"]
        if len(choices) > 1:
            kinds = ", ".join(f'"{choice.__struct_config__.tag}"' for choice in choices)
            lines += [f"# Which of {kinds}.", f'#kind = "{type(value).__struct_config__.tag}"', ""]
        _write_section(lines, type(value), value, getattr(default, field.name), key)
        for choice in choices:
            if choice is not type(value):
                _write_choice(lines, choice)
    if lines[-1]:
        lines.append("")


def _write_choice(lines: list[str], choice: type[Section]) -> None:
    """A section that is not the default, as a comment below the header that is there: TOML takes one only."""
    tag = choice.__struct_config__.tag
    lines += [f'# Instead, with kind = "{tag}": {" ".join((choice.__doc__ or "").split())}', f'#kind = "{tag}"']
    for field in fields_of(choice):
        inner, meta = bare(field.type)
        assert meta is not None
        lines += _comment(inner, meta)
        value = default_of(field)
        lines.append(f"#{field.name} = " + ("..." if value is None else toml(value)))
    lines.append("")


def _write_tunable(lines: list[str], key: str, name: str, inner: Any, meta: Meta, value: Any, is_default: bool) -> None:
    lines += _comment(inner, meta)
    if item := section_items(inner):
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
    """A value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return "..." if value is None else str(value)

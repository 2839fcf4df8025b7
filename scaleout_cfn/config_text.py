"""What the config types say of themselves: a TOML file to start from, and a JSON Schema for editors."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Meta

from scaleout_cfn.config import Config
from scaleout_cfn.tunables import (
    Section,
    bare,
    bounds_of,
    choices_of,
    default_of,
    fields_of,
    section_items,
    sections_of,
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


def starter(config: Config | None = None) -> str:
    """A TOML file that holds every tunable with its unit, bounds and meaning: commented out where it is the default.

    A value of `config` that is another than the default is a setting of the file.
    """
    lines = [
        "# The config of a stack set. What is behind a # is the default: take it away to change a line.",
        "# Apply with:  python -m scaleout_cfn render -c scaleout.toml",
        "# One key for one run:  --set scaling.max_tasks=40",
        "# An overlay per environment, chosen by --env prod:",
        "#   [environments.prod.scaling]",
        "#   max_tasks = 40",
        "",
    ]
    _write_section(lines, Config, config or Config(), Config(), "")
    return "\n".join(lines).rstrip() + "\n"


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
                _write_choice(lines, choice, key)
    if lines[-1]:
        lines.append("")


def _write_choice(lines: list[str], choice: type[Section], key: str) -> None:
    """A section that is not the default, as a comment."""
    lines += [f"# Instead of the above: {' '.join((choice.__doc__ or '').split())}", f"#[{key}]"]
    lines.append(f'#kind = "{choice.__struct_config__.tag}"')
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

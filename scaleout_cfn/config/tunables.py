"""How a tunable is declared: its type and default as a field of a frozen struct, all else as its Meta."""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the config: a table of the TOML file."""


class Conflict(msgspec.Struct, frozen=True):
    """Why tunables exclude each other: the dotted key of one, and what is wrong, what is allowed and the cure."""

    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}"


def tunable(
    meaning: str,
    *,
    unit: str | None = None,
    allowed: str = "",
    problem_of: Callable[[str], str] | None = None,
    **bounds: Any,
) -> Meta:
    """What a tunable means, in one sentence, with its unit and its bounds (msgspec's: ge, le, pattern, ...).

    Of a text, `allowed` says in words what its pattern says to an editor, and `problem_of` what is wrong with one:
    empty when nothing is.
    """
    pattern = bounds.pop("pattern", None)
    if pattern:
        assert allowed or problem_of, f"{meaning}: a pattern is no word"
        # Python's $ also matches before a newline at the end; JSON Schema's and CloudFormation's do not.
        # Not as Meta's own pattern, which is compiled at once: forty of them are a twentieth of a render.
        bounds["extra_json_schema"] = {"pattern": f"(?:{pattern})(?!\\n)"}
    extra = {"unit": unit, "pattern": pattern, "allowed": allowed, "problem_of": problem_of}
    return Meta(description=meaning, extra=extra, **bounds)


@functools.cache
def fields_of(section: type[Section]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a section: msgspec works them out anew at each call."""
    return msgspec.structs.fields(section)


@functools.cache
def fields_by_name(section: type[Section]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in fields_of(section)}


def unit_of(meta: Meta) -> str | None:
    return (meta.extra or {}).get("unit")


def pattern_of(meta: Meta) -> str | None:
    return (meta.extra or {}).get("pattern")


def problem_with(text: str, meta: Meta) -> str:
    """What the check of a tunable says of a text, in words; empty when nothing is wrong with it, or nobody looks."""
    check, pattern = (meta.extra or {}).get("problem_of"), (meta.extra_json_schema or {}).get("pattern")
    if check and (what := str(check(text))):
        return what
    return f"allowed is {allowed_by(meta)}" if pattern and not re.search(pattern, text) else ""


def allowed_by(meta: Meta) -> str:
    """What a text may be, in words; empty where there is no pattern."""
    return str((meta.extra or {}).get("allowed", ""))


def bare(annotation: Any) -> tuple[Any, Meta | None]:
    """A field's type without its Meta, and the Meta."""
    arguments = getattr(annotation, "__metadata__", ())
    meta = next((argument for argument in arguments if isinstance(argument, Meta)), None)
    return (annotation.__origin__, meta) if arguments else (annotation, None)


def sections_of(inner: Any) -> tuple[type[Section], ...]:
    """The sections that a field may hold: one, several that exclude each other, or none.

    A section that may be left out, `StandIn | None`, is one.
    """
    if isinstance(inner, type) and issubclass(inner, Section):
        return (inner,)
    choices = tuple(choice for choice in get_args(inner) if choice is not types.NoneType)
    if choices and all(isinstance(choice, type) and issubclass(choice, Section) for choice in choices):
        return choices
    return ()


def tag_field_of(section: Section | type[Section] | None) -> str:
    """The key that says which of several sections it is: `kind`, or of a deployment `strategy`."""
    return getattr(getattr(section, "__struct_config__", None), "tag_field", None) or "kind"


def section_items(inner: Any) -> type[Section] | None:
    first = next(iter(get_args(inner)), None)
    return first if get_origin(inner) is tuple and isinstance(first, type) and issubclass(first, Section) else None


def named_sections(inner: Any) -> tuple[type[Section], ...]:
    """The sections that a field holds by name, of one kind or another: `Mapping[str, WebService | WorkerService]`."""
    return sections_of(get_args(inner)[1]) if get_origin(inner) is Mapping else ()


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """A field's default, None when it has none."""
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return None if field.default is NODEFAULT else field.default


def tunables(section: Section, path: str = "") -> Iterator[tuple[str, Any, Any, Meta]]:
    """Every tunable of a section as (dotted key, type, value, Meta), depth first, in order of declaration.

    Of sections that exclude each other, that one which the value is; of sections by name, and of one that may be left
    out, those that are there.
    """
    for field in fields_of(type(section)):
        inner, meta = bare(field.type)
        value = getattr(section, field.name)
        key = f"{path}.{field.name}" if path else field.name
        assert meta is not None, f"{key} has no tunable()"
        if sections_of(inner):
            if value is not None:
                yield from tunables(value, key)
        elif named_sections(inner):
            for name, entry in value.items():
                yield from tunables(entry, f"{key}.{name}")
        else:
            yield key, inner, value, meta


def tunable_at(section: Section, key: str) -> tuple[Any, Any, Meta] | None:
    """The tunable of a dotted key as (type, value, Meta); None where the section has none."""
    value: Any = section
    inner, meta = None, None
    for part in key.split("."):
        if isinstance(value, dict) and named_sections(inner):
            inner, meta, value = None, None, value.get(part)
            if value is None:
                return None
            continue
        field = fields_by_name(type(value)).get(part) if isinstance(value, Section) else None
        if field is None:
            return None
        inner, meta = bare(field.type)
        value = getattr(value, part)
    return None if meta is None or isinstance(value, Section) or named_sections(inner) else (inner, value, meta)


def general_key(key: str, section: type[Section]) -> str:
    """A dotted key with NAME for each name and [] for each index: `services.NAME.scaling.schedules[].at`."""
    parts: list[str] = []
    choices: set[type[Section]] = {section}
    is_name = False
    for part in key.split("."):
        if is_name:
            parts.append("NAME")
            is_name = False
            continue
        name, index, _ = part.partition("[")
        parts.append(f"{name}[]" if index else name)
        inners = [bare(known[name].type)[0] for known in map(fields_by_name, choices) if name in known]
        is_name = any(map(named_sections, inners))
        choices = {choice for inner in inners for choice in (*sections_of(inner), *named_sections(inner))}
        choices |= {item for inner in inners if (item := section_items(inner))}
    return ".".join(parts)


def bounds_of(meta: Meta) -> str:
    """The bounds of a number in words: `1 to 5000`."""
    low = meta.ge if meta.ge is not None else None
    if low is None and meta.gt is not None:
        low = f"more than {meta.gt}"  # type: ignore[assignment]
    if low is not None and meta.le is not None:
        return f"{low} to {meta.le}"
    if low is not None:
        return f"{low} or more"
    return f"at most {meta.le}" if meta.le is not None else ""


def choices_of(inner: Any) -> str:
    """The allowed values of a Literal as TOML, empty for any other type."""
    choices = get_args(inner) if get_origin(inner) is Literal else ()
    return ", ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices)

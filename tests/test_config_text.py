"""The file that `init` writes, and the JSON Schema: what the config types say of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import configs

from scaleout_cfn.config import Certificate, Config, Domain, ExistingVpc, LoadBalancer, NewVpc
from scaleout_cfn.config_file import Places, convert, load
from scaleout_cfn.config_text import json_schema, starter, toml
from scaleout_cfn.errors import ConfigError
from scaleout_cfn.scaling import Schedule, StepAdjustment, StepScaling
from scaleout_cfn.tunables import Section, bare, bounds_of, choices_of, fields_of, tunables, unit_of

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

STARTER = starter()
LINES = STARTER.splitlines()
# A line that is a setting or a header once its # is gone. What follows "# " is prose.
SETTING = re.compile(r"#(\[|[a-z_0-9]+ = )")
#: What stands for the `...` of tunables without a default.
GIVEN = {
    "certificate_arn": '"arn:aws:acm:eu-west-1:123456789012:certificate/0a1b"',
    "domain_name": '"shop.example.com"',
    "hosted_zone_id": '"Z0123456789"',
    "name": '"Day"',
    "at": '"rate(1 day)"',
    "min_tasks": "3",
    "max_tasks": "4",
    "threshold_percent": "80",
    "steps": "[{distance = 0, tasks = 1}]",
}


def load_text(folder: Path, text: str) -> Config:
    path = folder / "scaleout.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def uncommented(line: str) -> str:
    """A line of the starter as a setting, with a value where there is no default."""
    line = line.removeprefix("#")
    name, equals, value = line.partition(" = ")
    return f"{name} = {GIVEN[name]}" if equals and "..." in value else line


def blocks(start: str) -> Iterator[tuple[int, list[str]]]:
    """The commented blocks that start with a line like this, up to the next empty line: (first line's index, block)."""
    for index, line in enumerate(LINES):
        if line.startswith(start):
            end = LINES.index("", index)
            yield index, LINES[index:end]


OPTIONAL = {
    index + offset
    for start in ("# Instead of the above", "#[[")
    for index, block in blocks(start)
    for offset in range(len(block))
}
DEFAULTS = [index for index, line in enumerate(LINES) if SETTING.match(line) and index not in OPTIONAL]


# --- the starter


def test_the_starter_is_the_default_config(tmp_path: Path) -> None:
    assert load_text(tmp_path, STARTER) == Config()


def test_the_starter_with_every_default_uncommented_is_the_default_config(tmp_path: Path) -> None:
    text = "\n".join(uncommented(line) if index in DEFAULTS else line for index, line in enumerate(LINES))
    assert load_text(tmp_path, text) == Config()
    # And nothing is left out: the same number of settings as there are tunables, and the kinds.
    commented = [line for index, line in enumerate(LINES) if index in DEFAULTS]
    kinds = [line for line in commented if line.startswith("#kind")]
    lists_of_tables = len(list(blocks("#[[")))
    assert len(kinds) == 2
    assert len(commented) - len(kinds) + lists_of_tables == len(list(tunables(Config())))


def test_each_default_uncommented_alone_gives_the_default_config(tmp_path: Path) -> None:
    for index in DEFAULTS:
        text = "\n".join([*LINES[:index], uncommented(LINES[index]), *LINES[index + 1 :]])
        assert load_text(tmp_path, text) == Config(), LINES[index]


def test_each_alternative_in_the_place_of_the_default_gives_that_kind(tmp_path: Path) -> None:
    found = []
    for index, block in blocks("# Instead of the above"):
        settings_of_block = [uncommented(line) for line in block if SETTING.match(line)]
        (header,) = (line for line in settings_of_block if line.startswith("["))
        text = "\n".join(line for line in LINES[: index - 1] if line != header)
        config = load_text(tmp_path, "\n".join([text, *settings_of_block]))
        found.append(config.network if header == "[network]" else config.load_balancer.listener)
    assert found == [
        ExistingVpc(),
        Certificate(certificate_arn=GIVEN["certificate_arn"].strip('"')),
        Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789"),
    ]


def test_each_list_of_tables_uncommented_has_one_item_with_the_defaults(tmp_path: Path) -> None:
    for _, block in blocks("#[["):
        name = block[0].removeprefix("#[[").removesuffix("]]")
        text = "\n".join(uncommented(line) for line in block if SETTING.match(line))
        scaling = load_text(tmp_path, text).scaling
        if name == "scaling.schedules":
            assert scaling.schedules == (Schedule(name="Day", at="rate(1 day)", min_tasks=3, max_tasks=4),)
        else:
            assert name == "scaling.step_policies"
            assert scaling.step_policies == (
                StepScaling(name="Day", threshold_percent=80, steps=(StepAdjustment(tasks=1),)),
            )


def _sections(section: type[Section]) -> Iterator[type[Section]]:
    """A section and all that are inside it, of whichever kind."""
    yield section
    for field in fields_of(section):
        inner, _ = bare(field.type)
        for part in (inner, *getattr(inner, "__args__", ())):
            if isinstance(part, type) and issubclass(part, Section):
                yield from _sections(part)


EVERY_SECTION = list(dict.fromkeys(_sections(Config)))


@pytest.mark.parametrize("section", EVERY_SECTION, ids=lambda section: section.__name__)
def test_every_tunable_stands_in_the_starter_with_meaning_unit_and_bounds(section: type[Section]) -> None:
    nested_in_an_example = section is StepAdjustment
    for field in fields_of(section):
        inner, meta = bare(field.type)
        assert meta is not None, f"{section.__name__}.{field.name} has no tunable()"
        assert meta.description
        if any(isinstance(part, type) and issubclass(part, Section) for part in (inner, *getattr(inner, "__args__", ()))):
            assert f"# {meta.description}" in STARTER
            continue
        if nested_in_an_example:
            assert f"{field.name} = " in STARTER
            continue
        (line,) = {
            number
            for number, line in enumerate(LINES)
            if re.match(rf"#(  )?{re.escape(field.name)} = ", line)
            and LINES[number - 1].lstrip("# ").startswith(meta.description)
            and all(part in LINES[number - 1] for part in (unit_of(meta) or "", bounds_of(meta), choices_of(inner)))
        } & set(_lines_of(section))
        assert line


def _lines_of(section: type[Section]) -> Iterator[int]:
    """The lines of the starter between the header of a section and the next header."""
    tag = section.__struct_config__.tag
    header = {
        "Config": "# The config of",
        "StepScaling": "#[[scaling.step_policies]]",
        "Schedule": "#[[scaling.schedules]]",
    }.get(section.__name__)
    inside = False
    for number, line in enumerate(LINES):
        if re.match(r"#?\[", line) or line.startswith(header or "\0"):
            names = [key.rpartition(".")[0] for key, *_ in tunables(Config())]
            title = line.strip("#[]")
            inside = line.startswith(header) if header else title in _titles(section) and title in [*names, title]
            if inside and tag and f'kind = "{tag}"' not in "".join(LINES[number + 1 : number + 3]):
                inside = False
        if inside:
            yield number


def _titles(section: type[Section]) -> set[str]:
    """The dotted names of the tables that may hold a section."""
    found = set()

    def walk(at: type[Section], path: str) -> None:
        for field in fields_of(at):
            inner, _ = bare(field.type)
            key = f"{path}.{field.name}" if path else field.name
            for part in (inner, *getattr(inner, "__args__", ())):
                if isinstance(part, type) and issubclass(part, Section):
                    if part is section:
                        found.add(key)
                    walk(part, key)

    walk(Config, "")
    return found

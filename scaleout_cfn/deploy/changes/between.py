"""What becomes of a running set when another one takes its place, by both sets' templates alone. Pure.

A resource changes where an expression of it is another term, which is found again and again until no more hang on what
has changed; whether it is replaced then is what its schema says. AWS's own change set is what counts: `diff`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from scaleout_cfn.aws import NESTED
from scaleout_cfn.config.units import IMAGE
from scaleout_cfn.deploy.changes.plan import UNKNOWN, Change, Plan, change_of
from scaleout_cfn.deploy.changes.unchanged import Comparison, Pair
from scaleout_cfn.templates.schemas import recreation

Set: TypeAlias = Mapping[str, Mapping[str, Any]]
"""A rendered set: file name to template."""

ROOT = "root.yaml"
#: What of a resource is no property, and changes without its being touched.
BESIDE = ("CreationPolicy", "DeletionPolicy", "Metadata", "UpdatePolicy", "UpdateReplacePolicy")


def between(before: Set, after: Set, name: str) -> Plan:
    """The plan from one rendered set, file name to template, to another: as if every service had its image."""
    was, will = dict(_stacks(before, ROOT)), dict(_stacks(after, ROOT))
    found = {change.path: change for change in _plain(was, will)}
    given = _given(was[""]), _given(will[""])
    both = was.keys() & will.keys()
    while True:
        changes = [*found.values(), *_above(found, both)]
        comparison = Comparison(changes, lambda path: _pair(was, will, given, path))
        more = list(_hanging(was, will, both, found, comparison))
        if not more:
            break
        found |= {change.path: change for change in more}
    order = sorted(changes, key=lambda change: change.path.split("/"))
    return Plan(name, "", "", False, "", tuple(order))


def _stacks(
    files: Mapping[str, Mapping[str, Any]], file: str, path: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every stack of a set by its path, a parent before its children."""
    template = files[file]
    yield path, template
    for title, resource in template["Resources"].items():
        if resource["Type"] == NESTED:
            url = resource["Properties"]["TemplateURL"]
            text = url if isinstance(url, str) else url["Fn::Sub"]
            yield from _stacks(files, text.rpartition("/")[2], f"{path}/{title}".lstrip("/"))


def _given(root: Mapping[str, Any]) -> dict[str, str]:
    """What a root's parameters are: the config is in their defaults, and what nobody knows is what it was."""
    parameters = root.get("Parameters", {})
    return {
        name: str(declared.get("Default") or f"what {name} is") if not name.endswith(IMAGE) else "image"
        for name, declared in parameters.items()
    }


def _pair(
    was: Mapping[str, Any], will: Mapping[str, Any], given: tuple[Mapping[str, str], Mapping[str, str]], path: str
) -> Pair | None:
    if path not in was or path not in will:
        return None
    return Pair(was[path], will[path], ({}, {}) if path else given)


def _plain(was: Mapping[str, Any], will: Mapping[str, Any]) -> Iterator[Change]:
    """What the texts of the templates say."""
    for path in dict.fromkeys((*was, *will)):
        old, new = (side.get(path, {}).get("Resources", {}) for side in (was, will))
        for title in dict.fromkeys((*old, *new)):
            if title not in old:
                yield _change(path, title, "Add", new[title])
            elif title not in new:
                yield _change(path, title, "Remove", old[title])
            elif old[title]["Type"] != new[title]["Type"]:
                yield _change(path, title, "Modify", old[title], replacement="True")
            elif old[title]["Type"] != NESTED:
                details = [*_details(old[title], new[title]), *_beside(old[title], new[title])]
                if details:
                    yield _change(path, title, "Modify", old[title], details)


def _details(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for steps, before, after in _differences(old.get("Properties", {}), new.get("Properties", {}), ()):
        known = not (_is_computed(before) or _is_computed(after))
        yield _detail(old["Type"], steps, _text(before), _text(after), known=known)


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], steps: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict) and not _is_call(before) and not _is_call(after):
            yield from _differences(before, after, (*steps, key))
        elif before != after:
            yield (*steps, key), before, after


def _beside(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name in BESIDE:
        if old.get(name) != new.get(name):
            values = {"BeforeValue": _text(old.get(name)), "AfterValue": _text(new.get(name))}
            target = {"Attribute": name, "Name": name, "RequiresRecreation": "Never", **values}
            yield {"Target": target, "Evaluation": "Static", "ChangeSource": "DirectModification"}


def _hanging(
    was: Mapping[str, Any],
    will: Mapping[str, Any],
    both: Iterable[str],
    found: Mapping[str, Change],
    comparison: Comparison,
) -> Iterator[Change]:
    """What takes a value from something that has changed, and is not known to."""
    for path in both:
        for title, new in will[path]["Resources"].items():
            old, place = was[path]["Resources"].get(title), f"{path}/{title}".lstrip("/")
            if old is None or old["Type"] == NESTED or old["Type"] != new["Type"]:
                continue
            differing = comparison.differing(place)
            there = found.get(place)
            known = {entry.name.partition(".")[0] for entry in there.properties} if there else set()
            if differing is None:  # its condition is another one
                if there is None:
                    yield _change(path, title, "Modify", old, replacement="Conditional")
            elif fresh := sorted(differing - known):
                hanging = [entry.name for entry in there.properties if entry.after == UNKNOWN] if there else []
                details = [*_details(old, new), *_beside(old, new)]
                for name in (*hanging, *fresh):
                    value = _text(old.get("Properties", {}).get(name))
                    details.append(_detail(old["Type"], (name,), value, UNKNOWN, known=False))
                yield _change(path, title, "Modify", old, details)


def _above(found: Iterable[str], both: Iterable[str]) -> Iterator[Change]:
    """The nested stacks in which something changes."""
    paths = {path for each in found for path in both if path and each.startswith(f"{path}/")}
    for path in sorted(paths):
        stack, _, title = path.rpartition("/")
        yield _change(stack, title, "Modify", {"Type": NESTED})


def _change(
    path: str,
    title: str,
    action: str,
    resource: Mapping[str, Any],
    details: Iterable[dict[str, Any]] = (),
    replacement: str = "",
) -> Change:
    raw: dict[str, Any] = {
        "Action": action,
        "LogicalResourceId": title,
        "ResourceType": resource["Type"],
        "Details": list(details),
        "BeforeContext": json.dumps({"Metadata": resource.get("Metadata", {})}),
    }
    words = {(entry["Target"]["RequiresRecreation"], entry["Evaluation"]) for entry in raw["Details"]}
    unsure = any(word != "Never" for word, _ in words)
    said = "True" if ("Always", "Static") in words else "Conditional" if unsure else "False"
    raw["Replacement"] = replacement or said
    if action == "Remove":
        policy = str(resource.get("DeletionPolicy", "Delete"))
        raw["PolicyAction"] = "Retain" if policy.startswith("Retain") else policy
    elif action == "Modify" and raw["Replacement"] != "False":
        raw["PolicyAction"] = f"ReplaceAnd{resource.get('UpdateReplacePolicy', 'Delete')}"
    return change_of(raw, path)


def _detail(kind: str, steps: tuple[str, ...], before: str, after: str, *, known: bool) -> dict[str, Any]:
    target = {
        "Attribute": "Properties",
        "Name": steps[0],
        "Path": "/Properties/" + "/".join(steps),
        "RequiresRecreation": recreation(kind, steps),
        "BeforeValue": before,
        "AfterValue": after,
    }
    return {"Target": target, "Evaluation": "Static" if known else "Dynamic", "ChangeSource": "DirectModification"}


def _is_call(value: object) -> bool:
    """Whether a value is a function of CloudFormation's."""
    return isinstance(value, dict) and any(key == "Ref" or str(key).startswith("Fn::") for key in value)


def _is_computed(value: object) -> bool:
    if isinstance(value, dict):
        return _is_call(value) or any(map(_is_computed, value.values()))
    return isinstance(value, list) and any(map(_is_computed, value))


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)

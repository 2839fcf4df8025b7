"""Templates in files through every check: the text, the set-level rules, and cfn-lint.

cfn-lint follows a nested stack's parameters and outputs only through a local TemplateURL (E3043, E1010, E1019, E6101),
where the set-level rules S103 to S105 follow every form; what both report is given once, with the set-level rule's
cure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint.cfn_lint import Answer, cfn_lint
from scaleout_cfn.lint.rules import RULES, Rule
from scaleout_cfn.templates.reading import Reader, Source
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.values import Finding, in_order

CFN_LINT = "https://github.com/aws-cloudformation/cfn-lint"
# https://github.com/aws-cloudformation/cfn-lint/blob/main/docs/rules.md: "E0002: Error processing rule on the template"
CRASHED = "E0002"
_STUMBLED = re.compile("Unknown exception while processing rule|Exception .* raised while validating", re.DOTALL)
SETTINGS = (".cfnlintrc", ".cfnlintrc.yaml", ".cfnlintrc.yml")


class Unfollowed(Struct, frozen=True, order=True):
    """A nested stack whose template was not followed, and why not."""

    file: str
    line: int
    logical_id: str
    why: str


class Report(Struct, frozen=True):
    """What was found in which files, and how much of the set was seen: `followed` nested stacks, and the others."""

    findings: list[Finding]
    templates: list[str]
    followed: int
    unfollowed: list[Unfollowed]


def lint_files(*paths: Path | str, regions: Sequence[str] = ()) -> Report:
    """Every finding on templates: on their text, on the set, and cfn-lint's.

    Takes each .yaml, .yml, .json and .template file of the folders in `paths` and of their subfolders that is a
    template, the files in `paths` whatever they are, and the files that they nest, wherever those lie. Files are named
    relative to the current directory. cfn-lint checks against `regions`, or else those of its settings, or else
    us-east-1. Its settings are those of the folder, or else those of the current directory.

    Raises OSError where a path cannot be read, UsageError where there are no templates, and ValueError for a region
    that cfn-lint does not know, and for settings that it cannot take.
    """
    places = [Path(path) for path in paths]
    reader = Reader(Path.cwd())
    for path in places:
        if path.is_dir():
            reader.folder(path, deep=True)
        elif (path.exists() and not path.is_file()) or path.parent == Path("/dev"):
            raise UsageError(f"{path}: no file that can be read twice; give folders of templates, or files")
        else:
            reader.file(path)
    sources = {source.name: source for source in reader.sources()}
    if not sources:
        said = ", ".join(str(path) for path in places)
        raise UsageError(f"{said}: no templates in it; give folders of templates, or files")
    # Loads while the rules of the set are at work.
    cfn_lint.start()
    sizes = {name: source.size for name, source in sources.items()}
    stacks = StackSet({name: source.body for name, source in sources.items()}, sizes, reader.published)
    own = [problem for source in sources.values() for problem in source.problems]
    for finding in findings_of(stacks):
        own.append(replace(finding, line=sources[finding.file].line(finding.path) or 1))
    answers: dict[str, Answer] = {}
    # Files of one folder with one text are checked once, as those of like services are: they name the same neighbours.
    alike: dict[tuple[Path, bytes], Answer] = {}
    for name, source in sources.items():
        path = reader.base / name
        settings = _settings(path, places)
        if source.problems:
            # What cannot be read, cfn-lint cannot check: its E0000 is the finding that is there already.
            answers[name] = cfn_lint(path, settings, regions, read=False)
            continue
        if (path.parent, source.raw) not in alike:
            alike[path.parent, source.raw] = cfn_lint(path, settings, regions)
        answers[name] = alike[path.parent, source.raw]
    unwanted = {name for name, answer in answers.items() if os.path.realpath(reader.base / name) in answer.unwanted}
    own = [
        finding
        for finding in own
        if finding.file not in unwanted and _is_wanted(finding, sources[finding.file], answers[finding.file])
    ]
    overlaps = {rule.id: rule.overlaps for rule in RULES}
    said_already = [(finding, overlaps[finding.rule]) for finding in own if overlaps.get(finding.rule)]
    foreign = [
        finding
        for name, answer in answers.items()
        if name not in unwanted
        for finding in _foreign(name, answer)
        if not any(finding.rule in rules and _same_place(finding, before) for before, rules in said_already)
    ]
    unfollowed = [
        Unfollowed(nested.parent, sources[nested.parent].line(nested.path) or 1, nested.logical_id, nested.why)
        for nested in stacks.nested
        if nested.child is None
    ]
    followed = len(stacks.nested) - len(unfollowed)
    return Report(_told_once([*own, *foreign], sources), sorted(sources), followed, sorted(unfollowed))


def _told_once(findings: list[Finding], sources: Mapping[str, Source]) -> list[Finding]:
    """Findings in order, those of copies of a file with the first of them: CDK may write one template twice."""
    first: dict[tuple[Any, ...], Finding] = {}
    for finding in in_order(findings):
        same = (sources[finding.file].raw, finding.line, finding.path, finding.rule, finding.message)
        before = first.get(same)
        if before is None or before.file == finding.file:
            first[(*same, finding.file, finding.cure) if before else same] = finding
        else:
            first[same] = replace(before, copies=(*before.copies, finding.file))
    return list(first.values())


def findings_of(stacks: StackSet) -> Iterator[Finding]:
    """What the set-level rules find. A rule that fails is a finding, too, and the others go on."""
    for rule in RULES:
        try:
            yield from rule.check(stacks)
        except Exception as error:
            yield from _crash(rule, stacks, error)


def _crash(rule: Rule, stacks: StackSet, error: Exception) -> Iterator[Finding]:
    """A rule that fails, told once, and what it finds in the trees on which it does not."""
    place = stacks.roots[0].file
    for root in stacks.roots:
        part = StackSet({stack.file: stack.facts.body for stack in root.tree()})
        try:
            yield from list(rule.check(part))
        except Exception as fault:
            place, error = root.file, fault
    yield Finding(
        file=place,
        line=None,
        path="",
        rule=CRASHED,
        severity="error",
        message=f"Rule {rule.id} fails on this template: {type(error).__name__}: {error}.",
        cure="This is a fault of scaleout-cfn, not yours: please report it with the template.",
        source=rule.source,
    )


def _foreign(name: str, answer: Answer) -> Iterator[Finding]:
    """cfn-lint's findings on one file. What it says of one place again and again is one finding with a count."""
    alike: dict[tuple[Any, ...], list[Finding]] = {}
    # Rules of cfn-lint stumble over a part of the wrong shape, which another of them names: that is one mistake.
    misshapen = any("is not of type" in match.message for match in answer.found)
    for match in answer.found:
        if misshapen and _STUMBLED.match(match.message):
            continue
        finding = Finding(
            name,
            match.line,
            match.path,
            match.rule,
            match.severity,
            match.message,
            f"See {match.source}.",
            match.source,
        )
        # W3005: 'X' dependency already enforced by a 'Ref' at 'Resources/Y/Properties/Z', once for each such Ref.
        said = re.sub(r" at '[^']*'$", "", match.message)
        alike.setdefault((match.line, match.path, match.rule, said), []).append(finding)
    for first, *others in alike.values():
        yield replace(first, count=1 + len(others))
    if answer.failed:
        yield Finding(
            file=name,
            line=1,
            path="",
            rule=CRASHED,
            severity="error",
            message=f"cfn-lint fails on this template: {answer.failed}.",
            cure="What it would say of this template is not known; look for what no other template has.",
            source=CFN_LINT,
        )


def _same_place(foreign: Finding, own: Finding) -> bool:
    """Whether a finding of cfn-lint's is of the file of one of ours, and one's path holds the other's."""
    mine = f"{foreign.path}."
    paths = [f"{path}." for path in (own.path, *own.also)]
    return foreign.file == own.file and any(mine.startswith(path) or path.startswith(mine) for path in paths)


def _is_wanted(finding: Finding, source: Source, answer: Answer) -> bool:
    """Whether nothing switches the rule off: cfn-lint's settings, the template's Metadata or the resource's."""
    if any(finding.rule.startswith(rule) for rule in answer.mandatory):
        return True
    if any(finding.rule.startswith(rule) for rule in answer.ignored):
        return False
    section, _, rest = finding.path.partition(".")
    resources = source.body.get("Resources")
    if section != "Resources" or not isinstance(resources, Mapping):
        return True
    # https://github.com/aws-cloudformation/cfn-lint#resource-based-metadata
    place: Any = resources.get(rest.partition(".")[0])
    for key in ("Metadata", "cfn-lint", "config", "ignore_checks"):
        place = place.get(key) if isinstance(place, Mapping) else None
    return not isinstance(place, list) or finding.rule not in place


def _settings(template: Path, paths: Sequence[Path]) -> Path:
    """The folder whose settings of cfn-lint hold for a template: the one that is linted, or the current one."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    around = [folder for folder in folders if template.is_relative_to(folder.absolute())]
    return next((one for one in around if any((one / name).is_file() for name in SETTINGS)), Path.cwd())

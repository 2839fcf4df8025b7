"""Findings as other programs read them: SARIF, GitHub's annotations, JUnit, JSON; and as a baseline keeps them.

Only what a format has a place for is put there; every one has rule, file, line, message, cure and source.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import msgspec
from msgspec import Struct

from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint.files import Report
from scaleout_cfn.lint.rules import RULES
from scaleout_cfn.templates.values import Finding, Severity

_RULES_PAGE = "https://github.com/aws-cloudformation/cfn-lint/blob/main/docs/rules.md"


def _json(report: Report) -> str:
    counts = Counter(finding.severity for finding in report.findings)
    totals = {"errors": counts["error"], "warnings": counts["warning"], "infos": counts["info"]}
    return json.dumps({"v": 1, **totals, **msgspec.to_builtins(report)}, indent=2)


# https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html, section 3.27.10
_LEVELS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}


def _sarif(report: Report) -> str:
    """SARIF 2.1.0, as GitHub's code scanning takes it.

    https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
    """
    own = {rule.id: rule for rule in RULES}
    ids = sorted({finding.rule for finding in report.findings})
    sources = {finding.rule: finding.source for finding in report.findings}
    rules: list[dict[str, Any]] = []
    for rule in ids:
        described: dict[str, Any] = {"id": rule, "helpUri": sources[rule] or _RULES_PAGE}
        if rule in own:
            described["shortDescription"] = {"text": own[rule].sentence}
        rules.append(described)
    results = []
    for finding in report.findings:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(finding.file.replace("\\", "/"), safe="/")}}
        if finding.line:
            place["region"] = {"startLine": finding.line}
        location: dict[str, Any] = {"physicalLocation": place}
        if finding.path:
            location["logicalLocations"] = [{"fullyQualifiedName": finding.path}]
        results.append(
            {
                "ruleId": finding.rule,
                "ruleIndex": ids.index(finding.rule),
                "level": _LEVELS[finding.severity],
                "message": {"text": f"{finding.message} {finding.cure}"},
                "locations": [location],
                # By the place in the template, not by its line, so that it stays the same finding as the file grows.
                "partialFingerprints": {"place/v1": f"{finding.file}#{finding.path}#{finding.rule}"},
            }
        )
    driver = {
        "name": "scaleout-cfn",
        "version": version("scaleout-cfn"),
        "rules": rules,
    }
    sarif = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }
    return json.dumps(sarif, indent=2)


_COMMANDS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "info": "notice"}


def _github(report: Report) -> str:
    """Workflow commands, which GitHub shows beside the lines of a pull request.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    return "\n".join(
        f"::{_COMMANDS[finding.severity]} file={_property(finding.file)},line={finding.line or 1},"
        f"title={_property(finding.rule)}::{_data(f'{finding.message} {finding.cure} {finding.source}')}"
        for finding in report.findings
    )


# https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts, escapeData and escapeProperty
def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _junit(report: Report) -> str:
    """JUnit's XML: a suite for each template, a failed case for each error and warning; a clean one has passed.

    What is for information only is the output of a case that has passed.
    """
    by_file: dict[str, list[Finding]] = {file: [] for file in report.templates}
    for finding in report.findings:
        by_file.setdefault(finding.file, []).append(finding)
    suites = ElementTree.Element("testsuites", name="scaleout-cfn lint")
    for name, findings in by_file.items():
        file, failures = _xml(name), sum(finding.severity != "info" for finding in findings)
        counts = {"tests": str(max(len(findings), 1)), "failures": str(failures), "errors": "0"}
        suite = ElementTree.SubElement(suites, "testsuite", {"name": file, **counts})
        for finding in findings:
            place, line = _xml(f"{finding.rule} at {finding.path or 'the file'}"), str(finding.line or 1)
            case = ElementTree.SubElement(suite, "testcase", classname=file, name=place, file=file, line=line)
            text = _xml(f"{finding.file}:{line}: {finding.message}\n{finding.cure}\n{finding.source}")
            if finding.severity == "info":
                ElementTree.SubElement(case, "system-out").text = text
            else:
                kind = f"{finding.severity} {finding.rule}"
                ElementTree.SubElement(case, "failure", message=_xml(finding.message), type=kind).text = text
        if not findings:
            ElementTree.SubElement(suite, "testcase", classname=file, name="no finding", file=file)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml(text: str) -> str:
    """Without what XML 1.0 has no way to write: https://www.w3.org/TR/xml/#charsets"""
    return _NOT_XML.sub("\ufffd", text)


FORMATS: Mapping[str, Callable[[Report], str]] = {"json": _json, "sarif": _sarif, "github": _github, "junit": _junit}
"""What writes a report for a program, by the name of the format."""


class Known(Struct, frozen=True, order=True):
    """So many findings of a rule at one place."""

    file: str
    rule: str
    path: str
    count: int = 1


def _places(finding: Finding) -> list[tuple[str, str, str]]:
    """Where it is, and where copies of its file have it: when one of these changes, the others are no news."""
    return [(file, finding.rule, finding.path) for file in (finding.file, *finding.copies)]


class Baseline(Struct, frozen=True):
    """What a baseline file holds."""

    findings: tuple[Known, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Baseline:
        """A baseline that knows all of some findings."""
        counts = Counter(place for finding in findings for place in _places(finding))
        return cls(tuple(sorted(Known(*place, count) for place, count in counts.items())))

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Raises UsageError for a file that is none."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise UsageError(
                f"--baseline {path}: {error.strerror or error}; --update-baseline writes it from what is found now"
            ) from None
        except msgspec.DecodeError as error:
            raise UsageError(f"--baseline {path}: {error}; --update-baseline writes it anew") from None

    def write(self, path: Path) -> None:
        """Sorted and one finding a line, so that a change of it can be read. Raises UsageError."""
        lines = ",\n".join(f"    {msgspec.json.encode(known).decode()}" for known in self.findings)
        text = f'{{\n  "findings": [\n{lines}\n  ]\n}}\n' if lines else '{\n  "findings": []\n}\n'
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(text, encoding="utf-8", newline="\n")
            os.replace(beside, path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise UsageError(f"--baseline {path}: {error.strerror or error}; give a file that can be written") from None

    def new(self, findings: Iterable[Finding]) -> list[Finding]:
        """What it does not know. Of more findings at one place than it knows the last ones are new."""
        left = Counter({(known.file, known.rule, known.path): known.count for known in self.findings})
        new = []
        for finding in findings:
            places = _places(finding)
            if all(left[place] for place in places):
                left.subtract(places)
            else:
                new.append(finding)
        return new

    def gone(self, findings: Iterable[Finding]) -> int:
        """How many of those that it knows are not there any more."""
        left = Counter({(known.file, known.rule, known.path): known.count for known in self.findings})
        left.subtract(place for finding in findings for place in _places(finding))
        return sum(count for count in left.values() if count > 0)

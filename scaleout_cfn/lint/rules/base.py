"""What a set-level rule is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from scaleout_cfn.templates.findings import Finding, Severity
from scaleout_cfn.templates.sets import StackSet

__all__ = ["GUIDE", "TEMPLATE_REFERENCE", "Rule", "nearest"]

GUIDE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
TEMPLATE_REFERENCE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"


class Rule:
    """One mistake that the set shows and a single template does not.

    `sentence` states what holds in a good set, `source` where AWS (or who met it) says so. `overlaps` are the cfn-lint
    rules that report the same thing where they can see it; `lint_files` then gives this rule's finding alone.
    """

    id: ClassVar[str]
    sentence: ClassVar[str]
    source: ClassVar[str]
    severity: ClassVar[Severity] = "error"
    overlaps: ClassVar[frozenset[str]] = frozenset()

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        """Every place of the set that breaks the rule. A place seen in several stacks may come twice."""
        raise NotImplementedError

    def finding(
        self, file: str, path: str, message: str, cure: str, severity: Severity | None = None, also: Iterable[str] = ()
    ) -> Finding:
        of = severity or self.severity
        return Finding(file, None, path, self.id, of, message, cure, self.source, also=tuple(also))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one most likely means."""
    import difflib  # only a mistake pays for it

    candidates = {candidate.lower(): candidate for candidate in sorted(known)}
    found = difflib.get_close_matches(name.lower(), candidates, n=1, cutoff=0.6)
    return candidates[found[0]] if found else None

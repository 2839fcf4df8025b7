"""What a set-level rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from msgspec import Struct

from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Place
from scaleout_cfn.templates.values import Finding, Severity

GUIDE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
TEMPLATE_REFERENCE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"


class Fault(Struct, frozen=True):
    """What a rule has to say of one place. Severity and source are the rule's, where none is given; never a graver one.

    `also` holds other paths of the file that are parts of the same mistake.
    """

    file: str
    path: str
    message: str
    cure: str
    severity: Severity | None = None
    source: str = ""
    also: tuple[str, ...] = ()


Faults: TypeAlias = Iterator[Fault]


def fault(place: Place, at: str, message: str, cure: str, severity: Severity | None = None) -> Fault:
    """A fault at a property of a place, which is one behind dots or, for "", the place itself."""
    return Fault(place.stack.file, f"{place.path}.{at}" if at else place.path, message, cure, severity)


class Rule(Struct, frozen=True):
    """One mistake that the set shows and a single template does not.

    `sentence` states what holds in a good set, `source` where AWS (or who met it) says so. `judge` is asked once for
    each resource of the types `of`; without these, once for the set. `overlaps` are the cfn-lint rules that report the
    same thing where they can see it; `lint_files` then gives this rule's finding alone.
    """

    id: str
    sentence: str
    source: str
    severity: Severity
    overlaps: frozenset[str]
    of: tuple[str, ...]
    judge: Callable[[Any], Faults]

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        """Every place of the set that breaks the rule. A place seen in several stacks may come twice."""
        for subject in stacks.of_type(*self.of) if self.of else (stacks,):
            for said in self.judge(subject):
                severity, source = said.severity or self.severity, said.source or self.source
                yield Finding(
                    said.file, None, said.path, self.id, severity, said.message, said.cure, source, also=said.also
                )


def rule(
    id: str, source: str, *of: str, severity: Severity = "error", overlaps: Iterable[str] = ()
) -> Callable[[Callable[[Any], Faults]], Rule]:
    """Makes a rule of a function that judges a resource of the types `of`, or a set. Its docstring is the sentence."""
    return lambda judge: Rule(id, judge.__doc__ or "", source, severity, frozenset(overlaps), of, judge)


def nearest(name: str, known: Iterable[str]) -> str | None:
    import difflib  # only a mistake pays for it

    candidates = {candidate.lower(): candidate for candidate in sorted(known)}
    found = difflib.get_close_matches(name.lower(), candidates, n=1, cutoff=0.6)
    return candidates[found[0]] if found else None

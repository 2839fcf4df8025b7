"""Conditions as formulas over what is chosen at deploy time, and whether several of them can hold at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct


class Choice(Struct, frozen=True):
    """Something chosen at deploy time, as a parameter is. `allowed` are all its values, where they are known."""

    name: Hashable
    allowed: frozenset[str] | None = None


class Equal(Struct, frozen=True):
    """Whether a choice is one text, or two choices are the same; without a `right`, whether a choice says yes."""

    left: Choice
    right: Choice | str | None


# Compared by identity: a condition that names another shares its formula, so that no chain of them can multiply.
class Not(Struct, eq=False):
    part: Equal | Not | Every


class Every(Struct, eq=False):
    parts: tuple[Equal | Not | Every, ...]


Formula: TypeAlias = "bool | Equal | Not | Every"


def negation(formula: Formula) -> Formula:
    """What holds where a formula does not."""
    return not formula if isinstance(formula, bool) else formula.part if isinstance(formula, Not) else Not(formula)


def every(formulas: Sequence[Formula]) -> Formula:
    """What holds where all of the formulas do."""
    if False in formulas:
        return False
    parts = tuple(dict.fromkeys(formula for formula in formulas if not isinstance(formula, bool)))
    return True if not parts else parts[0] if len(parts) == 1 else Every(parts)


# Conditions of real sets hang on a handful of choices and take some dozens of steps; these are some 20 ms.
_CHOICES = 100
_STEPS = 20_000

# A choice is one of the texts that conditions name, or (a number) something else.
_Domain: TypeAlias = "Sequence[str | bool | int]"
_Decided: TypeAlias = "Mapping[Hashable, str | bool | int]"


def possible(*formulas: Formula) -> bool | None:
    """Whether one deployment can make all formulas true; None where the search takes too long to tell."""
    whole = every(formulas)
    if isinstance(whole, bool):
        return whole
    equals = _equals(whole)
    texts = {equal.right for equal in equals if isinstance(equal.right, str)}
    pairs = [(equal.left, equal.right) for equal in equals if isinstance(equal.right, Choice)]
    linked = dict.fromkeys(choice for pair in pairs for choice in pair)
    # Choices that are compared with each other may be the same in anything that one of them may be, and in something
    # that no condition names: as many such things as there are choices tell all ways of being the same or not.
    texts = texts.union(*(choice.allowed or () for choice in linked))
    unnamed = tuple(range(len(linked))) or (0,)
    choices = dict.fromkeys([*linked, *(equal.left for equal in equals if isinstance(equal.right, str))])
    domains: dict[Hashable, _Domain] = {choice: _domain(choice, texts, unnamed) for choice in choices}
    domains |= {equal: (True, False) for equal in equals if equal.right is None}
    if len(domains) > _CHOICES:
        return None
    return _search(whole, list(domains.items()), {}, [_STEPS])


def _equals(formula: Formula) -> list[Equal]:
    found: dict[Equal, None] = {}
    seen: set[int] = set()
    waiting = [formula]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Equal):
            found[part] = None
        elif not isinstance(part, bool) and id(part) not in seen:
            seen.add(id(part))
            waiting.extend(part.parts if isinstance(part, Every) else (part.part,))
    return list(found)


def _domain(choice: Choice, texts: set[str], unnamed: tuple[int, ...]) -> _Domain:
    if choice.allowed is None:
        return (*sorted(texts), *unnamed)
    return (*sorted(texts & choice.allowed), *(unnamed[:1] if choice.allowed - texts else ()))


def _search(
    whole: Formula, undecided: list[tuple[Hashable, _Domain]], decided: _Decided, steps: list[int]
) -> bool | None:
    holds = _holds(whole, decided, {}, steps)
    if holds is not None or steps[0] <= 0:
        return holds
    (name, domain), *rest = undecided
    unclear = False
    for value in domain:
        answer = _search(whole, rest, {**decided, name: value}, steps)
        if answer:
            return True
        unclear = unclear or answer is None
    return None if unclear else False


def _holds(formula: Formula, decided: _Decided, known: dict[int, bool | None], steps: list[int]) -> bool | None:
    """Whether a formula holds by what is decided; None where that does not tell, or the steps are used up."""
    if isinstance(formula, bool):
        return formula
    if id(formula) in known:
        return known[id(formula)]
    steps[0] -= 1
    answer: bool | None
    if steps[0] <= 0:
        answer = None
    elif isinstance(formula, Equal):
        answer = _same(formula, decided)
    elif isinstance(formula, Not):
        inner = _holds(formula.part, decided, known, steps)
        answer = None if inner is None else not inner
    else:
        answer = True
        for part in formula.parts:
            inner = _holds(part, decided, known, steps)
            if inner is False:
                answer = False
                break
            answer = None if inner is None else answer
    known[id(formula)] = answer
    return answer


def _same(equal: Equal, decided: _Decided) -> bool | None:
    if equal.right is None:
        answer = decided.get(equal)
        return answer if isinstance(answer, bool) else None
    if equal.left not in decided:
        return None
    if isinstance(equal.right, str):
        return decided[equal.left] == equal.right
    return decided[equal.left] == decided[equal.right] if equal.right in decided else None

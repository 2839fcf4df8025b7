"""Conditions as formulas over what is chosen at deploy time, and whether several of them can hold at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

__all__ = ["Choice", "Equal", "Every", "Formula", "Not", "every", "negation", "possible"]


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
    if any(formula is False for formula in formulas):
        return False
    parts = tuple(dict.fromkeys(formula for formula in formulas if not isinstance(formula, bool)))
    return True if not parts else parts[0] if len(parts) == 1 else Every(parts)


# Conditions of real sets hang on a handful of choices and take some dozens of steps; these are a fifth of a second.
_CHOICES = 100
_STEPS = 200_000

_Domain: TypeAlias = "Sequence[str | bool | None]"
_Decided: TypeAlias = "Mapping[Hashable, str | bool | None]"


def possible(*formulas: Formula) -> bool | None:
    """Whether one deployment can make all formulas true; None where the search takes too long to tell."""
    whole = every(formulas)
    if isinstance(whole, bool):
        return whole
    equals = _equals(whole)
    values = {equal.right for equal in equals if isinstance(equal.right, str)}
    compared = (side for equal in equals if equal.right is not None for side in (equal.left, equal.right))
    choices = dict.fromkeys(side for side in compared if isinstance(side, Choice))
    # What is asked of a choice is whether it is one of the texts, or (None) anything else.
    domains: dict[Hashable, _Domain] = {choice: _domain(choice, values) for choice in choices}
    # Two choices that are both something else may be the same or not.
    domains |= {equal: (True, False) for equal in equals if not isinstance(equal.right, str)}
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


def _domain(choice: Choice, values: set[str]) -> list[str | None]:
    if choice.allowed is None:
        return [*sorted(values), None]
    return [*sorted(values & choice.allowed), *([None] if choice.allowed - values else [])]


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
    free = decided.get(equal)
    free = free if isinstance(free, bool) else None
    if equal.right is None:
        return free
    if equal.left not in decided:
        return None
    left = decided[equal.left]
    if isinstance(equal.right, str):
        return left == equal.right
    if equal.right not in decided:
        return None
    right = decided[equal.right]
    return free if left is None and right is None else left == right

"""Plain values are taken for each other as CloudFormation does."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.templates.values import UNKNOWN, as_number, as_text, has_unknown, is_list_type, is_plain


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0.0),
        (7, 7.0),
        (-1.5, -1.5),
        ("8080", 8080.0),
        (" 3 ", 3.0),
        ("1e3", 1000.0),
        ("", None),
        ("one", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        (10**400, None),
        (True, None),
        (False, None),
        (None, None),
        ([1], None),
        (UNKNOWN, None),
    ],
)
def test_a_number_is_a_number_or_a_text_that_is_one(value: Any, number: float | None) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (1, "1"), (1.5, "1.5"), ("True", "True"), ("", "")]
)
def test_truth_as_text_is_lower_case(value: str | float, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "unknown"),
    [
        (UNKNOWN, True),
        ([1, UNKNOWN], True),
        ([1, [UNKNOWN]], True),
        ([], False),
        ([1, "a"], False),
        (None, False),
        ("UNKNOWN", False),
    ],
)
def test_a_list_is_unknown_where_one_of_its_items_is(value: Any, unknown: bool) -> None:
    assert has_unknown(value) is unknown


@pytest.mark.parametrize(
    ("kind", "is_list"),
    [
        ("CommaDelimitedList", True),
        ("List<Number>", True),
        ("AWS::SSM::Parameter::Value<List<String>>", True),
        ("String", False),
        ("Number", False),
        ("AWS::SSM::Parameter::Value<String>", False),
    ],
)
def test_a_list_is_told_by_its_type(kind: str, is_list: bool) -> None:
    assert is_list_type(kind) is is_list


@pytest.mark.parametrize(
    ("value", "plain"), [("", True), (0, True), (1.5, True), (False, True), (None, False), ([], False), ({}, False)]
)
def test_text_numbers_and_truth_are_plain(value: Any, plain: bool) -> None:
    assert is_plain(value) is plain
    assert not is_plain(UNKNOWN)

"""Templates as YAML text come back as they were, for the readers of YAML 1.1 that there are."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scaleout_cfn.composing import compose
from scaleout_cfn.rendering import set_of
from scaleout_cfn.templates.reading import load
from scaleout_cfn.yaml_text import FUNCTIONS, to_yaml

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

AWKWARD = [
    "2012-10-17", "2010-09-09", "2001-12-14t21:59:43.10-05:00", "12:30:45", "190:20:30", "1:1", "20:30.5",
    "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N",
    "true", "True", "TRUE", "false", "False", "~", "null", "Null", "NULL", "=", "<<", "<", "==", "<=",
    "1_000", "-1_0", "0b1", "-0b1_0", "0o7", "0o17", "0x1F", "0x_", "012", "089", "00", "0", "1", "-1", "+1", "-0",
    "1e5", "1E5", "1e+5", "1.5", "1.", ".5", ".5e3", "-.5", "+.5", "6.85e+5", "685.230_15e+03",
    ".inf", "-.inf", "+.inf", ".nan", ".NaN", ".", "..", "...", "-.", "+.", ".e+3", "._", "_1", "1_", "+", "-",
    "--", "---", "-a", "?", "?a", ":", ":a", "a:", "a:b", "a:b:c", "#", "a#", "!Ref", "!!str", "!x", "*a", "&a",
    "%", "%a", "@", "@a", "`", "`a", "|", ">", "|-", ">-", "[", "]", "{", "}", "[]", "{}", ",", "a,b", "'", '"',
    "''", '""', "\\", "\\n", "", " ", "  ", " a", "a ", "a  b", "\t", "\ta", "a\t", "a\tb",
    "\n", "\n\n", "a\n", "\na", "a\nb", "a\n\nb\n", " a\nb", "a\n b\n", "a \nb", "a\n ", "\n a", "a\n\n",
    "\ta\nb", "a\n# b\n", "a\n--- b\n", "a\n...\n",
    "\r", "a\rb", "a\r\nb", "\r\n", "a\n\rb", "\x85", "a\x85b", "\u2028", "a\u2028b\n", "\u2029",
    ": ", "a: b", "a : b", "- x", "a - b", "# x", "a # b", "a #", "!Ref x", "? x", "*a b", "&a b", "--- a", "... a",
    "%YAML 1.1", "\0", "\x07", "\x1b[0m", "\x7f", "\ufeff", "a\ufeff", "\ufffe", "\U0001f600",
    "caf\xe9 \u65e5\u672c", "\U0001f468\u200d\U0001f469", "x" * 200, "word " * 60,
]  # fmt: skip


class ShortForms(yaml.SafeLoader):
    """PyYAML's own reader, with CloudFormation's tags."""


def _function(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: node.value.split(".", 1) if name == "Fn::GetAtt" else node.value}
    assert isinstance(node, yaml.SequenceNode), "a function around a function is written in full"
    return {name: loader.construct_sequence(node, deep=True)}


ShortForms.add_multi_constructor("!", _function)


class Strict(ShortForms):
    """Takes for a string only what nothing in YAML 1.1 nor in its readers takes for something else.

    https://yaml.org/type/: bool with its one-letter forms, int with leading zeros and base 60, float, null,
    timestamp, merge, value; and 1e5, 0o7, 089, which some readers take for numbers.
    """

    OTHER = re.compile(
        r"""(?x)
        y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF
        | [-+]?0b[01_]+ | [-+]?0o[0-7_]+ | [-+]?0x[0-9a-fA-F_]+ | [-+]?[0-9][0-9_]*
        | [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?
        | [-+]?([0-9][0-9_]*)?\.[0-9._]*([eE][-+]?[0-9]+)? | [-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
        | [-+]?\.(inf|Inf|INF) | \.(nan|NaN|NAN)
        | ~|null|Null|NULL|
        | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*
        | << | =
        """
    )

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0] and self.OTHER.fullmatch(value):
            return "tag:example.com,2026:no-string"
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


Strict.add_constructor("tag:example.com,2026:no-string", lambda loader, node: (node.value, "is no string"))

TEXT = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(max_size=20),
    st.text(alphabet="0123456789-+.:_eExobyYnN ", max_size=6),
    st.text(alphabet=" \n\t\r#:-'\"!&*|>a\\%@`{}[],\x85\u2028\ufeff", max_size=8),
)
# Functions have their own strategy, with arguments that they can have.
KEYS = TEXT.filter(lambda key: key not in FUNCTIONS)
STRINGS = st.recursive(TEXT, lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(KEYS, inner)))
SCALARS = st.one_of(
    TEXT,
    st.booleans(),
    st.none(),
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from([1e20, 1e-7, 0.1, 10**30]),
)
NAMES = st.from_regex("[A-Za-z0-9]{1,8}", fullmatch=True)
ATTRIBUTES = st.sampled_from(["Arn", "Outputs.VpcId", "Endpoint.Address", "1", "y"])


def _functions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any intrinsic function around anything; and what looks like one and is none."""
    argument = st.one_of(inner, st.lists(inner, max_size=6), st.dictionaries(KEYS, inner, max_size=2))
    return st.one_of(
        st.builds(lambda name, value: {name: value}, st.sampled_from(sorted(FUNCTIONS - {"Fn::GetAtt"})), argument),
        st.builds(lambda name, attribute: {"Fn::GetAtt": [name, attribute]}, NAMES, ATTRIBUTES),
        st.builds(lambda name, value: {"Fn::GetAtt": [name, {"Ref": value}]}, NAMES, NAMES),
        st.builds(lambda text, values: {"Fn::Sub": [text, values]}, TEXT, st.dictionaries(NAMES, inner, max_size=2)),
        st.builds(
            lambda name, value: {name: value}, st.sampled_from(["Condition", "Fn::Transform", "Fn::X"]), argument
        ),
        st.builds(lambda name, one, two: {name: one, "Fn::Sub": two}, st.sampled_from(["Ref", "a"]), inner, inner),
    )


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(KEYS, inner, max_size=3),
        _functions(inner),
    ),
    max_leaves=12,
)


def same(one: object, other: object) -> bool:
    """Equal, and of equal types all the way: 1 is neither True nor 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
def test_an_awkward_scalar_stays_the_same_string_wherever_it_stands(text: str) -> None:
    value = {
        "value": text,
        "list": [text, [text]],
        text: {text: text},
        "short": {"Fn::Join": [text, [text, text]]},
        "flow": {"Fn::Equals": [text, {"Ref": "A"}]},
        "reference": [{"Ref": text}, {"Fn::Sub": text}],
        "named": {"Fn::Sub": [text, {"A": text}]},
    }
    written = to_yaml(value)
    for loader in (ShortForms, Strict):
        assert same(yaml.load(written, Loader=loader), value), written


@unhurried
@given(STRINGS)
def test_strings_stay_strings_to_the_strictest_reader(value: Any) -> None:
    written = to_yaml({"value": value})
    assert same(yaml.load(written, Loader=Strict), {"value": value}), written


@unhurried
@given(VALUES)
@example({"Fn::Base64": {"Fn::Sub": "a\nb"}})
@example([{"Fn::If": ["A", {"Ref": "AWS::NoValue"}, [{"Fn::GetAtt": ["A", "B.C"]}]]}])
def test_any_value_and_any_function_in_it_comes_back(value: Any) -> None:
    written = to_yaml({"value": value})
    assert same(yaml.load(written, Loader=ShortForms), {"value": value}), written


@unhurried
@given(VALUES)
def test_the_lint_reads_what_is_written(value: Any) -> None:
    written = to_yaml({"Resources": value})
    assert same(load(written, "a.yaml").body, {"Resources": value}), written


def test_the_default_set_comes_back_from_its_text() -> None:
    for name, template in set_of(compose()).items():
        assert same(yaml.load(to_yaml(template), Loader=ShortForms), template), name
        assert same(load(to_yaml(template), "a.yaml").body, template), name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"Ref": "Vpc"}, "!Ref Vpc"),
        ({"Fn::GetAtt": ["Network", "Outputs.VpcId"]}, "!GetAtt Network.Outputs.VpcId"),
        ({"Fn::GetAtt": "Network.Arn"}, "!GetAtt Network.Arn"),
        ({"Fn::Sub": "${AWS::Region}"}, "!Sub ${AWS::Region}"),
        ({"Fn::Equals": [{"Ref": "A"}, ""]}, "!Equals [!Ref A, '']"),
        ({"Fn::GetAZs": ""}, "!GetAZs ''"),
        ({"Fn::Base64": {"Fn::Sub": "a"}}, "\n  Fn::Base64: !Sub a"),
        ({"Fn::Base64": {"Ref": "A"}}, "\n  Fn::Base64: !Ref A"),
        ({"Condition": "HasImage"}, "\n  Condition: HasImage"),
        ({"Ref": "A", "Type": "B"}, "\n  Ref: A\n  Type: B"),
        ({"Fn::Sub": "a\nb\n"}, "!Sub |\n  a\n  b"),
        ({"Fn::Sub": ["${A}", {"A": {"Ref": "B"}}]}, "!Sub\n- ${A}\n- A: !Ref B"),
        ([], "[]"),
        ({}, "{}"),
        ("2012-10-17", "'2012-10-17'"),
        ("y", "'y'"),
        ("yes", "'yes'"),
        ("yesterday", "yesterday"),
        ("caf\xe9 \u65e5\u672c", "caf\xe9 \u65e5\u672c"),
        ("a\nb", "|-\n  a\n  b"),
        (True, "true"),
        (None, "null"),
        (3, "3"),
    ],
    ids=str,
)
def test_people_can_read_it(value: object, text: str) -> None:
    assert to_yaml({"a": value}).removeprefix("a:").removeprefix(" ") == f"{text}\n"


def test_keys_keep_their_order() -> None:
    assert to_yaml({"b": 1, "a": 2, "c": {"z": 1, "y": 2}}) == "b: 1\na: 2\nc:\n  z: 1\n  'y': 2\n"


def test_what_is_there_twice_is_written_twice() -> None:
    shared = {"Key": "Name", "Values": ["a"]}
    written = to_yaml({"one": shared, "two": [shared, shared]})
    assert "&" not in written
    assert "*" not in written


def test_long_lists_of_arguments_stand_below_each_other() -> None:
    short, long = ["a", "b", "c", "d"], ["a", "b", "c", "d", "e"]
    assert to_yaml({"x": {"Fn::Or": short}}) == "x: !Or [a, b, c, d]\n"
    assert to_yaml({"x": {"Fn::Or": long}}) == "x: !Or\n- a\n- b\n- c\n- d\n- e\n"
    assert "\n- " in to_yaml({"x": {"Fn::Join": ["", ["a", "b"]]}})


def test_a_long_text_goes_on_in_further_lines() -> None:
    words = " ".join(f"word{number}" for number in range(60))
    for value in (words, f"{words}: {words}", f"\r {words}", {"Fn::Sub": words}, {"Fn::Sub": [words, {"A": words}]}):
        written = to_yaml({"a": {"b": [value]}})
        assert max(map(len, written.splitlines())) < 130
        assert same(yaml.load(written, Loader=ShortForms), {"a": {"b": [value]}}), written


def test_what_no_template_can_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="which no template can hold"):
        to_yaml({"a": object()})

"""No template, however broken, stops the checks."""

from __future__ import annotations

import copy
import os
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.lint import check_set
from scaleout_cfn.lint.cfn_lint import CfnLint
from scaleout_cfn.templates.reading import load

from .sets import TEXTS, good
from .test_ecs_rules import CASES

FUNCTIONS = (
    "Ref",
    "Fn::GetAtt",
    "Fn::Sub",
    "Fn::Join",
    "Fn::If",
    "Fn::Select",
    "Fn::Split",
    "Fn::FindInMap",
    "Condition",
)
PIECES = (
    "",
    "&a ",
    "*a",
    "!If ",
    "!Sub ",
    "<<: *a\n",
    "{",
    "[",
    "\n",
    ": ",
    "? ",
    "!!set ",
    "!!binary ",
    "0x",
    "1e999",
    "~",
)
NAMES = ("Subnets", "Network", "Network.Outputs.VpcId", "HasImage", "AWS::NoValue", "${A.B}${!c}${", "x,y", ",", "1")

atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(NAMES) | st.text(max_size=5)
junk = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from((*FUNCTIONS, "Type", "Properties", "Key")), inner, max_size=2)
    ),
    max_leaves=6,
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every place of a template that can be replaced, as its container and key."""
    keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    return [place for key in keys for place in ((node, key), *places(node[key]))]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_set_with_anything_anywhere_is_checked_without_an_error(data: st.DataObject) -> None:
    templates = good()
    data.draw(st.sampled_from(CASES)).right(templates)
    # Cases share what they put in.
    templates = copy.deepcopy(templates)
    for _ in range(data.draw(st.integers(1, 6))):
        # One template at least stays a mapping.
        found = [place for place in places(templates) if place[0] is not templates or place[1] != "root.yaml"]
        container, key = found[data.draw(st.integers(0, len(found) - 1))]
        container[key] = data.draw(junk)
        templates = {name: body for name, body in templates.items() if isinstance(body, dict)}
    for finding in check_set(templates):
        assert finding.file in templates and finding.line is None


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_set_with_anything_in_its_text_is_read_and_checked_without_an_error(data: st.DataObject) -> None:
    texts = dict(TEXTS)
    for _ in range(data.draw(st.integers(1, 5))):
        name = data.draw(st.sampled_from(sorted(texts)))
        text = texts[name]
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 200)))
        texts[name] = text[:start] + data.draw(st.sampled_from(PIECES) | st.text(max_size=4)) + text[end:]
    for finding in check_set({name: load(text, name).body for name, text in texts.items()}):
        assert finding.file in texts


@pytest.mark.skipif(sys.platform == "win32", reason="processes have no groups there")
def test_an_interrupt_of_the_command_is_none_of_cfn_lint_s_process() -> None:
    process = CfnLint().start()
    try:
        assert os.getpgid(process.pid) != os.getpgid(0)
    finally:
        process.kill()

"""Templates are read as CloudFormation reads them, with the line of everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lint.sets import write

from scaleout_cfn.templates.facts import VARIABLE
from scaleout_cfn.templates.reading import Reader, load, read_folder

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=20,
).filter(lambda value: "Fn::GetAtt" not in json.dumps(value))
AWKWARD = [
    "2012-10-17",
    "yes",
    "no",
    "on",
    "off",
    "1_000",
    "0b1",
    "12:30:45",
    "007",
    "~",
    "",
    "a\r\nb",
    "\U0001f600",
    "=",
]


@given(st.dictionaries(st.text(min_size=1), values, max_size=4))
def test_what_a_yaml_dumper_writes_is_read_back(body: dict[str, Any]) -> None:
    text = yaml.dump({"Resources": body}, Dumper=yaml.SafeDumper)
    assert load(text, "a.yaml").body == {"Resources": body}


@given(st.dictionaries(st.text(min_size=1), values, max_size=4))
def test_json_is_read_back(body: dict[str, Any]) -> None:
    assert load(json.dumps({"Resources": body}, indent=1), "a.yaml").body == {"Resources": body}


@pytest.mark.parametrize("text", AWKWARD)
def test_a_quoted_string_stays_a_string(text: str) -> None:
    assert load(yaml.dump({"Resources": {"a": text}}), "a.yaml").body["Resources"]["a"] == text


def test_a_date_without_quotes_is_the_string_that_cloudformation_sees() -> None:
    body = load("AWSTemplateFormatVersion: 2010-09-09\nResources: {}\n", "a.yaml").body
    assert body["AWSTemplateFormatVersion"] == "2010-09-09"


def test_keys_are_always_strings() -> None:
    body = load("Resources: {}\nMappings:\n  Accounts:\n    123456789012: {on: 1}\n", "a.yaml").body
    assert body["Mappings"]["Accounts"] == {"123456789012": {"on": 1}}


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref A", {"Ref": "A"}),
        ("!Condition A", {"Condition": "A"}),
        ("!GetAtt A.B.C", {"Fn::GetAtt": ["A", "B.C"]}),
        ("!GetAtt [A, B]", {"Fn::GetAtt": ["A", "B"]}),
        ("{'Fn::GetAtt': A.B.C}", {"Fn::GetAtt": ["A", "B.C"]}),
        ("!Sub '${A}'", {"Fn::Sub": "${A}"}),
        ("!Sub ['${A}', {A: !Ref B}]", {"Fn::Sub": ["${A}", {"A": {"Ref": "B"}}]}),
        ("!If [C, !Ref A, !Ref 'AWS::NoValue']", {"Fn::If": ["C", {"Ref": "A"}, {"Ref": "AWS::NoValue"}]}),
        ("!GetAZs ''", {"Fn::GetAZs": ""}),
        ("!Transform {Name: It, Parameters: {A: 1}}", {"Fn::Transform": {"Name": "It", "Parameters": {"A": 1}}}),
        ("!Cidr [!GetAtt V.Cidr, 2, 8]", {"Fn::Cidr": [{"Fn::GetAtt": ["V", "Cidr"]}, 2, 8]}),
    ],
)
def test_short_tags_become_the_long_form(short: str, long: Any) -> None:
    assert load(f"Resources:\n  A: {short}\n", "a.yaml").body["Resources"]["A"] == long


def test_anchors_and_merges_are_followed() -> None:
    text = "Resources:\n  A: &a {Type: T, B: 1}\n  C:\n    <<: *a\n    B: 2\n  D: *a\n"
    assert load(text, "a.yaml").body["Resources"] == {
        "A": {"Type": "T", "B": 1},
        "C": {"Type": "T", "B": 2},
        "D": {"Type": "T", "B": 1},
    }


def test_aliases_that_multiply_are_a_finding_where_they_make_more_than_cloudformation_takes() -> None:
    def bomb(depth: int) -> str:
        doubled = (f"  a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, depth))
        return "\n".join(["Resources:", "  a0: &a0 [x, x]", *doubled])

    assert len(load(bomb(12), "a.yaml").body["Resources"]) == 12
    (problem,) = load(bomb(60), "a.yaml").problems
    assert (problem.rule, problem.severity) == ("E0000", "error")
    assert "aliases" in problem.message


def test_aliases_may_make_as_much_as_cloudformation_takes() -> None:
    # 400 times a thousand ones, each with a comma: 800,000 bytes; 600 times are 1,200,000.
    for times, taken in ((400, True), (600, False)):
        text = f"Resources: {{}}\nA: &a [{','.join('1' * 1000)}]\nB: [{','.join(['*a'] * times)}]\n"
        assert bool(load(text, "x.yaml").problems) != taken


def test_an_alias_within_itself_and_bottomless_nesting_are_findings() -> None:
    (problem,) = load("Resources:\n  A: &a\n    Type: T\n    B: *a\n", "a.yaml").problems
    assert (problem.rule, problem.path) == ("E0000", "Resources.A.B")
    (problem,) = load("Resources: " + "[" * 20_000 + "]" * 20_000, "a.yaml").problems
    assert "deeply" in problem.message
    # Half of a pair of surrogates, which libyaml refuses, sends it to the JSON reader.
    (problem,) = load('{"A": "\\ud83d\\ude00", "Resources": ' + "[" * 20_000 + "]" * 20_000 + "}", "a.json").problems
    assert "deeply" in problem.message


def test_every_path_has_its_line() -> None:
    text = (
        "# a comment\nResources:\n  A:\n    Type: T\n    Properties:\n"
        "      List:\n        - One: 1\n        - !Sub\n          - ${x}\n"
    )
    template = load(text, "a.yaml")
    assert template.line("Resources.A.Properties.List.0.One") == 7
    assert template.line("Resources.A.Properties.List.1.Fn::Sub.0") == 9
    assert template.line("Resources.A.Properties.Missing.Thing") == 5
    assert template.line("Outputs") is None


def test_duplicate_keys_are_found_with_both_lines() -> None:
    (problem,) = load("Resources:\n  A: {Type: T}\n  A: {Type: U}\n", "a.yaml").problems
    assert (problem.rule, problem.line, problem.path) == ("E0000", 3, "Resources.A")
    assert "first in line 2" in problem.message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Resources:\n  A: [1\n", 3),
        ("Resources:\n\tA: 1\n", 2),
        ('{"Resources":\n {"A" 1}}', 2),
        ('{"Resources":\n\t{"A" 1}}', 2),
        ('{"AWSTemplateFormatVersion":"2010-09-09","Resources":{"T":{"Type":"AWS::SNS::Topic"},}}', 1),
        ('{"Resources":{"T":{"Type":"AWS::SNS::Topic"}}', 1),
        ("{Resources: {T: {Type: AWS::SNS::Topic}}", 1),
        ("- Resources\n", 1),
        ("", 1),
        ('{\n// ours\n"Resources": {}}', 2),
        ("Resources: {}\n# \x07\n", 2),
        ("Resources: {}\n---\nResources: {}\n", 2),
    ],
)
def test_text_that_is_no_template_is_a_finding_with_its_line(text: str, line: int) -> None:
    template = load(text, "a.yaml")
    assert template.body == {}
    assert [(p.file, p.line, p.rule, p.severity) for p in template.problems] == [("a.yaml", line, "E0000", "error")]


def test_json_that_libyaml_refuses_is_json_still() -> None:
    assert load('{\n\t"Resources": {"A": "a\\/b"}\n}', "a.yaml").body == {"Resources": {"A": "a/b"}}


def test_a_tab_within_a_string_of_json_is_read() -> None:
    assert load('{"Resources": {}, "Description": "a\tb"}', "x.json").body["Description"] == "a\tb"


@pytest.mark.parametrize(("text", "what"), [("", "empty"), ("- a\n", "a list"), ("a\n", "one value")])
def test_what_is_no_template_is_called_what_it_is(text: str, what: str) -> None:
    (problem,) = load(text, "x.yaml").problems
    assert problem.message == f"The file is {what}, not a template."


def test_a_function_in_short_has_the_line_that_it_is_written_on() -> None:
    source = load("Resources:\n  A:\n    B: !GetAtt C.D\n    E: !Sub\n      - a\n      - {}\n", "x.yaml")
    assert [source.line(f"Resources.A.{path}") for path in ("B.Fn::GetAtt", "E.Fn::Sub", "E.Fn::Sub.0")] == [3, 4, 5]


def test_what_is_wrong_with_a_text_is_said_on_one_line_without_the_parser_s_own_places() -> None:
    (problem,) = load("Resources: [a\nb: c", "x.yaml").problems
    assert problem.line == 2
    assert problem.message == "Not YAML: while parsing a flow sequence did not find expected ',' or ']'."


def test_a_folder_gives_its_templates_and_those_that_they_nest(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "more").mkdir()
    (tmp_path / "deep" / "child.yml").write_text(
        "Resources:\n  C: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: more/leaf.template}}\n"
    )
    (tmp_path / "deep" / "more" / "leaf.template").write_text('{"Resources": {}}')
    (tmp_path / "deep" / "unused.yaml").write_text("Resources: {}")
    (tmp_path / "parent.yaml").write_text(
        "Resources:\n  D:\n    Type: AWS::CloudFormation::Stack\n"
        "    Properties: {TemplateURL: !Sub '${Url}/deep/child.yml'}\n"
    )
    (tmp_path / "buildspec.yml").write_text("version: 0.2\nphases: {}\n")
    (tmp_path / "parameters.json").write_text('[{"ParameterKey": "A"}]')
    (tmp_path / "chart.yaml").write_text("a: {{ .Values.b }}\n")
    names = set(read_folder(tmp_path))
    assert {name for name in names if "/" in name} == {"deep/child.yml", "deep/more/leaf.template"}
    assert {"root.yaml", "parent.yaml"} <= names
    assert not names & {"buildspec.yml", "parameters.json", "chart.yaml"}


def test_a_folder_with_a_broken_template_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("Resources:\n  A: [1\n")
    with pytest.raises(ValueError, match=r"^a\.yaml:3: Not YAML"):
        read_folder(tmp_path)


def test_of_several_problems_a_folder_is_refused_with_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("Resources:\n  A: {}\n  A: {}\n  B: {}\n  B: {}\n")
    with pytest.raises(ValueError, match=r"^a\.yaml:3: A is written twice"):
        read_folder(tmp_path)


def test_what_follows_a_key_that_is_no_string_is_read_all_the_same() -> None:
    source = load("? [a]\n: 1\nResources: {A: {}}\n", "a.yaml")
    assert [(problem.line, problem.message) for problem in source.problems] == [(1, "A mapping key is not a string.")]
    assert source.body == {"Resources": {"A": {}}}


def names(folder: Path, *, deep: bool = False) -> dict[str, bool]:
    """The templates that a reader finds in a folder, and whether each is good."""
    reader = Reader(folder)
    reader.folder(folder, deep=deep)
    return {source.name: not source.problems for source in reader.sources()}


@pytest.mark.parametrize(
    "text",
    [
        '{"AWSTemplateFormatVersion":"2010-09-09","Resources":{"T":{"Type":"AWS::SNS::Topic"},}}',
        '{"Resources":{"T":{"Type":"AWS::SNS::Topic"}}',
        "{Resources: {T: {Type: AWS::SNS::Topic}}",
        "Description: x\n  bad\n  AWSTemplateFormatVersion: 2010-09-09\n",
        "\ufeff" + '{"Resources":{',
        '{"Resources":' + '{"a":' * 900 + "1" + "}" * 901,
        '{"Resources"',
        '{"Parameters":{"P":{"Type":"String"',
        '{"T":{"Type":"AWS::SNS::Topic"',
        '/* ours */{"Resources":{"T":{"Type":"AWS::SNS::Topic"}}}',
        '{"Resources":{"T":{"Type":"AWS::SNS::Topic","Properties":{"DisplayName":NaN}}}}',
        "# Resources: none yet\n",
    ],
)
def test_a_broken_file_that_says_it_is_a_template_is_never_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "it.json").write_text(text, encoding="utf-8")
    assert names(tmp_path) == {"it.json": False}


@pytest.mark.parametrize(
    "text",
    [
        "- Resources:\n    T: {Type: 'AWS::SNS::Topic'}\n",
        '{"Outputs": {"Resources": 1}}',
        "a: {{ b }}\n",
        "",
        "x",
        "Resources: [{T: {}}]",
    ],
)
def test_a_good_file_of_another_kind_is_passed_over_though_it_mentions_resources(tmp_path: Path, text: str) -> None:
    (tmp_path / "it.yaml").write_text(text, encoding="utf-8")
    assert names(tmp_path) == {}


def test_what_a_template_nests_is_a_template_whatever_is_in_it(tmp_path: Path) -> None:
    nested = "{Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: %s}}"
    files = ("empty.yaml", "odd.txt", "latin.yaml")
    root = "".join(f"  N{n}: {nested % file}\n" for n, file in enumerate(files))
    (tmp_path / "root.yaml").write_text(f"Resources:\n{root}", encoding="utf-8")
    (tmp_path / "empty.yaml").write_text("", encoding="utf-8")
    (tmp_path / "odd.txt").write_text("a: [", encoding="utf-8")
    (tmp_path / "latin.yaml").write_bytes(b"a: caf\xe9\n")
    assert names(tmp_path) == {"root.yaml": True, **dict.fromkeys(files, False)}


@pytest.mark.parametrize(
    ("url", "followed"), [("../child.yaml", True), ("https://b.s3.amazonaws.com/child.yaml", False)]
)
def test_a_file_outside_the_folder_is_nested_by_its_path_and_never_by_a_url(
    tmp_path: Path, url: str, followed: bool
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    nested = f"{{Type: AWS::CloudFormation::Stack, Properties: {{TemplateURL: '{url}'}}}}"
    (folder / "root.yaml").write_text(f"Resources: {{N: {nested}}}\n", encoding="utf-8")
    (tmp_path / "child.yaml").write_text("Resources: {}\n", encoding="utf-8")
    reader = Reader(tmp_path)
    reader.folder(folder)
    assert [source.name for source in reader.sources()] == ["mine/root.yaml", *["child.yaml"] * followed]


def test_a_text_that_is_not_utf8_is_told_with_the_line_of_its_first_wrong_byte(tmp_path: Path) -> None:
    (tmp_path / "it.yaml").write_bytes(b"Resources: {}\nA: caf\xe9\nB: \xe9\n")
    with pytest.raises(ValueError, match=r"^it\.yaml:2: The file is not UTF-8 text"):
        read_folder(tmp_path)
    (tmp_path / "it.yaml").write_bytes(b"Resources: {A: \xe9}")
    with pytest.raises(ValueError, match=r"^it\.yaml:1: "):
        read_folder(tmp_path)


def test_a_folder_is_looked_through_to_its_end_but_for_what_nobody_keeps_templates_in(tmp_path: Path) -> None:
    for place in ("a/b/c", "node_modules/x", ".git/x"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "it.yaml").write_text("Resources: {}", encoding="utf-8")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    assert names(tmp_path, deep=True) == {"a/b/c/it.yaml": True}
    assert names(tmp_path) == {}


def test_a_text_of_nothing_but_opened_variables_is_read_in_time_with_its_length() -> None:
    # A quarter of an hour where each opening looks for its end up to the last character.
    assert VARIABLE.findall("${" * 400_000 + "A}") == ["A"]

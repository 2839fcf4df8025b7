"""The picture of a set says what its templates say."""

from __future__ import annotations

import re
from typing import Any

from scaleout_cfn.composing import compose
from scaleout_cfn.config import Config, ExistingVpc
from scaleout_cfn.graph import mermaid
from scaleout_cfn.rendering import local_url, set_of

STACK = "AWS::CloudFormation::Stack"
ARROW = re.compile(r'    (\w+) -- "([^"]+)" --> (\w+)')
BOX = re.compile(r'    (\w+)\["<b>(\w+)</b>(.*)"\]')


def nested(url: object, **more: Any) -> dict[str, Any]:
    properties = {"TemplateURL": url, **({"Parameters": more.pop("Parameters")} if "Parameters" in more else {})}
    return {"Type": STACK, "Properties": properties, **more}


def of(*types: str) -> dict[str, Any]:
    """A template of resources of these types."""
    return {"Resources": {f"R{number}": {"Type": f"AWS::X::{name}"} for number, name in enumerate(types)}}


def test_the_default_set_is_drawn_whole() -> None:
    templates = set_of(compose())
    text = mermaid(templates)
    stacks = {t: r for t, r in templates["root.yaml"]["Resources"].items() if r["Type"] == STACK}
    assert text.startswith("flowchart LR\n")
    assert [title for title, *_ in BOX.findall(text)] == list(stacks)
    expected = {
        (source, output, target)
        for target, body in stacks.items()
        for value in body["Properties"].get("Parameters", {}).values()
        if isinstance(value, dict) and "Fn::GetAtt" in value
        for source, output in [(value["Fn::GetAtt"][0], value["Fn::GetAtt"][1].removeprefix("Outputs."))]
    }
    drawn = {
        (source, output, target) for source, outputs, target in ARROW.findall(text) for output in outputs.split("<br/>")
    }
    assert drawn == expected
    assert "    class WebService conditional\n" in text
    # Each line is one of these, so that the renderer of a README takes it.
    for line in text.splitlines()[1:]:
        assert ARROW.fullmatch(line) or BOX.fullmatch(line) or re.fullmatch(r"    class(Def)? [\w,]+ [\w: -]+", line)


def test_the_picture_is_the_same_for_every_form_of_a_set() -> None:
    as_yaml = mermaid(set_of(compose()))
    assert mermaid(set_of(compose(), format="json")) == as_yaml
    assert mermaid(set_of(compose(), url=local_url)) == as_yaml


def test_a_network_that_is_not_of_the_set_is_not_drawn() -> None:
    text = mermaid(set_of(compose(Config(network=ExistingVpc()))))
    assert "Network" not in text


def test_a_box_counts_what_is_in_it_and_ends_in_dots() -> None:
    templates = {
        "root.yaml": {"Resources": {"Net": nested("net.yaml"), "Many": nested("many.yaml")}},
        "net.yaml": of("Subnet", "VPC", "Subnet"),
        "many.yaml": of("A", "B", "C", "D", "E", "F", "F"),
    }
    boxes = {title: inside for title, _, inside in BOX.findall(mermaid(templates))}
    assert boxes == {"Net": "<br/>2 Subnet<br/>VPC", "Many": "<br/>A<br/>B<br/>C<br/>D<br/>E<br/>..."}


def test_a_child_that_is_not_at_hand_is_a_box_with_its_name() -> None:
    assert '    Far["<b>Far</b>"]\n' in mermaid({"root.yaml": {"Resources": {"Far": nested("https://example.com/x")}}})


def test_a_file_whose_name_ends_in_anothers_is_told_apart() -> None:
    root = {"Resources": {"WebCache": nested({"Fn::Sub": "${TemplatesUrl}/web-cache.yaml"})}}
    for order in (["cache.yaml", "web-cache.yaml"], ["web-cache.yaml", "cache.yaml"]):
        children = {name: of("Right" if name == "web-cache.yaml" else "Wrong") for name in order}
        assert "Right" in mermaid({"root.yaml": root, **children})


def test_an_arrow_names_each_output_once_wherever_it_stands() -> None:
    fed = {
        "A": {"Fn::GetAtt": ["Net", "Outputs.VpcId"]},
        "B": {"Fn::GetAtt": "Net.Outputs.VpcId"},
        "C": {"Fn::Join": [",", [{"Fn::GetAtt": ["Net", "Outputs.Subnets"]}, {"Ref": "X"}]]},
        "D": {"Fn::GetAtt": ["Bucket", "Arn"]},
        "E": {"Fn::GetAtt": ["Elsewhere", "Outputs.Y"]},
    }
    resources = {"Net": nested("net.yaml"), "Shop": nested("shop.yaml", Parameters=fed)}
    text = mermaid({"root.yaml": {"Resources": resources}})
    assert ARROW.findall(text) == [("Net", "VpcId<br/>Subnets", "Shop")]


def test_a_set_without_conditions_has_no_dashes() -> None:
    assert "class" not in mermaid({"root.yaml": {"Resources": {"Net": nested("net.yaml")}}})


def test_a_set_of_one_template_is_an_empty_picture() -> None:
    assert mermaid({"root.yaml": of("Bucket")}) == "flowchart LR\n"

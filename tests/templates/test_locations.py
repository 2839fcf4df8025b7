"""Where a parent says that its children lie, and which file of a set that means."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.templates.facts import Facts
from scaleout_cfn.templates.locations import Location, locations
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import StackView

PARAMETERS = {"Url": {"Type": "String"}, "Name": {"Type": "String", "Default": "vpc"}}
STACK = "AWS::CloudFormation::Stack"


def body(**urls: Any) -> dict[str, Any]:
    """A template that nests one template behind each address."""
    nested = {name: {"Type": STACK, "Properties": {"TemplateURL": url}} for name, url in urls.items()}
    return {"Parameters": PARAMETERS, "Resources": nested}


def place(url: Any) -> Location:
    (found,) = locations(StackView("root.yaml", Facts(body(N=url)), {}))
    return found


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("a/vpc.yaml", {"path": "a/vpc.yaml"}),
        ("", {"why": "its TemplateURL is empty"}),
        ("s3://b/vpc.yaml", {"why": "its TemplateURL is in a bucket, s3://b/vpc.yaml"}),
        ("{{resolve:ssm:/x}}", {"why": "only a deployment knows its TemplateURL"}),
        ("https://b/x/vpc.yaml", {"segments": ("x", "vpc.yaml"), "folder": "https://b/x"}),
        ("https://b/x/vpc.yaml?versionId=1", {"segments": ("x", "vpc.yaml"), "folder": "https://b/x"}),
        ("https://b/../vpc.yaml", {"segments": ("vpc.yaml",), "folder": "https://b/.."}),
        ("https://b/x//vpc.yaml", {"segments": ("vpc.yaml",), "folder": "https://b/x/"}),
        ("https://b/", {"why": "its TemplateURL names no file"}),
        ({"Fn::Sub": "${Url}/x/vpc.yaml"}, {"segments": ("x", "vpc.yaml"), "folder": "\0Url\0/x"}),
        ({"Fn::Sub": "${Url}vpc.yaml"}, {"segments": ("vpc.yaml",), "folder": "", "exact": False}),
        ({"Fn::Sub": "${Url}x/vpc.yaml"}, {"segments": ("x", "vpc.yaml"), "folder": "\0Url\0x"}),
        (
            {"Fn::Sub": "https://b/y/${Url}x/vpc.yaml"},
            {"segments": ("x", "vpc.yaml"), "folder": "https://b/y/\0Url\0x", "exact": True},
        ),
        ({"Fn::Join": "x"}, {"why": "its TemplateURL ends in x, which has no default"}),
        ({"Fn::Join": [1, ["x"]]}, {"why": "its TemplateURL ends in Fn::Join, which has no default"}),
        ({"Fn::Sub": "https://b/${Name}.yaml"}, {"segments": ("vpc.yaml",), "folder": "https://b"}),
        ({"Fn::Sub": "https://b/${Url}"}, {"why": "its TemplateURL ends in Url, which has no default"}),
        ({"Fn::Join": ["/", [{"Ref": "Url"}, "vpc.yaml"]]}, {"segments": ("vpc.yaml",), "folder": "\0Url\0"}),
        (
            {"Fn::Join": ["/", [{"Fn::ImportValue": "it"}, "vpc.yaml"]]},
            {"segments": ("vpc.yaml",), "folder": "\0it\0"},
        ),
        (
            {"Fn::Sub": ["${A}/vpc.yaml", {"A": {"Fn::ImportValue": "x/y"}}]},
            {"segments": ("vpc.yaml",), "folder": "\0x|y\0"},
        ),
    ],
    ids=str,
)
def test_a_place_is_read_as_far_as_the_parent_spells_it_out(url: Any, expected: dict[str, Any]) -> None:
    assert place(url) == Location("N", **expected)


def test_a_choice_between_addresses_is_several_places_each_with_its_condition() -> None:
    made = body(N={"Fn::If": ["C", "a.yaml", {"Fn::If": ["D", "b.yaml", "c.yaml"]}]})
    made["Conditions"] = {"C": {"Fn::Equals": [{"Ref": "Url"}, "x"]}, "D": {"Fn::Equals": [1, 1]}}
    view = StackView("root.yaml", Facts(made), {})
    first, second = locations(view)
    assert (first.path, second.path) == ("a.yaml", "b.yaml")
    assert first.when == view.when("C")


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        ({"Type": STACK}, "it has no TemplateURL"),
        ({"Type": "AWS::Serverless::Application", "Properties": {}}, "it has no Location"),
        (
            {"Type": "AWS::Serverless::Application", "Properties": {"Location": {"ApplicationId": "a"}}},
            "it is an application of the Serverless repository",
        ),
    ],
)
def test_a_nested_stack_without_a_place_says_why(resource: dict[str, Any], why: str) -> None:
    (found,) = locations(StackView("root.yaml", Facts({"Resources": {"N": resource}}), {}))
    assert found == Location("N", why=why)


@pytest.mark.parametrize(
    ("location", "parent", "names"),
    [
        (Location("N", path="../b/vpc.yaml"), "a/root.yaml", ["b/vpc.yaml"]),
        (Location("N", path="./out/vpc.yaml"), "a/out/root.yaml", ["a/out/out/vpc.yaml", "a/out/vpc.yaml"]),
        (Location("N", segments=("x", "vpc.yaml")), "root.yaml", ["x/vpc.yaml", "vpc.yaml"]),
        (Location("N", segments=("vpc.yaml",)), "a/b/root.yaml", ["a/b/vpc.yaml", "a/vpc.yaml", "vpc.yaml"]),
        (Location("N", segments=("vpc.yaml",)), "/a/root.yaml", ["/a/vpc.yaml", "/vpc.yaml"]),
        (Location("N", segments=("vpc.yaml",)), "../root.yaml", ["../vpc.yaml"]),
    ],
)
def test_a_file_is_looked_for_beside_the_parent_first(location: Location, parent: str, names: list[str]) -> None:
    assert list(location.candidates(parent)) == names


CHILD: dict[str, Any] = {"Parameters": {"A": {"Type": "String"}}, "Resources": {}}
BUCKET = "https://b.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("urls", "files", "expected"),
    [
        # (child, missing) of each nested stack
        ({"N": "vpc.yaml"}, ["vpc.yaml"], {"N": ("vpc.yaml", None)}),
        ({"N": "vpc.yaml"}, [], {"N": (None, "vpc.yaml")}),
        ({"N": "../vpc.yaml"}, [], {"N": (None, None)}),
        ({"N": "vpc.txt"}, [], {"N": (None, None)}),
        ({"N": f"{BUCKET}/x/vpc.yaml"}, ["vpc.yaml"], {"N": ("vpc.yaml", None)}),
        ({"N": f"{BUCKET}/vpc.yaml"}, ["a/vpc.yaml"], {"N": ("a/vpc.yaml", None)}),
        ({"N": f"{BUCKET}/vpc.yaml"}, ["a/vpc.yaml", "b/vpc.yaml"], {"N": (None, None)}),
        ({"N": f"{BUCKET}/root.yaml"}, [], {"N": (None, None)}),
        ({"N": {"Fn::Sub": "${Url}vpc.yaml"}}, ["my-vpc.yaml"], {"N": ("my-vpc.yaml", None)}),
        ({"N": {"Fn::Sub": "${Url}vpc.yaml"}}, ["a/my-vpc.yaml"], {"N": (None, None)}),
        # A sibling's file tells what stands behind the address.
        (
            {"N": f"{BUCKET}/a.yaml", "M": f"{BUCKET}/b.yaml"},
            ["a.yaml"],
            {"N": ("a.yaml", None), "M": (None, "b.yaml")},
        ),
        (
            {"N": f"{BUCKET}/a.yaml", "M": f"{BUCKET}/b-0123abcd.yaml", "O": f"{BUCKET}/b-0123abc.yaml"},
            ["a.yaml"],
            {"N": ("a.yaml", None), "M": (None, None), "O": (None, "b-0123abc.yaml")},
        ),
        (
            {"N": f"{BUCKET}/a.yaml", "M": f"{BUCKET}/b.yaml", "O": "https://c/a.yaml"},
            ["a.yaml", "b.yaml"],
            {"N": ("a.yaml", None), "M": ("b.yaml", None), "O": (None, None)},
        ),
        (
            {"N": f"{BUCKET}/a.yaml", "O": "https://c/a.yaml"},
            ["a.yaml"],
            {"N": (None, None), "O": (None, None)},
        ),
    ],
    ids=str,
)
def test_a_place_means_a_file_of_the_set_or_one_that_is_missing_or_nobody_can_tell(
    urls: dict[str, Any], files: list[str], expected: dict[str, Any]
) -> None:
    stacks = StackSet({"root.yaml": body(**urls), **dict.fromkeys(files, CHILD)})
    found = stacks.nested_of("root.yaml")
    assert {name: (nested.child, nested.missing) for name, nested in found.items()} == expected
    assert all(bool(nested.why) is (nested.child is None) for nested in found.values())


@pytest.mark.parametrize(
    ("passed", "follows"),
    [({"B": 1, "C": 1}, True), ({"B": 1, "C": 1, "D": 1}, False), ({"A": 1, "B": 1, "C": 1}, True)],
)
def test_a_file_of_that_name_is_another_where_many_parameters_and_none_of_its_own_are_passed(
    passed: dict[str, Any], follows: bool
) -> None:
    root = body(N=f"{BUCKET}/vpc.yaml")
    root["Resources"]["N"]["Properties"]["Parameters"] = passed
    nested = StackSet({"root.yaml": root, "vpc.yaml": CHILD}).nested_of("root.yaml")["N"]
    assert (nested.child == "vpc.yaml", bool(nested.why)) == (follows, not follows)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"{BUCKET}/vpc.yaml", "vpc.yaml is not among the templates"),
        ({"Fn::Sub": "${Url}vpc.yaml"}, "a file that ends in vpc.yaml is not among the templates"),
        ("vpc.txt", "vpc.txt is not among the templates"),
    ],
)
def test_a_file_that_is_not_there_is_named_as_far_as_its_name_is_known(url: Any, why: str) -> None:
    assert StackSet({"root.yaml": body(N=url)}).nested_of("root.yaml")["N"].why == why


def test_a_file_that_several_addresses_may_mean_is_named_with_why_none_is_followed() -> None:
    found = StackSet({"root.yaml": body(N=f"{BUCKET}/a.yaml", O="https://c/a.yaml"), "a.yaml": CHILD})
    assert {nested.why for nested in found.nested} == {"a.yaml is there, but several addresses end in a.yaml"}


def test_of_several_templates_that_a_nested_stack_may_have_the_first_stands_for_it() -> None:
    root = body(N={"Fn::If": ["C", "a.yaml", "b.yaml"]})
    root["Conditions"] = {"C": {"Fn::Equals": [{"Ref": "Url"}, "x"]}}
    stacks = StackSet({"root.yaml": root, "a.yaml": CHILD, "b.yaml": CHILD})
    assert [nested.child for nested in stacks.nested] == ["a.yaml", "b.yaml"]
    assert stacks.nested_of("root.yaml")["N"].child == "a.yaml"


def test_what_a_tool_has_published_under_another_name_is_followed() -> None:
    root = body(N=f"{BUCKET}/0f0f.json")
    stacks = StackSet({"a/root.yaml": root, "a/vpc.yaml": CHILD}, published={"a/0f0f.json": "a/vpc.yaml"})
    assert stacks.nested_of("a/root.yaml")["N"].child == "a/vpc.yaml"


def test_a_template_that_others_nest_is_no_root_and_in_a_ring_the_first_by_name_is() -> None:
    def files(**nests: str | None) -> dict[str, dict[str, Any]]:
        return {f"{name}.yaml": body(N=f"{child}.yaml") if child else body() for name, child in nests.items()}

    assert [root.file for root in StackSet(files(a=None, b="a", c=None)).roots] == ["b.yaml", "c.yaml"]
    ring = StackSet(files(a="b", b="a"))
    assert [root.file for root in ring.roots] == ["a.yaml"]
    assert [stack.file for stack in ring.stacks] == ["a.yaml", "b.yaml"]
    own = StackSet(files(a="a", b=None))
    assert [root.file for root in own.roots] == ["a.yaml", "b.yaml"] and len(own.stacks) == 2


def test_a_chain_of_stacks_is_followed_fifty_deep() -> None:
    templates = {f"t{depth:02}.yaml": body(N=f"t{depth + 1:02}.yaml") for depth in range(60)}
    stacks = StackSet({**templates, "t60.yaml": body()})
    assert len(stacks.roots[0].children) == 1
    assert len(list(stacks.roots[0].tree())) == 50


def test_a_set_of_trees_is_cut_at_five_thousand_stacks() -> None:
    templates: dict[str, dict[str, Any]] = {"leaf.yaml": body()}
    for number in range(12):
        templates[f"r{number:02}.yaml"] = body(**{f"N{child}": "leaf.yaml" for child in range(600)})
    stacks = StackSet(templates)
    counts = [len(list(root.tree())) for root in stacks.roots]
    assert counts == [500] * 10 + [1, 1]

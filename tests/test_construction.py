"""troposphere's classes are constructed as by its own constructor, which ours stands in for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from troposphere import AWSObject, BaseAWSObject, Ref, Tags, Template, ecs, iam, s3

import scaleout_cfn as sc
from scaleout_cfn.composing import compose, family
from scaleout_cfn.construction import construct

#: What `functools.wraps` keeps.
THEIRS = construct.__wrapped__


def both(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseAWSObject], *args: Any, **kwargs: Any
) -> Iterator[dict[str, Any] | tuple[type[Exception], str]]:
    """What an object of a class holds, or why there is none, by their constructor and by ours."""
    for init in (THEIRS, construct):
        monkeypatch.setattr(BaseAWSObject, "__init__", init)
        try:
            made = kind(*args, **kwargs)
            yield {**vars(made), "order": [*made.properties]}
        except Exception as error:
            yield type(error), str(error)


def classes(kind: type[BaseAWSObject]) -> Iterator[type[BaseAWSObject]]:
    for below in kind.__subclasses__():
        yield below
        yield from classes(below)


class Ours(s3.Bucket):
    """One with values of its own, of which a caller may give another."""

    BucketName = "ours"
    Tags = Tags(Of="ours")


def test_an_object_of_any_class_holds_what_their_constructor_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    for kind in list(classes(BaseAWSObject)):
        theirs, ours = both(monkeypatch, kind, "Title")
        assert theirs == ours, kind
        made += isinstance(ours, dict)
    assert made > 500


def test_a_set_s_own_resources_are_the_same_by_either(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BaseAWSObject.__init__ is construct
    resources = [resource for stack in family(compose(sc.Config())) for resource in stack.template.resources.values()]
    for resource in resources:
        attributes = {name: value for name, value in resource.resource.items() if name not in ("Type", "Properties")}
        theirs, ours = both(monkeypatch, type(resource), resource.title, **resource.properties, **attributes)
        assert theirs == ours, resource.title


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (s3.Bucket, {"BucketName": 3}),
        (s3.Bucket, {"Bucketname": "a"}),
        (s3.Bucket, {"Tags": "a"}),
        (ecs.Service, {"LoadBalancers": ["a"]}),
        (ecs.Service, {"LoadBalancers": [Ref("A")], "DependsOn": [s3.Bucket("A")], "Condition": "C"}),
        (iam.Role, {"Path": "no path"}),
        (Ours, {}),
        (Ours, {"AccessControl": "Private", "BucketName": "another"}),
        (Ours, {"validation": False}),
    ],
)
def test_what_is_right_or_wrong_stays_so(
    monkeypatch: pytest.MonkeyPatch, kind: type[AWSObject], arguments: dict[str, Any]
) -> None:
    theirs, ours = both(monkeypatch, kind, "Title", **arguments)
    assert theirs == ours
    theirs, ours = both(monkeypatch, kind, "No title", **arguments)
    assert theirs == ours


def test_a_template_gets_what_is_made_for_it() -> None:
    template = Template()
    bucket = s3.Bucket("Bucket", template)
    assert template.resources == {"Bucket": bucket}


def test_a_class_that_gets_a_value_later_gives_it_to_what_is_made_then() -> None:
    class Later(s3.Bucket):
        """Without values, at first."""

    Later("Before")
    Later.AccessControl = "Private"  # type: ignore[attr-defined]
    assert Later("After").properties == {"AccessControl": "Private"}

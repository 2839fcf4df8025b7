"""What was there before a set is named in its templates and kept; all that cannot be taken in is refused in words."""

from __future__ import annotations

import json

import msgspec
import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from test_iam import EVERYTHING

from scaleout_cfn.composing import compose
from scaleout_cfn.config import Cluster, Config
from scaleout_cfn.errors import SetError
from scaleout_cfn.imports import _INSTEAD, NAMED, arns, importable, imported
from scaleout_cfn.permissions.grants import Scope, plain
from scaleout_cfn.permissions.policies import deployer, imports
from scaleout_cfn.permissions.service_role import service_role
from scaleout_cfn.rendering import set_of

SHOP = {"WebFoundation/Repository": "shop/web", "WebFoundation/Logs": "/ecs/shop"}
replace = msgspec.structs.replace


@pytest.mark.parametrize("kind", [*NAMED, *_INSTEAD])
def test_what_is_taken_in_has_an_identifier_that_is_its_owners_and_what_is_not_has_one_of_awss(kind: str) -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    made_by_aws = set(schema["primaryIdentifier"]) & set(schema.get("readOnlyProperties", []))
    assert bool(made_by_aws) is (kind in _INSTEAD)
    if kind in NAMED:
        assert f"/properties/{NAMED[kind].property}" in schema["primaryIdentifier"]
        assert {"list", "read"} <= set(schema["handlers"])


def test_what_is_taken_in_has_its_name_as_a_text_and_is_kept_and_nothing_else_changes() -> None:
    before, after = (set_of(compose(Config(imports=taken))) for taken in ({}, SHOP))
    for file, template in after.items():
        for title, resource in template["Resources"].items():
            path = f"WebFoundation/{title}" if file == "web-foundation.yaml" else ""
            if path in SHOP:
                named = NAMED[resource["Type"]].property
                assert resource["Properties"].pop(named) == SHOP[path]
                assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
                old = before[file]["Resources"][title]
                assert resource["Properties"] == old["Properties"]
            elif resource["Type"] != "AWS::CloudFormation::Stack":
                assert resource == before[file]["Resources"][title]


@pytest.mark.parametrize("config", [Config(), EVERYTHING], ids=["the default", "everything"])
def test_all_that_is_said_to_be_importable_is(config: Config) -> None:
    there = importable(compose(config))
    names = {"table": "orders", "repository": "shop/web", "log group": "/shop", "bucket": "shop-logs"}
    taken = {path: names[what] for path, what in there.items() if what in names}
    wanted = imported(stack := compose(replace(config, imports=taken)), taken)
    assert [each.path for each in wanted] == [*taken]
    assert all(each.properties[NAMED[each.type].property] == each.name for each in wanted)
    assert "Ref" not in json.dumps([each.properties for each in wanted])
    assert set_of(stack)


@pytest.mark.parametrize(
    ("path", "name", "words"),
    [
        ("WebFoundation/Nope", "x", "the set has no resource of that path; it can take in Cluster/Cluster, WebF"),
        ("Repository", "x", "the set has no resource of that path"),
        ("WebFoundation", "x", "the set has no resource of that path"),
        ("Network/Vpc", "vpc-1", 'AWS::EC2::VPC cannot be taken in, .* network.kind = "existing"'),
        ("LoadBalancer/LoadBalancer", "web", 'use it where it is: load_balancer.kind = "existing"'),
        ("WebFoundation/TargetGroup", "web", "leave it out, and the set makes its own"),
        ("WebFoundation/Repository", "Shop", "got 'Shop'; the name of a repository is 2 to 256 small letters"),
        ("WebFoundation/Logs", "a:b", "got 'a:b'; the name of a log group is up to 512 letters"),
        ("Cluster/Cluster", "main", "the config gives it no name; a cluster is named by cluster.name"),
    ],
)
def test_what_cannot_be_taken_in_is_refused_in_one_sentence(path: str, name: str, words: str) -> None:
    with pytest.raises(SetError, match=rf"imports\.{path}: .*{words}"):
        compose(Config(imports={path: name}))


def test_a_cluster_is_taken_in_under_the_name_that_the_config_gives_it() -> None:
    config = Config(cluster=Cluster(name="main"), imports={"Cluster/Cluster": "main"})
    cluster = set_of(compose(config))["cluster.yaml"]["Resources"]["Cluster"]
    assert (cluster["Properties"]["ClusterName"], cluster["DeletionPolicy"]) == ("main", "Retain")
    with pytest.raises(SetError, match="by the config it is other"):
        compose(replace(config, cluster=Cluster(name="other")))


def test_policies_reach_what_is_taken_in_and_no_more() -> None:
    config = Config(imports=SHOP)
    wanted = imported(stack := compose(config), SHOP)
    scope = Scope("web", "bucket", "123456789012", "eu-west-1", imported=arns(wanted))
    templates = set_of(stack)
    for statements in (service_role(templates, scope), deployer(templates, scope), imports(wanted, scope)):
        resources = {one for statement in plain(statements) for one in statement["Resource"]}
        assert "arn:aws:ecr:eu-west-1:123456789012:repository/shop/web" in resources
        assert any("log-group:/ecs/shop" in one for one in resources)
    actions = {action for statement in plain(imports(wanted, scope)) for action in statement["Action"]}
    assert "cloudformation:GetResource" in actions
    verbs = ("Get", "Describe", "List")
    assert all(action.partition(":")[2].startswith(verbs) for action in actions)
    everything = compose(EVERYTHING)
    assert not arns(imported(everything, EVERYTHING.imports))

"""What a company asks of every set: names and policies of roles, tags, what groups let out, logs of buckets."""

from __future__ import annotations

import json
from typing import Any

import pytest

import scaleout_cfn as sc
from scaleout_cfn.config.conflicts import remarks
from scaleout_cfn.deploy.publish import _capabilities
from scaleout_cfn.permissions import grants
from scaleout_cfn.permissions import policies as rendered
from stacks.helpers import PINNED, Templates, att, made, of_type, properties, ref

OWN = {"Fn::Select": [0, {"Fn::Split": ["-", {"Fn::Select": [2, {"Fn::Split": ["/", ref("AWS::StackId")]}]}]}]}
PIPELINE: dict[str, Any] = {
    "nodes": sc.Ec2Capacity(machine_image=PINNED),
    "registry": sc.Registry(mutable_tags=("latest",)),
    "pipeline": sc.RegistryPipeline(),
}


def of_roles(templates: Templates) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (file, title): body
        for file, template in templates.items()
        for title, body in of_type(template, "IAM::Role").items()
    }


def test_roles_profiles_and_policies_have_the_path() -> None:
    templates = made(roles=sc.Roles(path="/teams/shop/", inline_policies=False), network=sc.NewVpc(flow_logs=True))
    for kind in ("IAM::Role", "IAM::InstanceProfile", "IAM::ManagedPolicy"):
        found = [body for template in templates.values() for body in of_type(template, kind).values()]
        assert found
        assert {body["Path"] for body in found} == {"/teams/shop/"}, kind
    assert "/teams/" not in json.dumps(made())


def test_names_of_roles_have_the_prefix_are_short_enough_and_are_no_other_set_s() -> None:
    roles = of_roles(made(roles=sc.Roles(prefix="acme-"), **PIPELINE))
    assert len(roles) > 4
    for (file, title), body in roles.items():
        text, given = body["RoleName"]["Fn::Sub"]
        assert text.startswith("acme-"), (file, title)
        assert text.endswith(f"-{title}-${{Own}}"), (file, title)
        # Eight digits of the stack's id, of which there are not two.
        assert given == {"Own": OWN}
        assert len(text.replace("${Own}", "")) + 8 <= 64
    assert _capabilities(made(roles=sc.Roles(prefix="acme-"))) == ("CAPABILITY_NAMED_IAM",)
    assert _capabilities(made(roles=sc.Roles(path="/a/", inline_policies=False))) == ("CAPABILITY_IAM",)


def test_a_name_of_a_role_that_is_too_long_is_refused_with_the_cure() -> None:
    config = sc.Config(
        roles=sc.Roles(prefix="abcdefghijkl"),
        capacity={"many-letters-of-pool": sc.ManagedCapacity()},
        services={"web": sc.WebService(memory_mib=512)},
    )
    with pytest.raises(sc.SetError, match=r"roles\.prefix: .*InfrastructureRole of Capacity.*64 are allowed.*shorter"):
        sc.compose(config)


def test_managed_policies_say_what_inline_ones_would_and_are_there_before_the_role() -> None:
    inline, managed = of_roles(made(**PIPELINE)), made(roles=sc.Roles(inline_policies=False), **PIPELINE)
    for (file, title), body in of_roles(managed).items():
        assert "Policies" not in body
        policies = [
            managed[file]["Resources"][arn["Ref"]]["Properties"]["PolicyDocument"]["Statement"]
            for arn in body.get("ManagedPolicyArns", [])
        ]
        wanted = [policy["PolicyDocument"]["Statement"] for policy in inline[file, title].get("Policies", [])]
        if title != "DeployRole":
            assert policies == wanted, (file, title)
    for template in managed.values():
        for title, policy in of_type(template, "IAM::ManagedPolicy").items():
            # A Ref of the role to the policy: it is the role that waits.
            assert not {"Roles", "ManagedPolicyName"} & policy.keys(), title


def test_a_pipeline_may_change_the_policies_of_its_service_and_attach_no_others() -> None:
    templates = made(roles=sc.Roles(path="/t/", prefix="acme-", inline_policies=False), **PIPELINE)
    statements = {
        statement["Sid"]: statement
        for policy in of_type(templates["web-pipeline.yaml"], "IAM::ManagedPolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
    }
    own = statements["OwnPolicies"]["Resource"]
    assert [text for text, _ in (arn["Fn::Sub"] for arn in own)] == [
        "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/t/${Prefix}*"
    ]
    (role,) = statements["Roles"]["Resource"]
    assert role["Fn::Sub"][0] == "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/t/${Prefix}*"
    assert role["Fn::Sub"][1] == {"Prefix": "acme-WebService-"}
    assert statements["AttachOwnPolicies"]["Condition"]["ArnLike"] == {"iam:PolicyARN": own}


def test_tags_that_are_asked_for_have_to_be_there() -> None:
    assert sc.compose(sc.Config(required_tags=("team",), tags={"team": "shop", "more": "x"}))
    with pytest.raises(sc.ConfigError, match=r'tags: has no cost and no team.*tags = \{"cost" = "\.\.\.", "team"'):
        sc.compose(sc.Config(required_tags=("cost", "team"), tags={"Team": "shop"}))


@pytest.mark.parametrize("ipv6", [False, True])
def test_every_group_says_what_it_lets_out(ipv6: bool) -> None:
    network = sc.NewVpc(cidr="10.7.0.0/16", ipv6=ipv6, explicit_egress=True)
    templates = made(network=network, service=sc.WebService(network_mode="awsvpc"), scaling=sc.Scaling(max_tasks=5))
    groups = [group for template in templates.values() for group in of_type(template, "EC2::SecurityGroup").values()]
    assert len(groups) == 3
    to = [[rule.get("CidrIp") or rule["CidrIpv6"] for rule in group["SecurityGroupEgress"]] for group in groups]
    others = ["10.7.0.0/16", "0.0.0.0/0", *(["::/0"] if ipv6 else [])]
    assert sorted(to) == sorted([["255.255.255.255/32"], others, others])
    ports = {
        (rule.get("CidrIp") or rule["CidrIpv6"], rule["FromPort"], rule["ToPort"])
        for group in groups
        for rule in group["SecurityGroupEgress"]
        if rule["IpProtocol"] == "tcp"
    }
    assert ports - {("10.7.0.0/16", 0, 65535)} == {(there, 443, 443) for there in others[1:]}


def test_what_is_asked_of_buckets_is_logged_to_one_that_outlives_the_stack() -> None:
    templates = made(
        observability=sc.Observability(bucket_logs=True, log_retention_days=90),
        load_balancer=sc.NewLoadBalancer(access_logs=True),
        encryption=sc.OwnKey(),
        **PIPELINE,
    )
    for file, title in (("load-balancer", "AccessLogs"), ("web-pipeline", "Artifacts")):
        logging = properties(templates, file, title)["LoggingConfiguration"]
        assert logging == {
            "DestinationBucketName": ref("BucketLogs"),
            "LogFilePrefix": {"Fn::Sub": "${AWS::StackName}/"},
        }
        wire = properties(templates, "root", "".join(word.capitalize() for word in file.split("-")))["Parameters"]
        assert wire["BucketLogs"] == att("BucketLogs", "Outputs.Bucket")
    bucket = templates["bucket-logs.yaml"]["Resources"]["Logs"]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    # S3 delivers to no bucket under a key, and a log of itself has no end.
    assert "aws:kms" not in json.dumps(bucket)
    assert "LoggingConfiguration" not in bucket["Properties"]
    deliver, tls = properties(templates, "bucket-logs", "LogsPolicy")["PolicyDocument"]["Statement"]
    assert deliver["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert deliver["Condition"] == {"StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}}
    assert (tls["Sid"], tls["Effect"]) == ("TlsOnly", "Deny")


@pytest.mark.parametrize(
    ("path", "said"),
    [("", "a path is / at least"), ("teams", "/teams/"), ("/a b/", "between slashes"), ("/" + "x" * 600 + "/", "602")],
)
def test_a_path_that_iam_does_not_take_is_refused_in_words(path: str, said: str) -> None:
    with pytest.raises(sc.ConfigError, match=r"roles\.path") as refused:
        sc.compose(sc.Config(roles=sc.Roles(path=path)))
    assert said in str(refused.value)


def test_names_that_a_company_insists_on_are_given_told_of_and_allowed() -> None:
    config = sc.Config(cluster=sc.Cluster(name="acme"), services={"web": sc.WebService(service_name="shop")})
    assert properties(made(config), "cluster", "Cluster")["ClusterName"] == "acme"
    assert properties(made(config), "web-service", "Service")["ServiceName"] == "shop"
    told = {remark.key: remark.what for remark in remarks(config)}
    assert told.keys() == {"cluster.name", "services.web.service_name"}
    assert all("a second set with it collides" in what for what in told.values())
    assert "ClusterName" not in properties(made(), "cluster", "Cluster")
    assert "ServiceName" not in properties(made(), "web-service", "Service")
    scope = grants.Scope("web", "b", "123456789012", "eu-west-1", cluster="acme")
    arns = {arn for one in grants.plain(rendered.commands({}, scope)) for arn in one["Resource"]}
    assert {"arn:aws:ecs:eu-west-1:123456789012:cluster/acme*", "arn:aws:ecs:eu-west-1:123456789012:task/acme*"} <= arns
    named = made(cluster=sc.Cluster(name="acme"), **PIPELINE)
    role = properties(named, "web-pipeline", "DeployRole")["Policies"]
    ecs = [one for policy in role for one in policy["PolicyDocument"]["Statement"] if one["Sid"] == "Ecs"]
    assert "service/acme*" in json.dumps(ecs)


def test_two_services_of_one_name_are_refused() -> None:
    both: dict[str, Any] = {
        "web": sc.WebService(service_name="shop", memory_mib=128),
        "mailer": sc.WorkerService(service_name="shop", memory_mib=128),
    }
    with pytest.raises(sc.ConfigError, match=r"services\.web\.service_name: shop is that of services\.mailer"):
        sc.compose(sc.Config(services=both))

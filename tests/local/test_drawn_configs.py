"""Whatever is asked for together: the emulator makes it, gives it its images, and deletes it."""

from __future__ import annotations

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from strategies import BALANCER, CLIENT_SECRET, PINNED, PINNED_GPU, WEB_ACL, ZONE, configs

import scaleout_cfn as sc
from scaleout_cfn.config.units import units
from scaleout_cfn.local import Emulator

from . import helpers
from .helpers import Account

DIGEST = "@sha256:" + "1" * 64
replace = msgspec.structs.replace


@settings(
    max_examples=6,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(configs())
def test_a_drawn_set_is_made_without_images_gets_them_and_is_deleted(emulator: Emulator, config: sc.Config) -> None:
    lives(Account(emulator), config)


def lives(account: Account, config: sc.Config) -> None:
    """The first deployment, the one with images, and the end of a set."""
    config = unprotected(config)
    files = sc.render(sc.compose(config))
    # What is there already in the samples is in this account by other names.
    for sample, there in given_things(account).items():
        files = {name: text.replace(sample, there) for name, text in files.items()}
    url = helpers.upload(account, files)
    values = {"TemplatesUrl": url}
    if isinstance(config.network, sc.ExistingVpc):
        values |= network(account, config)
    images = {unit.image_parameter: "" for unit in units(config)}
    stack = helpers.deploy(account, "set", f"{url}/root.yaml", values | images, kind="CREATE")
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(account)

    images = dict.fromkeys(images, f"{account.number}.dkr.ecr.us-east-1.amazonaws.com/app{DIGEST}")
    change = helpers.change_set(account, "set", f"{url}/root.yaml", values | images)
    assert helpers.execute(account, change)["StackStatus"] == "UPDATE_COMPLETE", helpers.failures(account)

    assert helpers.delete(account, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE", helpers.failures(account)


def unprotected(config: sc.Config) -> sc.Config:
    """The same, as it can be where it is made and, in the end, deleted."""
    balancer, there = config.load_balancer, config.network
    if isinstance(balancer, sc.NewLoadBalancer):
        balancer = replace(balancer, deletion_protection=False)
    if isinstance(there, sc.NewVpc):
        there = replace(there, zones=min(there.zones, 3))  # as many as the emulator's region has
    attachments = {
        name: replace(section, deletion_protection=False) if hasattr(section, "deletion_protection") else section
        for name, section in config.attachments.items()
    }
    return replace(config, load_balancer=balancer, network=there, attachments=attachments)


def given_things(account: Account) -> dict[str, str]:
    """What the samples take for there, by what it is called in them, once it is in the account."""
    zone = account.client("route53").create_hosted_zone(Name="example.com", CallerReference="tests")["HostedZone"]["Id"]
    account.client("ssm").put_parameter(Name="/images/pinned", Value="ami-0123456789abcdef0", Type="String")
    secret = account.client("secretsmanager").create_secret(Name="shop/oidc", SecretString='{"secret": "hush"}')["ARN"]
    ec2, elb = account.client("ec2"), account.client("elbv2")
    (vpc,) = {subnet["VpcId"] for subnet in ec2.describe_subnets()["Subnets"]}
    group = ec2.create_security_group(GroupName="shared", Description="shared", VpcId=vpc)["GroupId"]
    acl = account.client("wafv2").create_web_acl(
        Name="shop",
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        VisibilityConfig={"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "shop"},
    )["Summary"]["ARN"]
    (balancer,) = elb.create_load_balancer(Name="shared", Subnets=subnets(account))["LoadBalancers"]
    answer = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    (listener,) = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[answer]
    )["Listeners"]
    nodes = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][-3:]
    return {
        **dict(zip(("subnet-0c1b2c3d", "subnet-0d1b2c3d", "subnet-0e1b2c3d"), nodes, strict=True)),
        "sg-0123456789abcdef0": group,
        CLIENT_SECRET: secret,
        WEB_ACL.format("eu-central-1", "regional"): acl,
        PINNED: "/images/pinned",
        PINNED_GPU: "/images/pinned",
        ZONE: zone.rpartition("/")[2],
        BALANCER.format("listener") + "/1122334455667788": listener["ListenerArn"],
        BALANCER.format("loadbalancer"): balancer["LoadBalancerArn"],
    }


def network(account: Account, config: sc.Config) -> dict[str, str]:
    """The parameters of a network that is there."""
    named = subnets(account)
    (subnet,) = account.client("ec2").describe_subnets(SubnetIds=named[:1])["Subnets"]
    values = {"VpcId": subnet["VpcId"], "NodeSubnets": ",".join(named)}
    if isinstance(config.load_balancer, sc.NewLoadBalancer) and any(unit.is_web for unit in units(config)):
        values["LoadBalancerSubnets"] = ",".join(named)
    return values


def subnets(account: Account) -> list[str]:
    """Two of the default VPC."""
    there = account.client("ec2").describe_subnets()["Subnets"]
    return [subnet["SubnetId"] for subnet in there][:2]

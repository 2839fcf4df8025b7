"""Several services on pools of several kinds: who reaches whom, what runs where, and who gets which request."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scaleout_cfn as sc
from stacks.helpers import CERTIFICATE, att, made, of_type, properties, ref, references

POOLS: dict[str, Any] = {
    "nodes": sc.Ec2Capacity(max_nodes=12),
    "air": sc.FargateCapacity(spot_percent=70, on_demand_base=1),
    "looked-after": sc.ManagedCapacity(architecture="arm64", option="spot", repair=False, instance_types=("m7g.*",)),
}
SERVICES: dict[str, Any] = {
    "web": sc.WebService(capacity="nodes"),
    "shop": sc.WebService(
        capacity="air", memory_mib=512, reaches=("api",), route=sc.Route(hosts=("shop.example.com",), paths=("/a/*",))
    ),
    "api": sc.InternalService(capacity="looked-after", container_port=9000),
    "mailer": sc.WorkerService(capacity="air", memory_mib=512, image_of="web", command=("python", "-m", "mailer")),
}
SET = sc.Config(capacity=POOLS, services=SERVICES)


def test_each_service_has_a_foundation_and_a_stack_that_is_there_while_it_has_an_image() -> None:
    root = made(SET)["root.yaml"]
    assert {name for name in root["Parameters"] if name.endswith("ImageUri")} == {
        *("ApiImageUri", "ShopImageUri", "WebImageUri")
    }
    conditions = {title: body.get("Condition") for title, body in root["Resources"].items() if "Service" in title}
    assert conditions == {
        "ApiService": "HasApiImage",
        "ShopService": "HasShopImage",
        "WebService": "HasWebImage",
        # The same image by another command: one parameter, and one repository.
        "MailerService": "HasWebImage",
    }
    assert properties(made(SET), "root", "MailerService")["Parameters"]["ImageUri"] == ref("WebImageUri")
    assert properties(made(SET), "root", "MailerService")["Parameters"]["RepositoryArn"] == att(
        "WebFoundation", "Outputs.RepositoryArn"
    )
    assert "Repository" not in made(SET)["mailer-foundation.yaml"]["Resources"]
    (container,) = properties(made(SET), "mailer-service", "TaskDefinition")["ContainerDefinitions"]
    assert container["Command"] == ["python", "-m", "mailer"]
    assert "PortMappings" not in container


def test_nothing_takes_an_output_of_a_service_s_stack() -> None:
    root = made(SET)["root.yaml"]
    taken = [body["Properties"] for body in root["Resources"].values()]
    assert not {name for name in references([taken, root["Outputs"]]) if name.endswith("Service")}


def test_who_reaches_a_service_is_made_after_it_and_those_in_a_circle_side_by_side() -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect-concepts-deploy.html"""
    root = made(SET)["root.yaml"]["Resources"]
    after = {title: body["Metadata"] for title, body in root.items() if "Metadata" in body}
    assert after == {"ShopService": {"After": [{"Fn::If": ["HasApiImage", ref("ApiService"), ""]}]}}
    scaling = sc.Scaling(max_tasks=3)
    circle = {
        "a": sc.InternalService(reaches=("b",), scaling=scaling),
        "b": sc.InternalService(reaches=("a", "c"), scaling=scaling),
        "c": sc.InternalService(scaling=scaling),
    }
    nodes = {"nodes": sc.Ec2Capacity(max_nodes=20)}
    root = made(sc.Config(services=circle, capacity=nodes))["root.yaml"]["Resources"]
    after = {title: list(references(body["Metadata"])) for title, body in root.items() if "Metadata" in body}
    assert after == {"BService": ["CService"]}


def test_tasks_are_new_when_one_that_they_reach_has_come() -> None:
    """A task resolves only the endpoints that were there when it started; the page is the same.

    What it says of them changes neither with their image nor with anything else of theirs.
    """
    given = properties(made(SET), "root", "ShopService")["Parameters"]["Reached"]
    assert given == {"Fn::Join": [",", [{"Fn::If": ["HasApiImage", "api", "-"]}]]}
    (container,) = properties(made(SET), "shop-service", "TaskDefinition")["ContainerDefinitions"]
    assert container["DockerLabels"] == {"reaches": ref("Reached")}
    same_image: dict[str, sc.WebService | sc.InternalService] = {
        "web": sc.WebService(reaches=("api",), image_of="api", memory_mib=512),
        "api": sc.InternalService(memory_mib=512),
    }
    with_it = made(sc.Config(services=same_image, capacity={"tasks": sc.FargateCapacity()}))
    assert properties(with_it, "root", "WebService")["Parameters"]["Reached"] == {"Fn::Join": [",", ["api"]]}
    alone = properties(made(SET), "api-service", "TaskDefinition")["ContainerDefinitions"]
    assert "DockerLabels" not in alone[0]


def test_a_service_runs_on_the_pool_that_it_names() -> None:
    strategies = {
        name: properties(made(SET), f"{name}-service", "Service")["CapacityProviderStrategy"] for name in SERVICES
    }
    shares = [
        {"CapacityProvider": "FARGATE", "Weight": 30, "Base": 1},
        {"CapacityProvider": "FARGATE_SPOT", "Weight": 70},
    ]
    of_pool = [{"CapacityProvider": ref("CapacityProvider"), "Weight": 1}]
    assert strategies == {"web": of_pool, "shop": shares, "api": of_pool, "mailer": shares}
    given = {
        name: properties(made(SET), "root", f"{name.capitalize()}Service")["Parameters"].get("CapacityProvider")
        for name in SERVICES
    }
    assert given == {
        "web": att("Capacity", "Outputs.NodesCapacityProvider"),
        "api": att("Capacity", "Outputs.LookedAfterCapacityProvider"),
        "shop": None,
        "mailer": None,
    }


@pytest.mark.parametrize(
    ("name", "compatible", "cpu"),
    [("web", "EC2", None), ("shop", "FARGATE", "256"), ("api", "MANAGED_INSTANCES", "256")],
)
def test_a_task_says_what_it_can_run_on_and_its_size_where_there_are_no_nodes_of_ours(
    name: str, compatible: str, cpu: str | None
) -> None:
    definition = properties(made(SET), f"{name}-service", "TaskDefinition")
    assert definition["RequiresCompatibilities"] == [compatible]
    assert definition.get("Cpu") == cpu
    architecture = {"web": None, "shop": "X86_64", "api": "ARM64"}[name]
    assert definition.get("RuntimePlatform", {}).get("CpuArchitecture") == architecture
    running = properties(made(SET), f"{name}-service", "Service")
    # What places tasks on nodes of ours; elsewhere AWS does.
    assert ("PlacementStrategies" in running) == (name == "web")


def test_on_a_share_of_nothing_or_all_fargate_has_one_provider() -> None:
    for spot, base, expected in (
        (0, 0, [{"CapacityProvider": "FARGATE", "Weight": 100}]),
        (100, 0, [{"CapacityProvider": "FARGATE_SPOT", "Weight": 100}]),
        (100, 2, [
            {"CapacityProvider": "FARGATE", "Weight": 0, "Base": 2},
            {"CapacityProvider": "FARGATE_SPOT", "Weight": 100},
        ]),
    ):  # fmt: skip
        config = sc.Config(
            capacity={"air": sc.FargateCapacity(spot_percent=spot, on_demand_base=base)},
            services={"web": sc.WebService(memory_mib=512)},
        )
        assert properties(made(config), "web-service", "Service")["CapacityProviderStrategy"] == expected
        assert not of_type(made(config)["capacity.yaml"], "AutoScaling::AutoScalingGroup")


def test_a_cluster_lists_its_groups_and_fargate_and_not_the_providers_that_belong_to_it() -> None:
    association = properties(made(SET), "capacity", "CapacityProviderAssociation")
    assert association["CapacityProviders"] == [ref("NodesCapacityProvider"), "FARGATE", "FARGATE_SPOT"]
    provider = properties(made(SET), "capacity", "LookedAfterCapacityProvider")
    assert provider["ClusterName"] == ref("ClusterName")
    managed = provider["ManagedInstancesProvider"]
    launch = managed["InstanceLaunchTemplate"]
    assert launch["CapacityOptionType"] == "SPOT"
    assert launch["InstanceRequirements"]["CpuManufacturers"] == ["amazon-web-services"]
    assert launch["InstanceRequirements"]["AllowedInstanceTypes"] == ["m7g.*"]
    assert managed["AutoRepairConfiguration"] == {"ActionsStatus": "DISABLED"}
    assert managed["InfrastructureRoleArn"] == att("LookedAfterInfrastructureRole", "Arn")
    passing = properties(made(SET), "capacity", "LookedAfterInfrastructureRole")["Policies"][0]["PolicyDocument"]
    assert passing["Statement"][0]["Resource"] == [att("LookedAfterInstanceRole", "Arn")]


def test_an_internal_service_is_reached_by_its_name_and_by_those_that_name_it() -> None:
    connect = properties(made(SET), "api-service", "Service")["ServiceConnectConfiguration"]
    assert connect["Services"] == [{"PortName": "api", "ClientAliases": [{"Port": 9000, "DnsName": "api"}]}]
    (container,) = properties(made(SET), "api-service", "TaskDefinition")["ContainerDefinitions"]
    assert container["PortMappings"] == [{"ContainerPort": 9000, "Protocol": "tcp", "Name": "api"}]
    client = properties(made(SET), "shop-service", "Service")["ServiceConnectConfiguration"]
    assert client == {"Enabled": True, "Namespace": ref("Namespace")}
    # Nobody is let in by the service itself; who reaches it lets himself in.
    assert "SecurityGroupIngress" not in properties(made(SET), "api-foundation", "SecurityGroup")
    ingress = {
        (file, title): rule
        for file, template in made(SET).items()
        for title, rule in of_type(template, "EC2::SecurityGroupIngress").items()
    }
    assert set(ingress) == {("shop-service.yaml", "ReachApi")}
    (rule,) = ingress.values()
    assert (rule["GroupId"], rule["SourceSecurityGroupId"]) == (ref("ApiReachedGroup"), ref("SecurityGroup"))
    assert (rule["FromPort"], rule["ToPort"]) == (9000, 9000)
    wired = properties(made(SET), "root", "ShopService")["Parameters"]
    assert wired["ApiReachedGroup"] == att("ApiFoundation", "Outputs.SecurityGroup")
    for name in ("web", "mailer"):
        assert "ServiceConnectConfiguration" not in properties(made(SET), f"{name}-service", "Service")
    assert "namespace.yaml" not in made()


def test_the_balancer_reaches_only_services_behind_it_on_their_ports() -> None:
    outward = {
        (file, title): rule
        for file, template in made(SET).items()
        for title, rule in of_type(template, "EC2::SecurityGroupEgress").items()
    }
    assert set(outward) == {
        ("capacity.yaml", "NodesLoadBalancerEgress"),
        ("shop-foundation.yaml", "LoadBalancerEgress"),
    }
    assert outward["shop-foundation.yaml", "LoadBalancerEgress"]["FromPort"] == 8080
    for name in ("api", "mailer"):
        assert "LoadBalancerSecurityGroup" not in made(SET)[f"{name}-foundation.yaml"]["Parameters"]


def test_the_balancer_reaches_the_nodes_of_those_pools_alone_that_have_targets_under_bridge() -> None:
    config = sc.Config(
        network=sc.NewVpc(egress="single-nat"),
        capacity={name: sc.Ec2Capacity(instance_types=("m5.large",)) for name in ("nodes", "more", "own")},
        services={
            "web": sc.WebService(capacity="nodes"),
            "mailer": sc.WorkerService(capacity="more"),
            "shop": sc.WebService(
                capacity="own",
                network_mode="awsvpc",
                route=sc.Route(paths=("/a/*",)),
                scaling=sc.Scaling(max_tasks=4),
            ),
        },
    )
    assert list(of_type(made(config)["capacity.yaml"], "EC2::SecurityGroupEgress")) == ["NodesLoadBalancerEgress"]


def test_a_service_has_a_rule_of_its_own_also_the_one_that_gets_everything() -> None:
    rules = {name: properties(made(SET), f"{name}-foundation", "Rule") for name in ("web", "shop")}
    assert rules["web"]["Conditions"] == [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}]
    assert rules["web"]["Priority"] == 50000
    assert rules["shop"]["Conditions"] == [
        {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a/*"]}},
        {"Field": "host-header", "HostHeaderConfig": {"Values": ["shop.example.com"]}},
    ]
    assert 1 < rules["shop"]["Priority"] < 50000
    for rule in rules.values():
        assert rule["Actions"] == [{"Type": "forward", "TargetGroupArn": ref("TargetGroup")}]
        assert rule["ListenerArn"] == ref("Listener")


def test_headers_and_query_parameters_are_asked_for_by_name() -> None:
    route = sc.Route(headers={"X-Beta": "yes*"}, query={"v": "2"}, priority=7)
    rule = properties(made(service=sc.WebService(route=route)), "web-foundation", "Rule")
    assert rule["Priority"] == 7
    assert rule["Conditions"] == [
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Beta", "Values": ["yes*"]}},
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "2"}]}},
    ]


def test_a_host_has_a_certificate_of_its_own_beside_the_listener_s() -> None:
    listener = sc.Domain(domain_name="www.example.com", hosted_zone_id="Z0123456789")
    given = sc.Route(hosts=("a.example.com",), certificate_arn=CERTIFICATE)
    asked = sc.Route(hosts=("b.example.com", "c.example.com"), hosted_zone_id="Z0123456789")
    templates = made(
        sc.Config(
            load_balancer=sc.NewLoadBalancer(listener=listener),
            services={
                "a": sc.WebService(route=given, scaling=sc.Scaling(max_tasks=5)),
                "b": sc.WebService(route=asked, scaling=sc.Scaling(max_tasks=5)),
            },
        )
    )
    beside = properties(templates, "a-foundation", "HostCertificate")
    assert beside == {"ListenerArn": ref("Listener"), "Certificates": [{"CertificateArn": CERTIFICATE}]}
    assert "Certificate" not in templates["a-foundation.yaml"]["Resources"]
    certificate = properties(templates, "b-foundation", "Certificate")
    assert (certificate["DomainName"], certificate["SubjectAlternativeNames"]) == ("b.example.com", ["c.example.com"])
    made_one = properties(templates, "b-foundation", "HostCertificate")["Certificates"]
    assert made_one == [{"CertificateArn": ref("Certificate")}]
    records = of_type(templates["b-foundation.yaml"], "Route53::RecordSet")
    assert {record["Name"] for record in records.values()} == {"b.example.com", "c.example.com"}
    urls = {name: output["Value"] for name, output in templates["root.yaml"]["Outputs"].items() if "Url" in name}
    assert (urls["AUrl"], urls["BUrl"]) == ("https://a.example.com", "https://b.example.com")


HOSTS = st.lists(st.sampled_from([f"{letter}.example.com" for letter in "abcde"]), min_size=1, max_size=4, unique=True)


@given(lists=st.lists(HOSTS, min_size=2, max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_host_keeps_its_record_whichever_hosts_come_go_or_stand_before_it(lists: list[list[str]]) -> None:
    """CloudFormation makes what is new before it deletes: a name that moved to another logical id would be refused."""
    listener = sc.Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789")
    whose: dict[str, tuple[str, str]] = {}
    for hosts in lists:
        route = sc.Route(hosts=tuple(hosts), hosted_zone_id="Z0123456789")
        service = sc.WebService(route=route)
        made_ones = made(
            load_balancer=sc.NewLoadBalancer(listener=listener), network=sc.NewVpc(ipv6=True), service=service
        )
        records = of_type(made_ones["web-foundation.yaml"], "Route53::RecordSet")
        for title, record in records.items():
            what = (record["Name"], record["Type"])
            assert whose.setdefault(title, what) == what
        assert len(records) == 2 * len(hosts)


OF_BALANCER = att("LoadBalancer", "Outputs.Url")


@pytest.mark.parametrize(
    ("route", "url"),
    [
        (sc.Route(), OF_BALANCER),
        (sc.Route(paths=("/*",)), OF_BALANCER),
        (sc.Route(paths=("/api/*",)), {"Fn::Sub": "${LoadBalancer.Outputs.Url}/api/"}),
        (sc.Route(paths=("/v2/*", "/v1")), {"Fn::Sub": "${LoadBalancer.Outputs.Url}/v2/"}),
        (sc.Route(hosts=("*.example.com", "a.example.com")), "http://a.example.com"),
        (sc.Route(hosts=("a.example.com",), paths=("/api",)), "http://a.example.com/api"),
        (sc.Route(hosts=("*.example.com",)), OF_BALANCER),
    ],
)
def test_a_service_s_url_has_its_first_whole_host_and_its_first_path(route: sc.Route, url: object) -> None:
    outputs = made(service=sc.WebService(route=route))["root.yaml"]["Outputs"]
    assert outputs["WebUrl"]["Value"] == url


def test_maintenance_is_a_rule_before_all_others() -> None:
    templates = made(load_balancer=sc.NewLoadBalancer(maintenance=True))
    rule = properties(templates, "maintenance", "Maintenance")
    assert rule["Priority"] == 1
    (action,) = rule["Actions"]
    page = action["FixedResponseConfig"]
    assert (page["StatusCode"], page["ContentType"]) == ("503", "text/html")
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_FixedResponseActionConfig.html
    assert len(page["MessageBody"]) <= 1024
    assert "maintenance.yaml" not in made()


def test_a_set_without_a_web_service_has_no_load_balancer() -> None:
    templates = made(sc.Config(services={"mailer": sc.WorkerService()}))
    assert "load-balancer.yaml" not in templates
    assert not {name for name in templates["root.yaml"]["Outputs"] if name == "MailerUrl"}
    assert not of_type(templates["mailer-foundation.yaml"], "ElasticLoadBalancingV2::TargetGroup")


def test_a_balancer_that_is_there_gets_rules_and_nothing_else() -> None:
    arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:{}/app/shared/0a1b2c3d"
    balancer = sc.ExistingLoadBalancer(
        load_balancer_arn=arn.format("loadbalancer"),
        listener_arn=arn.format("listener") + "/4e5f6a7b",
        security_group_id="sg-0a1b2c3d",
        url="https://www.example.com",
    )
    config = sc.Config(
        load_balancer=balancer,
        network=sc.ExistingVpc(),
        services={"web": sc.WebService(route=sc.Route(paths=("/shop/*",)))},
    )
    templates = made(config)
    assert "load-balancer.yaml" not in templates
    wires = properties(templates, "root", "WebFoundation")["Parameters"]
    assert wires["Listener"] == balancer.listener_arn
    assert wires["LoadBalancerName"] == "app/shared/0a1b2c3d"
    assert templates["root.yaml"]["Outputs"]["WebUrl"]["Value"] == "https://www.example.com/shop/"
    # Sets that share it do not share priorities: theirs are made of their names, too.
    another = made(msgspec.structs.replace(config, stack_name="b"))
    other = properties(another, "web-foundation", "Rule")
    assert other["Priority"] != properties(templates, "web-foundation", "Rule")["Priority"]


def test_an_image_that_is_given_has_no_repository_and_is_pulled_from_its_own_alone() -> None:
    uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/web:v1"
    templates = made(service=sc.WebService(image_uri=uri))
    assert "Repository" not in templates["web-foundation.yaml"]["Resources"]
    pull = properties(templates, "web-service", "ExecutionRole")["Policies"][0]["PolicyDocument"]["Statement"]
    assert [statement["Resource"] for statement in pull] == [
        ["*"],
        ["arn:aws:ecr:eu-west-1:123456789012:repository/team/web"],
    ]
    public = made(service=sc.WebService(image_uri="public.ecr.aws/nginx/nginx:1.27"))
    names = [policy["PolicyName"] for policy in properties(public, "web-service", "ExecutionRole")["Policies"]]
    assert names == ["write-logs"]
    assert "WebRepositoryUri" not in public["root.yaml"]["Outputs"]


@pytest.mark.parametrize(("number", "letters"), [(16, 6), (13, 20)])
def test_a_root_has_room_for_as_many_web_services_as_the_page_says(number: int, letters: int) -> None:
    page = (Path(__file__).parents[2] / "docs" / "services.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{number} web services\b", " ".join(page.split()))
    names = [f"{chr(ord('a') + at) * 2:s>{letters}}" for at in range(number)]
    config = sc.Config(
        capacity={"nodes": sc.Ec2Capacity(instance_types=("m7i.4xlarge",), max_nodes=20)},
        services={
            name: sc.WebService(route=sc.Route(paths=(f"/{name}/*",)), scaling=sc.Scaling(max_tasks=4))
            for name in names
        },
    )
    assert sc.render(sc.compose(config))


STOOD_IN_FOR = sc.WebService(
    capacity="nodes",
    memory_mib=512,
    scaling=sc.Scaling(max_tasks=6),
    stand_in=sc.StandIn(capacity="air", tasks=4),
)
TWO_POOLS: dict[str, Any] = {"nodes": sc.Ec2Capacity(), "air": sc.FargateCapacity()}


def test_a_stand_in_has_a_target_group_of_its_own_and_gets_all_requests_or_none() -> None:
    for serves, weights in ((False, [1, 0]), (True, [0, 1])):
        stood = msgspec.structs.replace(STOOD_IN_FOR, stand_in=sc.StandIn(capacity="air", tasks=4, serves=serves))
        files = made(sc.Config(capacity=TWO_POOLS, services={"web": stood}))
        (action,) = properties(files, "web-foundation", "Rule")["Actions"]
        assert action["ForwardConfig"]["TargetGroups"] == [
            {"TargetGroupArn": ref("TargetGroup"), "Weight": weights[0]},
            {"TargetGroupArn": ref("StandIn"), "Weight": weights[1]},
        ]
        parameters = files["root.yaml"]["Resources"]["WebFoundation"]["Properties"]["Parameters"]
        assert parameters["StandIn"] == att("WebStandInFoundation", "Outputs.TargetGroup")
        assert properties(files, "web-stand-in-foundation", "TargetGroup")["TargetType"] == "ip"
        assert not of_type(files["web-stand-in-foundation.yaml"], "AWS::ElasticLoadBalancingV2::ListenerRule")


def test_a_stand_in_runs_as_many_tasks_as_it_is_told_of_the_same_image_and_is_not_scaled() -> None:
    files = made(sc.Config(capacity=TWO_POOLS, services={"web": STOOD_IN_FOR}))
    stack = files["web-stand-in-service.yaml"]
    assert not of_type(stack, "AWS::ApplicationAutoScaling::ScalableTarget")
    assert properties(files, "web-stand-in-service", "Service")["DesiredCount"] == 4
    nested = files["root.yaml"]["Resources"]["WebStandInService"]
    assert nested["Condition"] == "HasWebImage"
    assert nested["Properties"]["Parameters"]["ImageUri"] == ref("WebImageUri")
    # Its tasks register in its target group once the service's rule names that.
    assert nested["Metadata"]["After"] == [ref("WebFoundation")]
    as_many = msgspec.structs.replace(STOOD_IN_FOR, stand_in=sc.StandIn(capacity="air"))
    files = made(sc.Config(capacity=TWO_POOLS, services={"web": as_many}))
    assert properties(files, "web-stand-in-service", "Service")["DesiredCount"] == 6


def test_a_stand_in_counts_in_its_pool_and_is_refused_where_it_cannot_run() -> None:
    here = msgspec.structs.replace(STOOD_IN_FOR, stand_in=sc.StandIn(tasks=40))
    with pytest.raises(sc.SetError, match=r"services.web.stand_in.tasks: 40 tasks"):
        sc.compose(sc.Config(capacity=TWO_POOLS, services={"web": here}))
    for change, why in (
        (
            {"stand_in": sc.StandIn(capacity="sky")},
            "services.web.stand_in.capacity: got 'sky'; the pools are air, nodes",
        ),
        (
            {"stand_in": sc.StandIn(capacity="air", network_mode="bridge")},
            'services.web.stand_in.network_mode: "bridge" is for EC2 nodes, and air is fargate',
        ),
        (
            {"network_mode": "awsvpc", "stand_in": sc.StandIn(), "health_check": sc.HealthCheck(port=9000)},
            "services.web.stand_in.network_mode: is bridge on nodes, under which health_check.port = 9000 cannot be",
        ),
        (
            {"memory_mib": 300},
            "services.web.memory_mib: for its stand-in: Fargate does not sell 256 CPU units with 300",
        ),
    ):
        services: dict[str, Any] = {"web": msgspec.structs.replace(STOOD_IN_FOR, **change)}
        with pytest.raises(sc.ConfigError, match=re.escape(why)):
            sc.compose(sc.Config(capacity=TWO_POOLS, services=services))
    twice: dict[str, Any] = {"web": STOOD_IN_FOR, "web-stand-in": sc.WorkerService(capacity="nodes")}
    with pytest.raises(sc.ConfigError, match="is called web-stand-in, as a service is; rename that"):
        sc.compose(sc.Config(capacity=TWO_POOLS, services=twice))


def test_a_pipeline_may_bring_the_image_to_what_stands_in_too() -> None:
    pinned = sc.Ec2Capacity(machine_image="/aws/service/ecs/optimized-ami/amazon-linux-2023/1/image_id")
    pools: dict[str, Any] = {**TWO_POOLS, "nodes": pinned}
    pipeline = sc.GitHubPipeline(repository="shop/web")
    services: dict[str, Any] = {"web": msgspec.structs.replace(STOOD_IN_FOR, pipeline=pipeline)}
    assert "WebStandInService" in str(made(sc.Config(capacity=pools, services=services))["web-pipeline.yaml"])

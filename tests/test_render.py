"""From a config to stacks, from stacks to text, from text to files."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from one_service import one_service
from troposphere import Output, Tags, elasticache, s3, ssm
from troposphere.cloudformation import WaitConditionHandle

from scaleout_cfn.composing import compose
from scaleout_cfn.config import Config, ExistingVpc, NewLoadBalancer, Scaling, Schedule
from scaleout_cfn.config.file import load
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.errors import ConfigError, SetError, UsageError, WiringError
from scaleout_cfn.files import templates_in, write
from scaleout_cfn.graph import mermaid
from scaleout_cfn.lint import check_set
from scaleout_cfn.rendering import local_url, render, set_of, texts_of
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks import root
from scaleout_cfn.templates import reading
from scaleout_cfn.values import Flag, Number, SubnetIds, Text, Value

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "templates_out"

#: A config in which dicts and lists have several items, whose order could get lost.
RICH = """
stack_name = "shop"
permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
[tags]
team = "web"
"cost center" = "7"
stage = "prod"
[network]
zones = 3
egress = "endpoints"
ipv6 = true
flow_logs = true
[load_balancer]
access_logs = true
[load_balancer.listener]
kind = "domain"
domain_name = "shop.example.com"
hosted_zone_id = "Z0123456789"
[capacity.nodes]
instance_types = ["m7i.large", "m6i.large", "m5.large"]
max_nodes = 9
[services.web.environment]
ZEBRA = "1"
APPLE = "2"
MANGO = "caf\xe9"
[services.web.secrets]
KEY = "arn:aws:ssm:us-east-1:123456789012:parameter/key"
DB = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
[services.web.tmpfs_mib]
"/tmp" = 16
"/run" = 16
"""


@pytest.fixture(scope="module")
def default_texts() -> dict[str, str]:
    return render(compose())


# --- the committed templates


def test_the_committed_templates_are_what_the_default_config_renders(default_texts: dict[str, str]) -> None:
    committed = {path.name: path.read_bytes() for path in GOLDEN.iterdir()}
    assert committed == {name: text.encode() for name, text in default_texts.items()}, (
        "python -m scaleout_cfn render"
    )  # fmt: skip


def test_the_root_comes_first(default_texts: dict[str, str]) -> None:
    assert next(iter(default_texts)) == "root.yaml"


def test_yaml_and_json_are_the_same_templates(default_texts: dict[str, str]) -> None:
    as_json = render(compose(), format="json")
    assert [Path(name).stem for name in as_json] == [Path(name).stem for name in default_texts]
    for name, text in default_texts.items():
        # The two sets lie beside each other under names of their own.
        read = json.loads(json.dumps(reading.load(text, "a.yaml").body).replace('.yaml"}', '.json"}'))
        assert read == json.loads(as_json[f"{Path(name).stem}.json"]), name


def test_json_is_laid_out_for_people_and_in_their_letters() -> None:
    text = render(compose(Config(tags={"place": "K\xf6ln"})), format="json")["notifications.json"]
    assert '"K\xf6ln"' in text and text.endswith("}\n")
    # A line for each thing, two spaces further in than what holds it.
    lines = text.splitlines()
    depths = [len(line) - len(line.lstrip()) for line in lines]
    assert {abs(deeper - depth) for depth, deeper in pairwise(depths)} == {0, 2}


def test_text_says_what_the_templates_say() -> None:
    templates = set_of(compose())
    for name, text in texts_of(templates).items():
        assert reading.load(text, "a.yaml").body == templates[name]


# --- the same config, the same bytes


def test_rendering_twice_gives_the_same_text(default_texts: dict[str, str]) -> None:
    stack = compose()
    assert render(stack) == render(stack) == default_texts


def test_rendering_other_configs_in_between_changes_nothing(default_texts: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "rich.toml").write_text(RICH, encoding="utf-8")
    render(compose(load(tmp_path / "rich.toml")))
    assert render(compose()) == default_texts


def test_what_is_not_in_the_templates_changes_none_of_them(default_texts: dict[str, str]) -> None:
    # Nor does the way in which a number was written.
    assert render(compose(Config(stack_name="other"))) == default_texts
    assert (
        render(compose(load(overrides=["stack_name=other", "services.web.alarms.error_percent=5.0"]))) == default_texts
    )


def test_composing_changes_no_config() -> None:
    config = Config(tags={"team": "web"})
    before = repr(config)
    compose(config)
    assert repr(config) == before


def test_equal_configs_give_the_same_bytes_whatever_the_order_of_their_keys(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    lines = RICH.strip().splitlines()
    texts = []
    for text in (lines, _with_reversed_tables(lines)):
        path.write_text("\n".join(text), encoding="utf-8")
        texts.append(render(compose(load(path))))
    assert texts[0] == texts[1]


def _with_reversed_tables(lines: list[str]) -> Iterator[str]:
    """The same TOML with the assignments of each table the other way round."""
    table: list[str] = []
    for line in [*lines, "["]:
        if line.startswith("["):
            yield from reversed(table)
            table = []
            if line != "[":
                yield line
        else:
            table.append(line)


def test_another_process_with_another_environment_gives_the_same_bytes(tmp_path: Path) -> None:
    config, elsewhere = tmp_path / "rich.toml", tmp_path / "elsewhere"
    config.write_text(RICH, encoding="utf-8")
    elsewhere.mkdir()
    script = (
        "import json, sys; from pathlib import Path; import scaleout_cfn as sc;"
        "sets = [sc.render(sc.compose(config)) for config in (None, sc.load(Path(sys.argv[1])))];"
        "sys.stdout.buffer.write(json.dumps(sets).encode())"
    )
    environments: list[tuple[dict[str, str], Path]] = [
        ({"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "AWS_REGION": "eu-west-3"}, tmp_path),
        ({"PYTHONHASHSEED": "4242", "TZ": "America/St_Johns", "LANG": "tr_TR.UTF-8", "HOME": "/nowhere"}, elsewhere),
    ]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(config)],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **environment},
            stdout=subprocess.PIPE,
        )
        for environment, folder in environments
    ]
    here = [render(compose()), render(compose(load(config)))]
    for process in running:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        there = json.loads(out)
        assert there == here
        assert [list(one) for one in there] == [list(one) for one in here]


# --- what users change


def test_a_property_changed_on_a_composed_resource_shows_in_the_text_and_stays(default_texts: dict[str, str]) -> None:
    top = compose()
    top.children["LoadBalancer"].template.resources["LoadBalancer"].IpAddressType = "dualstack"
    first = render(top)
    assert "IpAddressType: dualstack" in first["load-balancer.yaml"]
    assert render(top) == first
    assert {name for name in first if first[name] != default_texts[name]} == {"load-balancer.yaml"}


def test_resources_and_outputs_may_be_added_and_taken_away() -> None:
    top = compose()
    network = top.children["Network"]
    handle = network.add(WaitConditionHandle("Handle"))
    network.template.add_output(Output("Handle", Value=handle.ref()))
    del top.children["Notifications"].template.resources["EmailSubscription"]
    texts = render(top)
    body = reading.load(texts["network.yaml"], "a.yaml").body
    assert body["Resources"]["Handle"] == {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    assert body["Outputs"]["Handle"]["Value"] == {"Ref": "Handle"}
    assert "EmailSubscription" not in texts["notifications.yaml"]


def test_a_property_of_the_root_may_be_changed_too() -> None:
    top = compose()
    top.template.parameters["WebScalingMinTasks"].Default = 3
    assert reading.load(render(top)["root.yaml"], "a.yaml").body["Parameters"]["WebScalingMinTasks"]["Default"] == 3


class CacheConfig(Section, frozen=True, kw_only=True):
    """Somebody else's section."""

    nodes: Annotated[int, tunable("Cache nodes.", unit="nodes", ge=1, le=20)] = 1


@dataclass(frozen=True)
class CacheOutputs:
    name: Text


class Nothing(msgspec.Struct, frozen=True):
    """No outputs."""


def cache(stack: Stack, config: CacheConfig, *, subnets: SubnetIds, cache_type: Text) -> CacheOutputs:
    """A cache beside the service."""
    group = stack.add(elasticache.SubnetGroup("SubnetGroup", Description="The cache's.", SubnetIds=subnets))
    cluster = stack.add(
        elasticache.CacheCluster(
            "Cache",
            Engine="memcached",
            CacheNodeType=cache_type,
            NumCacheNodes=config.nodes,
            CacheSubnetGroupName=group.ref(),
        )
    )
    return CacheOutputs(Text(cluster.ref()))


def shop(stack: Stack, config: Config) -> root.Outputs:
    """A shop: our service, and a cache."""
    web = root.build(stack, config)
    for key, kind in QUESTIONS.items():
        stack.ask(key, kind)
    stack.parameter(Text, "owner")
    cache_type = stack.parameter(Text, "cache_type", Default="cache.t4g.small")
    stack.nest("Cache", cache, CacheConfig(nodes=2), subnets=web.node_subnets, cache_type=cache_type)
    return web


#: What our own root does not ask for, and, the last, what it does.
QUESTIONS: dict[str, type[Value]] = {
    "services.web.container_port": Number,
    "capacity.nodes.architecture": Text,
    "network.flow_logs": Flag,
    "services.web.scaling.cpu.target": Number,
    "services.web.scaling.memory.target": Number,
    "services.web.scaling.max_tasks": Number,
}


@pytest.fixture(scope="module")
def shop_texts() -> dict[str, str]:
    return render(compose(Config(), shop))


def test_a_stack_of_ones_own_stands_beside_ours(shop_texts: dict[str, str], default_texts: dict[str, str]) -> None:
    assert set(shop_texts) == {*default_texts, "cache.yaml"}
    nested = reading.load(shop_texts["root.yaml"], "a.yaml").body["Resources"]["Cache"]["Properties"]
    assert nested == {
        "TemplateURL": {"Fn::Sub": "${TemplatesUrl}/cache.yaml"},
        "Parameters": {
            "Subnets": {"Fn::GetAtt": ["Network", "Outputs.NodeSubnets"]},
            "CacheType": {"Ref": "CacheType"},
        },
    }
    body = reading.load(shop_texts["cache.yaml"], "a.yaml").body
    assert body["Description"] == "A cache beside the service."
    assert body["Resources"]["Cache"]["Properties"]["NumCacheNodes"] == 2
    # Ours are as they were, but for the root.
    assert {name for name in default_texts if shop_texts[name] != default_texts[name]} == {"root.yaml"}


def test_what_a_root_asks_for_takes_default_text_and_bounds_from_its_tunable(
    shop_texts: dict[str, str],
) -> None:
    asked = reading.load(shop_texts["root.yaml"], "a.yaml").body["Parameters"]
    assert asked["WebContainerPort"] == {
        "Type": "Number",
        "Description": "The port that the container listens on. (services.web.container_port)",
        "Default": 8080,
        "MinValue": 1,
        "MaxValue": 65535,
    }
    assert asked["NodesArchitecture"]["AllowedValues"] == ["x86_64", "arm64"]
    assert asked["FlowLogs"]["AllowedValues"] == ["true", "false"]
    assert asked["FlowLogs"]["Default"] == "false"
    # Each its own, though their names end alike.
    assert asked["WebScalingCpuTarget"]["Default"] == 40
    assert asked["WebScalingMemoryTarget"]["Default"] == 75
    # Asked for twice, it is one parameter, as it was.
    assert (
        asked["WebScalingMaxTasks"]["MaxValue"]
        == set_of(compose())["root.yaml"]["Parameters"]["WebScalingMaxTasks"]["MaxValue"]
    )
    # No tunable has these.
    assert asked["Owner"] == {"Type": "String", "Description": "A value from another stack of the set."}
    assert asked["CacheType"]["Default"] == "cache.t4g.small"


def prices(stack: Stack, config: Config) -> Nothing:
    """A root that asks for a share."""
    stack.ask("load_balancer.error_percent", Number)
    stack.add(s3.Bucket("Bucket"))
    return Nothing()


def test_bounds_of_a_share_reach_the_parameter() -> None:
    config = Config(load_balancer=NewLoadBalancer(error_percent=2.5))
    asked = set_of(compose(config, prices))["root.yaml"]["Parameters"]["ErrorPercent"]
    assert (asked["Default"], asked["MaxValue"]) == (2.5, 100)
    least = set_of(compose())["root.yaml"]["Parameters"]["WebScalingMinTasks"]
    assert (least["MinValue"], least["MaxValue"]) == (0, 5000)


def wired(stack: Stack, config: Config, *, image_uri: Text, owner: Text = Text("me")) -> Nothing:  # noqa: B008
    """A root that waits for wires."""
    return Nothing()


def returning_nothing(stack: Stack, config: Config) -> None:
    """A root that forgets its outputs."""


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (wired, r"^wired: nobody wires a root, and it takes image_uri, owner; ask for it: stack\.ask\(KEY, KIND\)$"),
        (returning_nothing, r"^a build function returns a frozen dataclass or msgspec\.Struct of values, not None$"),
    ],
)
def test_what_is_no_root_is_refused(build: Any, said: str) -> None:
    with pytest.raises(WiringError, match=said):
        compose(Config(), build)


def tagging(stack: Stack, config: Config) -> Nothing:
    """A root with a resource that brings its own tags."""
    stack.add(s3.Bucket("Bucket", Tags=Tags(team="web")))
    return Nothing()


def test_tags_that_a_resource_brings_are_kept() -> None:
    properties = set_of(compose(Config(), tagging))["root.yaml"]["Resources"]["Bucket"]["Properties"]
    assert {"Key": "team", "Value": "web"} in properties["Tags"]


def parametric(stack: Stack, config: Config) -> Nothing:
    """A root with a resource whose tags are a mapping."""
    stack.add(ssm.Parameter("Parameter", Type="String", Value="1"))
    return Nothing()


def test_resources_whose_tags_are_a_mapping_are_tagged_too() -> None:
    properties = set_of(compose(Config(tags={"team": "web"}), parametric))["root.yaml"]["Resources"]["Parameter"][
        "Properties"
    ]
    assert properties["Tags"]["team"] == "web"


# --- the form of the root


ROOTS = {
    "default": lambda: compose(),
    "existing VPC": lambda: compose(Config(network=ExistingVpc())),
    "shop": lambda: compose(Config(), shop),
}


@pytest.fixture(scope="module", params=ROOTS)
def root_template(request: pytest.FixtureRequest) -> dict[str, Any]:
    return next(iter(set_of(ROOTS[request.param]()).values()))


def test_every_parameter_of_the_root_has_a_group_and_a_label(root_template: dict[str, Any]) -> None:
    form = root_template["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in form["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(root_template["Parameters"])
    assert set(form["ParameterLabels"]) == set(root_template["Parameters"])
    labels = [label["default"] for label in form["ParameterLabels"].values()]
    labels += [group["Label"]["default"] for group in form["ParameterGroups"]]
    assert all(re.fullmatch(r"[A-Z][A-Za-z ]+", label) for label in labels)


def test_what_is_asked_for_stands_together_by_section_in_words() -> None:
    form = set_of(compose(Config(), shop))["root.yaml"]["Metadata"]["AWS::CloudFormation::Interface"]
    groups = {group["Label"]["default"]: group["Parameters"] for group in form["ParameterGroups"]}
    assert groups["Service web"][:3] == ["WebImageUri", "WebScalingMinTasks", "WebScalingMaxTasks"]
    assert groups["Capacity nodes"] == ["NodesMachineImage", "NodesArchitecture"]
    # What no tunable stands behind is nobody's section.
    assert {"Owner", "CacheType"} <= set(groups["More"])
    labels = {name: label["default"] for name, label in form["ParameterLabels"].items()}
    assert (labels["TemplatesUrl"], labels["WebImageUri"]) == ("Templates URL", "Image URI")
    assert (labels["WebScalingMinTasks"], labels["CreateServiceLinkedRole"]) == (
        "Scaling min tasks",
        "Create service linked role",
    )


def test_the_root_asks_first_where_the_templates_lie(root_template: dict[str, Any]) -> None:
    assert next(iter(root_template["Parameters"])) == "TemplatesUrl"
    groups = root_template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert groups[0] == {"Label": {"default": "Templates"}, "Parameters": ["TemplatesUrl"]}


@pytest.mark.parametrize("name", ["default", "existing VPC"])
def test_every_parameter_of_our_root_is_described_and_has_a_default_or_says_why_not(name: str) -> None:
    for title, parameter in set_of(ROOTS[name]())["root.yaml"]["Parameters"].items():
        assert parameter["Description"].strip(), title
        assert ("Default" in parameter) != ("No default" in parameter["Description"]), title


def test_every_parameter_of_the_root_is_constrained_where_it_can_be() -> None:
    for title, parameter in set_of(compose())["root.yaml"]["Parameters"].items():
        if parameter["Type"] == "Number":
            assert {"MinValue", "MaxValue"} <= set(parameter), title
        elif parameter["Type"] == "String":
            assert {"AllowedPattern", "AllowedValues"} & set(parameter), title
        if "AllowedPattern" in parameter:
            # What is allowed: the console shows the Description in any case.
            assert parameter["ConstraintDescription"], title
            assert not parameter["Description"].startswith(parameter["ConstraintDescription"]), title
            assert re.fullmatch(parameter["AllowedPattern"], parameter.get("Default", "https://a/b")), title


def test_a_default_of_an_existing_network_is_what_the_config_says() -> None:
    network = ExistingVpc(vpc_id="vpc-0a1b2c3d", load_balancer_subnets=("subnet-0a1b2c3d", "subnet-0b1b2c3d"))
    asked = set_of(compose(Config(network=network)))["root.yaml"]["Parameters"]
    assert asked["VpcId"]["Default"] == "vpc-0a1b2c3d"
    assert asked["LoadBalancerSubnets"]["Default"] == "subnet-0a1b2c3d,subnet-0b1b2c3d"
    assert "Default" not in asked["NodeSubnets"]
    assert asked["NodeSubnets"]["Description"].endswith("No default: it differs from account to account.")


def test_the_console_lets_nobody_ask_for_more_tasks_than_fit() -> None:
    asked = set_of(compose())["root.yaml"]["Parameters"]["WebScalingMaxTasks"]
    most = asked["MaxValue"]
    assert asked["Default"] <= most < 5000
    with pytest.raises(SetError):
        compose(one_service(scaling=Scaling(max_tasks=most + 1)))
    compose(one_service(scaling=Scaling(max_tasks=most)))


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://s3.eu-central-1.amazonaws.com/bucket/web", True),
        ("https://bucket.s3.us-east-1.amazonaws.com", True),
        ("https://bucket.s3.cn-north-1.amazonaws.com.cn/a/b/c.d", True),
        ("https://bucket.s3.us-east-1.amazonaws.com/web/", False),
        ("https://bucket.s3.us-east-1.amazonaws.com/web/root.yaml?versionId=1", False),
        ("https://bucket.s3.us-east-1.amazonaws.com/web#x", False),
        ("https://bucket.s3.us-east-1.amazonaws.com/a b", False),
        ("http://bucket.s3.us-east-1.amazonaws.com/web", False),
        ("s3://bucket/web", False),
        ("bucket/web", False),
        ("https://", False),
        ("", False),
    ],
)
def test_the_place_of_the_templates_is_an_https_prefix_without_a_slash(url: str, good: bool) -> None:
    pattern = set_of(compose())["root.yaml"]["Parameters"]["TemplatesUrl"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, url)) == good


def test_every_template_says_who_made_it_and_what_it_is(default_texts: dict[str, str]) -> None:
    for text in default_texts.values():
        body = reading.load(text, "a.yaml").body
        assert body["AWSTemplateFormatVersion"] == "2010-09-09"
        assert body["Metadata"]["RenderedBy"] == "scaleout_cfn"
        assert body["Description"].endswith(".")
        assert "\n" not in body["Description"]


# --- what is refused


def test_a_config_made_in_python_is_checked() -> None:
    with pytest.raises(ConfigError, match=r"services\.web\.scaling\.min_tasks: got 9, more than max_tasks = 3"):
        compose(one_service(scaling=Scaling(min_tasks=9, max_tasks=3)))


def test_tasks_that_do_not_fit_are_refused_with_the_arithmetic() -> None:
    with pytest.raises(
        SetError, match=r"services\.web\.scaling\.max_tasks: 400 tasks of 256 CPU units and 256 MiB.* t3\.small.*: "
    ):
        compose(one_service(scaling=Scaling(max_tasks=400)))


def test_tasks_that_only_a_schedule_asks_for_are_counted() -> None:
    day = Schedule(name="day", at="rate(1 day)", min_tasks=2, max_tasks=400)
    with pytest.raises(SetError, match="400 tasks"):
        compose(one_service(scaling=Scaling(schedules=(day,))))


def test_a_set_with_an_error_has_no_text() -> None:
    top = compose()
    del top.children["WebService"].template.parameters["ImageUri"]
    with pytest.raises(SetError) as refused:
        render(top)
    assert any("ImageUri" in problem and problem.startswith("root.yaml: ") for problem in refused.value.problems)


def test_a_root_that_is_too_large_for_a_body_is_refused() -> None:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    def with_more(letters: int) -> str:
        top = compose()
        top.template.add_mapping("Large", {"a": {"k": "v" * letters}})
        return render(top)["root.yaml"]

    room = 51_200 - len(with_more(1).encode()) + 1
    assert len(with_more(room).encode()) == 51_200
    with pytest.raises(SetError, match=r"the root has 51201 bytes, CloudFormation takes 51200 as a body"):
        with_more(room + 1)
    # A child may be.
    assert len(render(compose())["web-service.yaml"]) > 5000


@pytest.mark.parametrize("given", [Config(), None, "root.yaml"])
def test_what_is_no_stack_is_refused_with_what_makes_one(given: Any) -> None:
    with pytest.raises(WiringError, match=r"a set is made of a Stack, as compose\(config\) gives one; got \w+$"):
        render(given)


@pytest.mark.parametrize("what", [texts_of, check_set, mermaid])
@pytest.mark.parametrize(("given", "said"), [(Stack("Root", "A root."), "Stack"), ({}, "nothing"), (None, "nothing")])
def test_what_is_no_set_of_templates_is_refused_with_what_makes_one(what: Any, given: Any, said: str) -> None:
    with pytest.raises(
        UsageError, match=rf"^a set is templates by file name, as set_of\(stack\) gives them; got {said}$"
    ):
        what(given)


@pytest.mark.parametrize("given", [{"root.yaml": {}}, None, Stack("Root", "A root.")])
def test_what_is_no_text_is_not_written(tmp_path: Path, given: Any) -> None:
    with pytest.raises(UsageError, match=r"^what is written is texts by file name, as render\(stack\) gives them$"):
        write(tmp_path / "out", given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", ["root", partial(wired, owner=Text("me"))])
def test_what_is_no_function_is_no_root(given: Any) -> None:
    with pytest.raises(WiringError, match=r"^a stack is a function of a Stack and a config; got (str|partial)$"):
        compose(Config(), given)


# --- files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


OURS = "Metadata:\n  RenderedBy: scaleout_cfn\n"


def test_a_set_is_written_to_a_folder_that_is_made_for_it(folder: Path, default_texts: dict[str, str]) -> None:
    deeper = folder / "a" / "b"
    assert write(deeper, default_texts) == []
    assert content(deeper) == default_texts


def test_written_files_may_be_read_by_all(folder: Path) -> None:
    before = os.umask(0o022)
    try:
        write(folder, {"root.yaml": OURS})
        (folder / "root.yaml").chmod(0o600)
        write(folder, {"root.yaml": OURS + "\n", "a.yaml": OURS})
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}


def test_line_ends_and_letters_are_the_same_everywhere(folder: Path) -> None:
    write(folder, {"root.yaml": "a: caf\xe9\nb: 1\n"})
    assert (folder / "root.yaml").read_bytes() == b"a: caf\xc3\xa9\nb: 1\n"


def test_templates_of_ours_that_are_not_of_the_set_are_removed_and_no_others(folder: Path) -> None:
    folder.mkdir()
    kept = {
        "mine.yaml": "Resources: {}\n",
        "mine.json": '{"Resources": {}}\n',
        "notes.txt": OURS,
        "samconfig.toml": "",
        "parameters.yml": OURS,
    }
    for name, text in kept.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "latin.yaml").write_bytes(b"Description: caf\xe9\n")
    (folder / "below.yaml").mkdir()
    (folder / "old.yaml").write_text(OURS, encoding="utf-8")
    (folder / "old.json").write_text('{"Metadata": {"RenderedBy": "scaleout_cfn"}}', encoding="utf-8")
    removed = write(folder, {"root.yaml": OURS})
    assert [path.name for path in removed] == ["old.json", "old.yaml"]
    assert {path.name for path in folder.iterdir()} == {*kept, "latin.yaml", "below.yaml", "root.yaml"}


def test_a_template_that_only_mentions_us_is_kept(folder: Path) -> None:
    folder.mkdir()
    mine = folder / "mine.yaml"
    mine.write_text("Description: Stands beside the set of scaleout_cfn.\nResources: {}\n", encoding="utf-8")
    assert write(folder, {"root.yaml": OURS}) == []
    assert mine.exists()


def test_the_other_format_is_another_set(folder: Path, default_texts: dict[str, str]) -> None:
    write(folder, default_texts)
    removed = write(folder, render(compose(), format="json"))
    assert {path.name for path in removed} == set(default_texts)
    assert {path.suffix for path in templates_in(folder)} == {".json"}


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_is_a_usage_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("text", encoding="utf-8")
    with pytest.raises(UsageError, match=r"; give a folder that can be written to$") as refused:
        write(tmp_path / place, {"root.yaml": OURS})
    assert str(refused.value).startswith(str(tmp_path / place))
    assert (tmp_path / "file").read_text(encoding="utf-8") == "text"


OLD = {"root.yaml": OURS + "old: root\n", "network.yaml": OURS + "old: network\n", "gone.yaml": OURS}
NEW = {"root.yaml": OURS + "new: root\n", "network.yaml": OURS + "new: network\n", "more.yaml": OURS}


def test_a_full_disk_leaves_the_old_files_and_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, OLD)
    write_text = Path.write_text

    def full(self: Path, data: str, *arguments: Any, **options: Any) -> int:
        if "more" in self.name:
            write_text(self, data[:5], *arguments, **options)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_text(self, data, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UsageError, match=r"out: No space left on device; give a folder that can be written to$"):
        write(folder, NEW)
    assert content(folder) == OLD


@pytest.mark.parametrize("step", range(5))
def test_wherever_it_is_interrupted_the_old_files_are_there_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    old = {**OLD, "away.yaml": OURS}
    write(folder, old)
    # Three files are put in their places, then two are taken away.
    steps = iter(range(5))

    def interrupted(act: Any) -> Any:
        def acting(*arguments: Any) -> None:
            if next(steps, None) == step:
                raise KeyboardInterrupt
            act(*arguments)

        return acting

    monkeypatch.setattr(os, "replace", interrupted(os.replace))
    monkeypatch.setattr(Path, "unlink", interrupted(Path.unlink))
    with pytest.raises(KeyboardInterrupt):
        write(folder, NEW)
    assert content(folder) == old


def test_a_folder_in_the_place_of_a_template_leaves_the_old_files(folder: Path) -> None:
    write(folder, OLD)
    (folder / "more.yaml").mkdir()
    with pytest.raises(UsageError):
        write(folder, NEW)
    (folder / "more.yaml").rmdir()
    assert content(folder) == OLD


def test_nothing_is_written_where_the_set_is_refused(folder: Path) -> None:
    write(folder, OLD)
    top = compose()
    del top.children["WebService"].template.parameters["ImageUri"]
    with pytest.raises(SetError):
        write(folder, render(top))
    assert content(folder) == OLD


# --- in memory


def test_local_names_are_what_a_lint_can_follow() -> None:
    templates = set_of(compose(), url=local_url)
    nested = [
        resource["Properties"]["TemplateURL"]
        for resource in templates["root.yaml"]["Resources"].values()
        if resource["Type"] == "AWS::CloudFormation::Stack"
    ]
    assert sorted(nested) == sorted(set(templates) - {"root.yaml"})
    assert "TemplatesUrl" not in templates["root.yaml"]["Parameters"]


def test_what_is_rendered_can_be_changed_without_changing_the_stack(default_texts: dict[str, str]) -> None:
    top = compose()
    templates = set_of(top)
    templates["root.yaml"]["Resources"].clear()
    assert render(top) == default_texts


def test_another_file_of_the_same_name_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "root.yaml").write_text("Resources: {}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="not one of ours"):
        write(tmp_path, {"child.yaml": OURS, "root.yaml": OURS})
    assert [path.name for path in tmp_path.iterdir()] == ["root.yaml"]
    assert (tmp_path / "root.yaml").read_text(encoding="utf-8") == "Resources: {}\n"

"""The file that `init` writes, and the JSON Schema: what the config types say of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import configs

from scaleout_cfn.config import (
    Certificate,
    Config,
    Domain,
    Ec2Capacity,
    ExistingLoadBalancer,
    ExistingVpc,
    FargateCapacity,
    GitHubPipeline,
    GivenKey,
    InternalService,
    ManagedCapacity,
    NewLoadBalancer,
    NewVpc,
    OwnKey,
    PolicyStatement,
    RegistryPipeline,
    Route,
    SourcePipeline,
    WebBlueGreen,
    WebCanary,
    WebLinear,
    WebService,
    WorkerService,
)
from scaleout_cfn.config.conflicts import conflicts
from scaleout_cfn.config.file import Places, convert, load
from scaleout_cfn.config.scaling import Schedule, StepAdjustment, StepScaling
from scaleout_cfn.config.text import json_schema, starter, toml
from scaleout_cfn.config.tunables import (
    Section,
    bare,
    bounds_of,
    choices_of,
    fields_of,
    named_sections,
    tunables,
    unit_of,
)
from scaleout_cfn.errors import ConfigError
from scaleout_cfn.profiles import PROFILES

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

STARTER = starter()
LINES = [*STARTER.splitlines(), ""]
# A line that is a setting or a header once its # is gone. What follows "# " is prose.
SETTING = re.compile(r"#(\[|[a-z_0-9]+ = )")
UUID = "12345678-1234-1234-1234-123456789012"
#: What stands for the `...` of tunables without a default.
GIVEN = {
    "certificate_arn": '"arn:aws:acm:eu-west-1:123456789012:certificate/0a1b"',
    "domain_name": '"shop.example.com"',
    "hosted_zone_id": '"Z0123456789"',
    "connection_arn": '"arn:aws:codeconnections:eu-west-1:123456789012:connection/0a1b"',
    "repository": '"shop/web"',
    "load_balancer_arn": '"arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/a/0a"',
    "listener_arn": '"arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/a/0a/0b"',
    "security_group_id": '"sg-0a1b2c3d"',
    "key_arn": f'"arn:aws:kms:eu-west-1:123456789012:key/{UUID}"',
    "url": '"https://shop.example.com"',
    "web_acl_arn": f'"arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/shop/{UUID}"',
    "issuer": '"https://id.example.com"',
    "authorization_endpoint": '"https://id.example.com/authorize"',
    "token_endpoint": '"https://id.example.com/token"',
    "user_info_endpoint": '"https://id.example.com/me"',
    "client_id": '"shop"',
    "client_secret": '"arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/oidc-AbCdEf"',
    "user_pool_arn": '"arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbC"',
    "domain": '"shop"',
    "name": '"Day"',
    "at": '"rate(1 day)"',
    "min_tasks": "3",
    "max_tasks": "4",
    "threshold": "80",
    "target_rps": "25",
    "mounts": '{web = "/data"}',
    "image_uri": '"public.ecr.aws/docker/library/memcached:1.6"',
    "steps": "[{distance = 0, adjustment = 1}]",
    "actions": '["s3:GetObject"]',
}


#: What a section that is left out does not go without.
NEEDED_BY_SECTIONS = {
    "load_balancer.cloudfront": (
        "load_balancer.scheme=internal",
        "load_balancer.allowed_prefix_lists={pl-3b927c52 = 55}",
    ),
    "services.web.sign_in": (
        f"""load_balancer.listener={{kind = "domain", domain_name = {GIVEN["domain_name"]},
        hosted_zone_id = {GIVEN["hosted_zone_id"]}}}""".replace("\n", ""),
    ),
}

#: What a pipeline does not go without.
NEEDED_BY_PIPELINES = (
    "capacity.nodes.machine_image=/aws/service/ecs/optimized-ami/amazon-linux-2023/1/image_id",
    'registry.mutable_tags=["latest"]',
)


def load_text(folder: Path, text: str, *overrides: str) -> Config:
    path = folder / "scaleout.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, overrides=overrides)


def uncommented(line: str) -> str:
    """A line of the starter as a setting, with a value where there is no default."""
    line = line.removeprefix("#")
    name, equals, value = line.partition(" = ")
    return f"{name} = {GIVEN[name]}" if equals and "..." in value else line


def blocks(start: str) -> Iterator[tuple[int, list[str]]]:
    """The commented blocks that start with a line like this, up to the next empty line: (first line's index, block)."""
    for index, line in enumerate(LINES):
        if line.startswith(start):
            end = LINES.index("", index)
            yield index, LINES[index:end]


OPTIONAL = {
    index + offset
    for start in (
        *(
            "# Instead, with kind",
            "# Instead, with strategy",
            "# Another, of kind",
            "# None unless written",
            "# Inside it, none unless written",
        ),
        "#[[",
    )
    for index, block in blocks(start)
    for offset in range(len(block))
}
DEFAULTS = [index for index, line in enumerate(LINES) if SETTING.match(line) and index not in OPTIONAL]


# --- the starter


def test_the_starter_is_the_default_config(tmp_path: Path) -> None:
    assert load_text(tmp_path, STARTER) == Config()


def of_profile(name: str) -> Config:
    profile = PROFILES[name]
    return Config(services={"web": WebService(scaling=profile.tasks)}, capacity={"nodes": profile.nodes})


@pytest.mark.parametrize("name", list(PROFILES))
def test_the_starter_of_a_profile_sets_its_numbers_and_nothing_else(tmp_path: Path, name: str) -> None:
    text = starter(of_profile(name))
    assert load_text(tmp_path, text) == of_profile(name)
    assert conflicts(of_profile(name)) == []
    set_ = [line for line in text.splitlines() if line[:1].isalpha()]
    assert (set_ == []) == (name == "balanced")
    default = PROFILES["balanced"]
    assert len(set_) == sum(
        getattr(given, field) != getattr(usual, field)
        for given, usual in ((PROFILES[name].tasks.cpu, default.tasks.cpu), (PROFILES[name].nodes, default.nodes))
        for field in given.__struct_fields__
    )


#: Services and pools of every kind, some of them twice.
SEVERAL = Config(
    services={
        "shop": WebService(cpu_units=512, capacity="big", route=Route(hosts=("a.example.com",))),
        "blog": WebService(capacity="big", route=Route(paths=("/blog/*",))),
        "api": InternalService(capacity="fargate", memory_mib=512, container_port=9000),
        "mailer": WorkerService(capacity="managed", image_of="shop", command=("mail",)),
    },
    capacity={
        "big": Ec2Capacity(instance_types=("m7i.large",), max_nodes=30),
        "fargate": FargateCapacity(spot_percent=50),
        "managed": ManagedCapacity(),
    },
)


@pytest.mark.parametrize("short", [False, True])
def test_the_starter_of_several_services_is_that_config(tmp_path: Path, short: bool) -> None:
    assert conflicts(SEVERAL) == []
    text = starter(SEVERAL, short=short)
    assert load_text(tmp_path, text) == SEVERAL
    headers = [line for line in text.splitlines() if line.startswith("[")]
    assert len(set(headers)) == len(headers)


@settings(unhurried, max_examples=40)
@given(configs(), st.booleans())
def test_the_starter_of_a_config_means_that_config(
    tmp_path_factory: pytest.TempPathFactory, config: Config, short: bool
) -> None:
    folder = tmp_path_factory.mktemp("starter")
    assert load_text(folder, starter(config, short=short)) == config


@pytest.mark.parametrize("kind", ["internal", "worker", "fargate", "managed-instances"])
def test_another_service_or_pool_uncommented_where_it_stands_is_one_more(tmp_path: Path, kind: str) -> None:
    ((index, block),) = blocks(f'# Another, of kind "{kind}"')
    settings_of_block = [uncommented(line) if SETTING.match(line) else line for line in block]
    text = "\n".join([*LINES[:index], *settings_of_block, *LINES[index + len(block) :]])
    config = load_text(tmp_path, text, "services.web.capacity=nodes")
    more = {**config.services, **config.capacity}
    assert len(more) == 3
    (new,) = [entry for name, entry in more.items() if name not in ("web", "nodes")]
    assert new.__struct_config__.tag == kind
    assert new == type(new)()


def inside(config: Config, path: str) -> Any:
    """The section of a config at a dotted path; None where it has none."""
    value: Any = config
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part)
    return value


@pytest.mark.parametrize(("index", "block"), list(blocks("# None unless written")))
def test_a_section_that_is_left_out_is_there_once_it_is_uncommented(
    tmp_path: Path, index: int, block: list[str]
) -> None:
    settings_of_block = [uncommented(line) if SETTING.match(line) else line for line in block]
    text = "\n".join([*LINES[:index], *settings_of_block, *LINES[index + len(block) :]])
    key = next(line for line in block if line.startswith("#[")).strip("#[]")
    config = load_text(tmp_path, text, *NEEDED_BY_SECTIONS.get(key, ()))
    section, default = (inside(whole, key) for whole in (config, Config()))
    assert default is None
    kind: Any = type(section)
    assert (f'#kind = "{kind.__struct_config__.tag}"' in block) == bool(kind.__struct_config__.tag)
    needed = {field.name for field in fields_of(kind) if field.required}
    assert section == kind(**{name: getattr(section, name) for name in needed})


def test_the_starter_with_every_default_uncommented_is_the_default_config(tmp_path: Path) -> None:
    text = "\n".join(uncommented(line) if index in DEFAULTS else line for index, line in enumerate(LINES))
    assert load_text(tmp_path, text) == Config()
    # And nothing is left out: the same number of settings as there are tunables, and the kinds.
    commented = [line for index, line in enumerate(LINES) if index in DEFAULTS]
    kinds = [line for line in commented if line.startswith(("#kind", "#strategy"))]
    # Of a section that is left out, as permissions are, nothing is there.
    lists_of_tables = len([block for _, block in blocks("#[[") if ".permissions." not in block[0]])
    assert len(kinds) == 8
    assert len(commented) - len(kinds) + lists_of_tables == len(list(tunables(Config())))


def test_each_default_uncommented_alone_gives_the_default_config(tmp_path: Path) -> None:
    for index in DEFAULTS:
        text = "\n".join([*LINES[:index], uncommented(LINES[index]), *LINES[index + 1 :]])
        assert load_text(tmp_path, text) == Config(), LINES[index]


def test_each_alternative_uncommented_where_it_stands_gives_that_kind(tmp_path: Path) -> None:
    found = []
    for index, block in blocks("# Instead, with"):
        settings_of_block = [uncommented(line) if SETTING.match(line) else line for line in block]
        header = [line for line in LINES[:index] if line.startswith("[")][-1]
        text = "\n".join([*LINES[:index], *settings_of_block, *LINES[index + len(block) :]])
        needed = NEEDED_BY_PIPELINES if header == "[services.web.pipeline]" else ()
        if header == "[load_balancer]":
            assert "# Then delete [load_balancer.listener]." in block
            text = text.replace("\n[load_balancer.listener]\n", "\n")
            needed = ('network.kind="existing"', 'services.web.route.paths=["/a"]')
        config = load_text(tmp_path, text, *needed)
        found.append(inside(config, header.strip("[]")))
    assert found == [
        OwnKey(),
        GivenKey(key_arn=GIVEN["key_arn"].strip('"')),
        ExistingVpc(),
        ExistingLoadBalancer(
            **{
                name: GIVEN[name].strip('"')
                for name in ("load_balancer_arn", "listener_arn", "security_group_id", "url")
            }
        ),
        Certificate(certificate_arn=GIVEN["certificate_arn"].strip('"'), domain_name="shop.example.com"),
        Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789"),
        SourcePipeline(connection_arn=GIVEN["connection_arn"].strip('"'), repository="shop/web"),
        RegistryPipeline(),
        GitHubPipeline(repository="shop/web"),
        WebBlueGreen(),
        WebLinear(),
        WebCanary(),
    ]


def test_each_list_of_tables_uncommented_has_one_item_with_the_defaults(tmp_path: Path) -> None:
    for _, block in blocks("#[["):
        name = block[0].removeprefix("#[[").removesuffix("]]")
        text = "\n".join(uncommented(line) for line in block if SETTING.match(line))
        text = text.replace("resources = []", 'resources = ["arn:aws:s3:::orders/*"]')
        config = load_text(tmp_path, text)
        of_job = name == "jobs.job.permissions.statements"
        scaling = config.services["web"].scaling
        permissions = (config.jobs["job"] if of_job else config.services["web"]).permissions
        if of_job or name == "services.web.permissions.statements":
            assert permissions and permissions.statements == (
                PolicyStatement(actions=("s3:GetObject",), resources=("arn:aws:s3:::orders/*",)),
            )
        elif name == "services.web.scaling.schedules":
            assert scaling.schedules == (Schedule(name="Day", at="rate(1 day)", min_tasks=3, max_tasks=4),)
        else:
            assert name == "services.web.scaling.step_policies"
            assert scaling.step_policies == (
                StepScaling(name="Day", threshold=80, steps=(StepAdjustment(adjustment=1),)),
            )


def _sections(section: type[Section]) -> Iterator[type[Section]]:
    """A section and all that are inside it, of whichever kind."""
    yield section
    for field in fields_of(section):
        inner, _ = bare(field.type)
        named = getattr(inner, "__args__", ())
        for part in (inner, *named, *(choice for entry in named for choice in getattr(entry, "__args__", ()))):
            if isinstance(part, type) and issubclass(part, Section):
                yield from _sections(part)


EVERY_SECTION = list(dict.fromkeys(_sections(Config)))


@pytest.mark.parametrize("section", EVERY_SECTION, ids=lambda section: section.__name__)
def test_every_tunable_stands_in_the_starter_with_meaning_unit_and_bounds(section: type[Section]) -> None:
    for field in fields_of(section):
        inner, meta = bare(field.type)
        assert meta is not None, f"{section.__name__}.{field.name} has no tunable()"
        assert meta.description
        if named_sections(inner):
            continue  # told by the headers of those that are there
        facts = [meta.description, unit_of(meta) or "", bounds_of(meta), choices_of(inner)]
        told = [number for number, line in enumerate(LINES) if all(fact in line for fact in facts)]
        assert told, f"{section.__name__}.{field.name}"
        # Its name stands in the same line, for parts of an example, or soon after.
        named = re.compile(rf"#? *#? *\[?\[?([a-z_]+\.)*{field.name}(\]| =|:)")
        assert any(named.match(line) for number in told for line in LINES[number : number + 4]), field.name


@pytest.mark.parametrize("name", list(PROFILES))
def test_the_short_starter_is_a_screenful_and_means_the_same(tmp_path: Path, name: str) -> None:
    config = of_profile(name)
    text = starter(config, short=True)
    assert len(text.splitlines()) <= 40
    assert load_text(tmp_path, text) == config
    every = re.sub(r"(?m)^#([a-z_]+ = )", r"\1", text)
    assert load_text(tmp_path, every) == config


def test_the_starter_names_its_schema_in_the_first_line_and_how_to_write_it() -> None:
    assert LINES[0] == "#:schema ./scaleout.schema.json"
    assert "#   scaleout-cfn schema > scaleout.schema.json" in LINES
    assert "Apply with:  shop render -c x.toml" in starter(apply="shop render -c x.toml")


def test_the_starter_has_each_header_once() -> None:
    headers = [line for line in LINES if line.startswith("[")]
    assert len(set(headers)) == len(headers)


# --- the schema


def tables_of(config: Config) -> dict[str, Any]:
    """A config as TOML has it: with lists, not tuples."""
    return msgspec.json.decode(msgspec.json.encode(config), type=dict[str, Any])


VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def accepts(tables: dict[str, Any]) -> bool:
    return bool(VALIDATOR.is_valid(tables))


def problems_of(tables: dict[str, Any]) -> list[str]:
    """What `load` says of the tables by themselves: a schema knows nothing of tunables that exclude each other."""
    problems: list[str] = []
    convert(Config, tables, Config(), "", Places("x", ""), problems)
    return problems


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_schema_accepts_the_default_whole_or_in_parts() -> None:
    assert accepts({})
    default = tables_of(Config())
    assert accepts(default)
    for key, value in default.items():
        assert accepts({key: value, "environments": {"prod": {key: value}, "dev": {}}})
    # The kind may be left out where the default is meant.
    assert accepts(
        {
            "network": {"zones": 3},
            "load_balancer": {"listener": {}},
            "services": {"web": {}, "api": {"kind": "worker"}},
            "capacity": {"a": {}},
        }
    )


@settings(unhurried, max_examples=50)
@given(configs())
def test_the_schema_accepts_every_config(config: Config) -> None:
    tables = tables_of(config)
    assert accepts(tables), next(VALIDATOR.iter_errors(tables))
    assert not problems_of(tables)


@pytest.mark.parametrize(
    "tables",
    [
        {"stack_nmae": "web"},
        {"stack_name": "aws-web"},
        {"stack_name": 1},
        {"services": {"web": {"scaling": {"max_tasks": 0}}}},
        {"services": {"web": {"scaling": {"max_tasks": 5001}}}},
        {"services": {"web": {"scaling": {"max_tasks": "5"}}}},
        {"services": {"web": {"scaling": {"cpu": {"targt": 5}}}}},
        {"services": {"web": {"scaling": {"cpu": {"target": 0}}}}},
        {"services": {"web": {"scaling": {"schedules": [{"name": "day"}]}}}},
        {"services": {"web": {"scaling": []}}},
        {"services": {"web": {"environment": {"1A": ""}}}},
        {"services": {"web": {"exec": "yes"}}},
        {"services": {"Web": {}}},
        {"services": {"a-1": {}}},
        {"services": {"web": 1}},
        {"services": {"web": {"kind": "cron"}}},
        {"services": {"web": {"kind": "worker", "container_port": 80}}},
        {"capacity": {"nodes": {"architecture": "x86"}}},
        {"capacity": {"nodes": {"instance_types": []}}},
        {"capacity": {"nodes": {"kind": "fargate", "max_nodes": 3}}},
        {"capacity": {"a_b": {}}},
        {"service": {"cpu_units": 256}},
        {"network": {"kind": "old"}},
        {"network": {"kind": "new", "vpc_id": "vpc-0a"}},
        {"load_balancer": {"listener": {"kind": "domain", "domain_name": "a.example.com"}}},
        {"observability": {"log_retention_days": 31}},
        {"environments": {"prod": {"stack_nmae": "web"}}},
        {"environments": {"prod": {"services": {"web": {"scaling": {"max_tasks": 0}}}}}},
        {"environments": {"prod": {"services": {"Web": {}}}}},
        {"environments": {"prod": 1}},
        {"environments": []},
    ],
    ids=str,
)
def test_the_schema_refuses_what_load_refuses(tmp_path: Path, tables: dict[str, Any]) -> None:
    assert not accepts(tables)
    with pytest.raises(ConfigError):
        load_text(tmp_path, "".join(f"{key} = {toml(value)}\n" for key, value in tables.items()))


def _values() -> st.SearchStrategy[Any]:
    """Values as an editor meets them; but no 5.0, which is an integer to a schema, and to TOML is not."""
    scalars = st.one_of(
        st.integers(),
        st.booleans(),
        st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer()),
        st.text(max_size=8),
        st.sampled_from([0, 1, 2, 50, "AES256", "bridge", "t3.small", "domain", "new", "/x", "a@b.example"]),
    )
    return st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=4), inner, max_size=2)),
        max_leaves=4,
    )


EVERY_KIND = [
    Config(),
    SEVERAL,
    Config(network=ExistingVpc(vpc_id="vpc-0a1b2c3d")),
    Config(
        load_balancer=NewLoadBalancer(
            listener=Certificate(certificate_arn=GIVEN["certificate_arn"].strip('"'), domain_name="shop.example.com")
        )
    ),
    Config(
        network=NewVpc(zones=3),
        load_balancer=NewLoadBalancer(listener=Domain(domain_name="shop.example.com", hosted_zone_id="Z1")),
    ),
]


@st.composite
def changed_tables(draw: st.DrawFn) -> dict[str, Any]:
    """The tables of a config, with one value changed, added or taken away."""
    tables: dict[str, Any] = tables_of(draw(st.sampled_from(EVERY_KIND)))
    place = tables
    while True:
        key = draw(st.sampled_from([*place, "nonsense"]))
        below = place.get(key)
        if isinstance(below, dict) and below and draw(st.integers(0, 5)):
            place = below
            continue
        # Which of several kinds is meant without the word, load knows by the default, and the schema does not.
        if key != "kind" and draw(st.integers(0, 5)) == 0:
            place.pop(key, None)
        else:
            place[key] = draw(_values())
        return tables


@unhurried
@given(changed_tables())
def test_what_load_takes_the_schema_takes_too(tables: dict[str, Any]) -> None:
    """A schema sees less: of a text, its form."""
    problems = problems_of(tables)
    assert problems or accepts(tables)


def test_text_of_any_kind_is_toml() -> None:
    assert toml('a"b\\c\n') == '"a\\"b\\\\c\\n"'
    assert toml({"/tmp": 64, "a": [True, 1.5]}) == '{"/tmp" = 64, "a" = [true, 1.5]}'


def test_the_schema_takes_a_part_of_a_service_or_pool_in_an_overlay() -> None:
    overlay = {"services": {"web": {"scaling": {"max_tasks": 9}}}, "capacity": {"big": {"spot_percent": 50}}}
    assert accepts({"services": {"web": {}}, "environments": {"prod": overlay}})

"""A config from a file, its environments and single overrides; and every way to refuse one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scaleout_cfn.config import (
    Certificate,
    Config,
    Domain,
    ExistingVpc,
    FargateCapacity,
    NewLoadBalancer,
    NewVpc,
    WebService,
    WorkerService,
)
from scaleout_cfn.config.conflicts import remarks
from scaleout_cfn.config.file import checked, load, merged
from scaleout_cfn.config.scaling import Scaling, Schedule, StepAdjustment, StepScaling
from scaleout_cfn.config.text import toml
from scaleout_cfn.config.tunables import bounds_of, choices_of, tunable_at, tunables, unit_of
from scaleout_cfn.errors import ConfigError, UsageError

Loader = Callable[..., Config]

# The first text that is drawn loads the tables of Unicode.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

#: One config for each alternative, so that together they hold every tunable that a table may have.
EVERY_KIND = {
    "default": Config(),
    "existing VPC": Config(network=ExistingVpc()),
    "certificate": Config(
        load_balancer=NewLoadBalancer(
            listener=Certificate(
                certificate_arn="arn:aws:acm:eu-west-1:123456789012:certificate/0a1b", domain_name="shop.example.com"
            )
        )
    ),
    "domain": Config(
        load_balancer=NewLoadBalancer(listener=Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789"))
    ),
}


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "scaleout.toml"


@pytest.fixture
def read(file: Path) -> Loader:
    """The config of a text, through a file."""

    def loaded(text: str, **options: Any) -> Config:
        file.write_text(text, encoding="utf-8")
        return load(file, **options)

    return loaded


def problems_of(action: Callable[..., object], *arguments: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        action(*arguments, **options)
    return refused.value.problems


def problem_of(action: Callable[..., object], *arguments: Any, **options: Any) -> str:
    (problem,) = problems_of(action, *arguments, **options)
    return problem


# --- what is read


def test_without_a_file_the_config_is_the_default() -> None:
    assert load() == Config()


def test_an_empty_file_is_the_default(read: Loader) -> None:
    assert read("") == Config()


def test_a_file_changes_what_it_names_and_nothing_else(read: Loader) -> None:
    config = read('stack_name = "shop"\n[services.web.scaling.cpu]\ntarget = 50\n')
    replace = msgspec.structs.replace
    scaling = Scaling()
    web = WebService(scaling=replace(scaling, cpu=replace(scaling.cpu, target=50.0)))
    assert config == replace(Config(), stack_name="shop", services={"web": web})


def test_lists_of_tables_become_sections(read: Loader) -> None:
    config = read(
        '[[services.web.scaling.schedules]]\nname = "day"\nat = "rate(1 day)"\nmin_tasks = 2\nmax_tasks = 4\n'
        '[[services.web.scaling.step_policies]]\nname = "Surge"\nthreshold = 80\nsteps = [{adjustment = 2}]\n'
    )
    assert config.services["web"].scaling.schedules == (
        Schedule(name="day", at="rate(1 day)", min_tasks=2, max_tasks=4),
    )
    assert config.services["web"].scaling.step_policies == (
        StepScaling(name="Surge", threshold=80, steps=(StepAdjustment(adjustment=2),)),
    )


def test_windows_line_ends_are_read(file: Path) -> None:
    file.write_bytes(b'stack_name = "shop"\r\n[services.web.scaling]\r\nmax_tasks = 4\r\n')
    assert load(file).services["web"].scaling.max_tasks == 4


@pytest.mark.parametrize("name", EVERY_KIND)
def test_every_kind_of_config_is_the_same_once_written_and_read(read: Loader, name: str) -> None:
    # TOML has no null: what is None is a section that is left out.
    tables = {key: value for key, value in msgspec.to_builtins(EVERY_KIND[name]).items() if value is not None}
    assert read("".join(f"{key} = {toml(value)}\n" for key, value in tables.items())) == EVERY_KIND[name]


# --- environments


def test_an_overlay_changes_only_what_it_names(read: Loader) -> None:
    text = (
        "[services.web.scaling]\nmin_tasks = 3\nmax_tasks = 9\n"
        "[environments.prod.services.web.scaling]\nmax_tasks = 12\n"
    )
    prod = read(text, environment="prod").services["web"].scaling
    assert (prod.min_tasks, prod.max_tasks) == (3, 12)
    assert read(text).services["web"].scaling.max_tasks == 9


def test_overlays_merge_tables_and_replace_lists(read: Loader) -> None:
    text = (
        '[services.web.environment]\nMODE = "dev"\nCOLOR = "red"\n'
        '[capacity.nodes]\ninstance_types = ["t3.small", "t3a.small"]\n'
        '[environments.prod.services.web.environment]\nMODE = "prod"\n'
        '[environments.prod.capacity.nodes]\ninstance_types = ["m7i.large"]\n'
    )
    prod = read(text, environment="prod")
    assert prod.services["web"].environment == {"MODE": "prod", "COLOR": "red"}
    assert getattr(prod.capacity["nodes"], "instance_types", ()) == ("m7i.large",)


def test_another_kind_replaces_the_whole_table(read: Loader) -> None:
    text = (
        '[network]\nkind = "new"\nzones = 3\n[environments.prod.network]\nkind = "existing"\nvpc_id = "vpc-0a1b2c3d"\n'
    )
    assert read(text, environment="prod").network == ExistingVpc(vpc_id="vpc-0a1b2c3d")
    assert read(text).network == NewVpc(zones=3)


def test_the_same_kind_merges(read: Loader) -> None:
    text = (
        '[network]\nkind = "new"\nzones = 3\n'
        '[environments.prod.network]\nkind = "new"\negress = "nat-per-zone"\n'
        "[environments.test.network]\nipv6 = true\n"
    )
    assert read(text, environment="prod").network == NewVpc(zones=3, egress="nat-per-zone")
    assert read(text, environment="test").network == NewVpc(zones=3, ipv6=True)


def test_writing_the_default_kind_in_an_overlay_keeps_the_table(read: Loader) -> None:
    text = '[network]\nzones = 3\n[environments.prod.network]\nkind = "new"\nipv6 = true\n'
    assert read(text, environment="prod").network == NewVpc(zones=3, ipv6=True)


def test_a_key_of_another_kind_says_which(read: Loader, file: Path) -> None:
    problem = problem_of(read, "[network]\nvpc_id = 'vpc-1'")
    assert problem == f'{file}:2: network.vpc_id: goes with kind = "existing"; write that beside it'


def test_a_newline_at_the_end_is_no_part_of_a_name(read: Loader) -> None:
    assert "stack_name: got 'web\\n'" in problem_of(read, 'stack_name = "web\\n"')


def test_an_environment_has_a_stack_of_its_own(read: Loader) -> None:
    text = 'stack_name = "shop"\n[environments.prod]\n[environments.test]\nstack_name = "elsewhere"\n'
    assert read(text, environment="prod").stack_name == "shop-prod"
    assert read(text, environment="test").stack_name == "elsewhere"
    assert read(text).stack_name == "shop"
    assert read("[environments.prod]\n", environment="prod").stack_name == "web-prod"
    assert read("[environments.prod]\n", environment="prod", base=Config(stack_name="mine")).stack_name == "mine-prod"
    assert read(text, environment="prod", overrides=["stack_name=other"]).stack_name == "other"


def test_an_environment_whose_name_makes_no_stack_name_has_to_set_one(read: Loader) -> None:
    assert "got 'web-prod_eu'" in problem_of(read, "[environments.prod_eu]\n", environment="prod_eu")
    text = '[environments.prod_eu]\nstack_name = "web-eu"\n'
    assert read(text, environment="prod_eu").stack_name == "web-eu"


def test_an_unknown_environment_is_refused_with_those_there_are(read: Loader) -> None:
    problem = problem_of(read, "[environments.prod]\n[environments.dev]\n", environment="pord")
    assert problem.endswith("environment 'pord' is not there; it has dev, prod")
    assert problem_of(load, environment="prod") == "the default config: environment 'prod' is not there; it has none"


@pytest.mark.parametrize("text", ["environments = 3", "environments = [{}]", "[environments]\nprod = 1"])
def test_environments_that_are_not_tables_are_refused(read: Loader, file: Path, text: str) -> None:
    assert problem_of(read, text) == f"{file}:1: environments: holds one table a name, as in [environments.prod]"


def test_mistakes_in_overlays_of_other_environments_are_found(read: Loader, file: Path) -> None:
    text = (
        "[environments.prod.services.web.scaling]\nmax_tasks = 0\n"
        "[environments.test.capacity.nodes]\nmax_node = 3\n[environments.dev]\n"
    )
    expected = (
        f"{file}:2: environments.prod.services.web.scaling.max_tasks: got 0; allowed is 1 to 5000 tasks"
        " (Most tasks that run.)",
        f"{file}:4: environments.test.capacity.nodes.max_node: unknown; did you mean max_nodes?",
    )
    assert problems_of(read, text) == expected
    assert problems_of(read, text, environment="dev") == expected


def test_a_part_of_a_table_in_another_overlay_is_enough(read: Loader) -> None:
    text = (
        '[load_balancer.listener]\nkind = "domain"\ndomain_name = "a.example.com"\nhosted_zone_id = "Z1"\n'
        '[environments.prod.load_balancer.listener]\nkind = "domain"\ndomain_name = "b.example.com"\n'
    )
    assert getattr(read(text).load_balancer, "listener", None) == Domain(
        domain_name="a.example.com", hosted_zone_id="Z1"
    )
    prod = getattr(read(text, environment="prod").load_balancer, "listener", None)
    assert prod == Domain(domain_name="b.example.com", hosted_zone_id="Z1")


def test_another_overlay_is_checked_over_the_kind_that_the_file_chooses(read: Loader) -> None:
    text = '[network]\nkind = "existing"\n[environments.prod.network]\nvpc_id = "vpc-0a1b2c3d"\n'
    assert read(text).network == ExistingVpc()


def test_conflicts_in_another_overlay_are_found(read: Loader) -> None:
    problem = problem_of(read, "[environments.prod.services.web.scaling]\nmin_tasks = 40\n")
    assert problem.endswith("environments.prod.services.web.scaling.min_tasks: got 40, more than max_tasks = 20")


def test_a_mistake_in_the_chosen_overlay_has_its_own_line(read: Loader, file: Path) -> None:
    text = "[services.web.scaling]\nmax_tasks = 9\n[environments.prod.services.web.scaling]\n# more\nmax_tasks = -1\n"
    problem = problem_of(read, text, environment="prod")
    assert problem.startswith(f"{file}:5: environments.prod.services.web.scaling.max_tasks: got -1; ")


# --- overrides


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("stack_name=shop", "stack_name", "shop"),
        ('stack_name="shop"', "stack_name", "shop"),
        ("services.web.scaling.max_tasks=7", "services.web.scaling.max_tasks", 7),
        (" services.web.scaling.max_tasks = 7", "services.web.scaling.max_tasks", 7),
        ("services.web.read_only=false", "services.web.read_only", False),
        ("services.web.alarms.latency_s=0.5", "services.web.alarms.latency_s", 0.5),
        ('capacity.nodes.instance_types=["t3a.small"]', "capacity.nodes.instance_types", ("t3a.small",)),
        ("services.web.environment.QUERY=a=b&c=#d", "services.web.environment", {"QUERY": "a=b&c=#d"}),
        ("account_id=123456789012", "account_id", "123456789012"),
        ("services.web.environment.EMPTY=", "services.web.environment", {"EMPTY": ""}),
        ("services.web.tmpfs_mib./run=16", "services.web.tmpfs_mib", {"/run": 16}),
        ("services.web.environment={A = '1'}", "services.web.environment", {"A": "1"}),
        ("network.vpc_id=vpc-0a1b2c3d", "network.vpc_id", "vpc-0a1b2c3d"),
    ],
)
def test_an_override_sets_one_tunable(override: str, key: str, value: object) -> None:
    kind = ["network.kind=existing"] if key.startswith("network.") else []
    known = tunable_at(load(overrides=[*kind, override]), key)
    assert known is not None
    assert known[1] == value


def test_overrides_win_over_the_environment_and_that_over_the_file(read: Loader) -> None:
    text = (
        "[services.web.scaling]\nmin_tasks = 1\nmax_tasks = 9\n"
        "[environments.prod.services.web.scaling]\nmin_tasks = 4\nmax_tasks = 10\n"
    )
    scaling = (
        read(
            text,
            environment="prod",
            overrides=["services.web.scaling.max_tasks=12", "services.web.scaling.max_tasks=11"],
        )
        .services["web"]
        .scaling
    )
    assert (scaling.min_tasks, scaling.max_tasks) == (4, 11)


@pytest.mark.parametrize(
    "override", ["services.web.scaling.max_tasks", "=7", "", ".=1", "services..max_tasks=7", "services.="]
)
def test_an_override_that_is_no_key_and_value_is_refused(override: str) -> None:
    assert problem_of(load, overrides=[override]) == (
        f"--set {override}: give KEY=VALUE, as in --set services.web.scaling.max_tasks=40"
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("services.web.scaling.max_tasks=0", "got 0; allowed is 1 to 5000 tasks (Most tasks that run.)"),
        ("services.web.scaling.max_task=7", "unknown; did you mean max_tasks?"),
        ("services.web.scaling=7", "got 7, which is not a table; write [services.web.scaling]"),
        ("services.web=7", "got 7, which is not a table; write [services.web]"),
        ("services=7", "got 7, which is not a table of tables; write [services.NAME]"),
        ("services.web.scaling.min_tasks=30", "got 30, more than max_tasks = 20"),
        (
            "services.web.scaling={max_tasks = 0}",
            "services.web.scaling.max_tasks: got 0; allowed is 1 to 5000 tasks (Most tasks that run.)",
        ),
        ("network.kind=old", 'got \'old\'; allowed are "new", "existing"'),
    ],
)
def test_a_mistake_in_an_override_is_told_with_the_override(override: str, said: str) -> None:
    assert problem_of(load, overrides=[override]) == f"--set {override}: {said}"


def test_an_override_holds_one_value_and_nothing_after_it() -> None:
    assert "got '7\\nmin_tasks = 1'" in problem_of(load, overrides=["services.web.scaling.max_tasks=7\nmin_tasks = 1"])


# --- every mistake of a file, in one run, with its place


def test_every_tunable_of_a_wrong_type_is_told_in_one_run_with_its_line_and_meaning(read: Loader, file: Path) -> None:
    # A table may stand once: gather what belongs to it.
    tables: dict[str, list[str]] = {}
    for key, *_ in tunables(Config()):
        section, _, name = key.rpartition(".")
        tables.setdefault(section, [f"[{section}]"] if section else []).append(f"{name} = {{x = [1]}}")
    lines = [line for table in tables.values() for line in table]
    problems = problems_of(read, "\n".join(lines))
    for key, _, _, meta in tunables(Config()):
        *_, problem = (line for line in problems if re.search(rf": {re.escape(key)}(\.x)?: ", line))
        place, _, said = re.sub(rf"(: {re.escape(key)})\.x: ", r"\1: ", problem).partition(f": {key}: ")
        number = int(place.removeprefix(f"{file}:"))
        section, _, name = key.rpartition(".")
        assert lines[number - 1].startswith(f"{name} = ")
        assert number > (lines.index(f"[{section}]") if section else 0)
        assert said.startswith(("got {'x': [1]}; allowed", "got [1]; allowed"))
        assert said.endswith(f"({meta.description})")
    wrong_names = [problem for problem in problems if "got 'x'; allowed is" in problem]
    assert len(problems) - len(wrong_names) == len(list(tunables(Config())))


def _out_of_bounds(config: Config) -> list[tuple[str, Any, str, str]]:
    """Each bounded tunable with a value beyond a bound: key, value, bounds, unit."""
    found: list[tuple[str, Any, str, str]] = []
    for key, inner, _, meta in tunables(config):
        if inner is int:
            assert meta.ge is not None, key
            assert meta.le is not None, key
            found += [(key, meta.ge - 1, bounds_of(meta), unit_of(meta) or "")]
            found += [(key, meta.le + 1, bounds_of(meta), unit_of(meta) or "")]
        elif inner is float:
            low = meta.gt if meta.gt is not None else meta.ge
            assert low is not None, key
            found += [(key, low - 1, bounds_of(meta), unit_of(meta) or "")]
        elif choices := choices_of(inner):
            found += [(key, "nonsense", choices, "")]
    return found


OUT_OF_BOUNDS = _out_of_bounds(Config())


def test_numbers_and_choices_out_of_bounds_are_told_with_what_is_allowed() -> None:
    assert len(OUT_OF_BOUNDS) > 60
    for key, value, allowed, unit in OUT_OF_BOUNDS:
        problem = problem_of(load, overrides=[f"{key}={toml(value)}"])
        assert f"got {value!r}; allowed" in problem, problem
        assert allowed in problem
        assert unit in problem


def _set(section: Any, key: str, value: Any) -> Any:
    """A copy of a config with one tunable changed, unchecked."""
    name, _, rest = key.partition(".")
    if isinstance(section, dict):
        return {**section, name: _set(section[name], rest, value)}
    return msgspec.structs.replace(section, **{name: _set(getattr(section, name), rest, value) if rest else value})


def test_configs_made_in_python_are_refused_as_those_of_files_are() -> None:
    for key, value, *_ in OUT_OF_BOUNDS:
        in_file = problem_of(load, overrides=[f"{key}={toml(value)}"])
        in_python = problem_of(checked, _set(Config(), key, value))
        assert in_python.removeprefix(f"config: {key}: ") == in_file.partition(f"{toml(value)}: ")[2]


def test_a_config_made_in_python_that_is_allowed_comes_back_equal() -> None:
    for config in EVERY_KIND.values():
        assert checked(config) == config


def test_conflicts_of_configs_made_in_python_are_refused() -> None:
    assert problems_of(checked, Config(services={"web": WebService(scaling=Scaling(min_tasks=9, max_tasks=3))})) == (
        "config: services.web.scaling.min_tasks: got 9, more than max_tasks = 3",
    )


def test_of_many_names_the_nearest_are_told_and_of_few_all(read: Loader, file: Path) -> None:
    (problem,) = problems_of(read, "[services.web]\ncapabilities = ['net_admn']")
    assert "got 'net_admn'; allowed are 38 names, of which the nearest: NET_ADMIN" in problem
    assert "WAKE_ALARM" not in problem
    (problem,) = problems_of(read, "[services.web]\ncapabilities = ['42']")
    assert '"WAKE_ALARM"' in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stack_nmae = 1", "1: stack_nmae: unknown; did you mean stack_name?"),
        ("\n[scalin]\n", "2: scalin: unknown; known here: stack_name, "),
        ("[services.web.scaling.cpu]\ntargt = 1", "2: services.web.scaling.cpu.targt: unknown; did you mean target?"),
        (
            "[services.web.scaling.cpu]\nqq = 1",
            "2: services.web.scaling.cpu.qq: unknown; known here: enabled, target, scale_out_cooldown_s,",
        ),
        (
            "[services.web]\nmin_tasks = 3",
            "2: services.web.min_tasks: unknown; did you mean services.web.scaling.min_tasks?",
        ),
        ("max_nodes = 3", "1: max_nodes: unknown; did you mean capacity.NAME.max_nodes?"),
        ("[services.web]\nflavour = 3", "2: services.web.flavour: unknown; known here: command, entrypoint, "),
        ("environment = 3", "1: environment: unknown; did you mean environments?"),
        ('[cluster]\nkind = "x"', "2: cluster.kind: unknown; known here: name, "),
        (
            "[network]\nkind = 'existing'\nzones = 3",
            '3: network.zones: unknown; it goes with kind = "new", and not with "existing"',
        ),
        (
            "[[services.web.scaling.schedules]]\nnam = 'a'",
            "2: services.web.scaling.schedules[0].nam: unknown; did you mean name?",
        ),
        # Keys of old, and units that are too many or too few.
        (
            "[[services.web.scaling.step_policies]]\nthreshold_percent = 90",
            "2: services.web.scaling.step_policies[0].threshold_percent: unknown; did you mean threshold?",
        ),
        (
            "[[services.web.scaling.step_policies]]\nminutes = 2",
            "2: services.web.scaling.step_policies[0].minutes: unknown; did you mean periods, each of period_s?",
        ),
        (
            "[[services.web.scaling.step_policies]]\nsteps = [{distance = 0, tasks = 2}]",
            "2: services.web.scaling.step_policies[0].steps[0].tasks: unknown; did you mean adjustment?",
        ),
        ("[services.web]\ncpu = 256", "2: services.web.cpu: unknown; did you mean cpu_units?"),
    ],
)
def test_unknown_keys_are_told_with_the_nearest_or_with_all(read: Loader, file: Path, text: str, said: str) -> None:
    problems = problems_of(read, text)
    assert next(problem for problem in problems if "unknown" in problem).startswith(f"{file}:{said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "services.web.scaling = 3",
            "1: services.web.scaling: got 3, which is not a table; write [services.web.scaling]",
        ),
        (
            "[[services.web.scaling]]\nmax_tasks = 3",
            "1: services.web.scaling: got [{'max_tasks': 3}], which is not a table; write [services.web.scaling]",
        ),
        ("[network]\nkind = 'old'", '2: network.kind: got \'old\'; allowed are "new", "existing"'),
        ("[network]\nkind = ['new']", '2: network.kind: got [\'new\']; allowed are "new", "existing"'),
        (
            "[services.web.scaling]\nschedules = [1]",
            "2: services.web.scaling.schedules[0]: got 1, which is not a table; ",
        ),
        (
            "[services.web.scaling]\nschedules = 'x'",
            "2: services.web.scaling.schedules: got 'x'; allowed is a list, as in [...] (Bounds",
        ),
        (
            "[capacity.nodes]\ninstance_types = []",
            "2: capacity.nodes.instance_types: got 0 of them; allowed are at least 1 (Types to",
        ),
        (
            "[capacity.nodes]\ninstance_types = ['A']",
            "2: capacity.nodes.instance_types[0]: got 'A'; allowed is a family and a size with",
        ),
        (
            "[services.web]\nhealth_command = ['a', 1]",
            "2: services.web.health_command[1]: got 1; allowed is a text; write it in quotes: ",
        ),
        (
            "[services.web.environment]\nA = 1",
            '2: services.web.environment.A: got 1; allowed is a text; write it in quotes: "1" (En',
        ),
        (
            "[services.web.environment]\n1A = ''",
            "2: services.web.environment.1A: got '1A'; allowed is a name of letters, digits and ",
        ),
        (
            "[services.web.scaling]\nmax_tasks = '9'",
            "2: services.web.scaling.max_tasks: got '9'; allowed is a whole number, 1 to 5000 tasks; write it without",
        ),
        (
            "[services.web.scaling]\nmax_tasks = 9.0",
            "2: services.web.scaling.max_tasks: got 9.0; allowed is a whole number, 1 to 5000 tasks (M",
        ),
        (
            "[services.web.scaling]\nhigh_resolution = 1",
            "2: services.web.scaling.high_resolution: got 1; allowed are true and false (CPU",
        ),
        (
            "[services.web.alarms]\nlatency_s = nan",
            "2: services.web.alarms.latency_s: got nan; allowed is more than 0 to 900 sec",
        ),
        ("\n[servces.web]\nkind = 'web'", "2: servces: unknown; did you mean services?"),
        ("stack_name = 2020-01-01", "1: stack_name: got 2020-01-01; allowed is a text; write it in quotes (Na"),
    ],
)
def test_what_is_not_what_it_should_be_is_told_with_its_line(read: Loader, file: Path, text: str, said: str) -> None:
    assert problem_of(read, text).startswith(f"{file}:{said}")


def test_what_must_be_given_is_told_with_its_meaning(read: Loader, file: Path) -> None:
    problem = problem_of(read, '[load_balancer.listener]\nkind = "domain"\ndomain_name = "a.example.com"\n')
    assert problem == (
        f"{file}:1: load_balancer.listener: load_balancer.listener.hosted_zone_id is missing: The public Route 53"
        " hosted zone that holds the name."
    )
    problems = problems_of(read, "[[services.web.scaling.schedules]]\nname = 'day'\n")
    assert [problem.partition(" is missing")[0].rpartition(" ")[2] for problem in problems] == [
        f"services.web.scaling.schedules[0].{name}" for name in ("at", "min_tasks", "max_tasks")
    ]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        (
            "[services.web.scaling]\nstep_policies = [{name = 'A', threshold = 9, steps = []}]",
            "got 0 of them; allowed are at least 1",
        ),
        (
            "".join(f"[services.a{number}]\n" for number in range(41)),
            "services: got 41 of them; allowed are at most 40",
        ),
        (f"[services.web.scaling]\nschedules = [{'{name = 1}, ' * 51}]", "got 51 of them; allowed are at most 50"),
        (
            "[services.web.tmpfs_mib]\n" + "".join(f"'/{n}' = 1\n" for n in range(11)),
            "got 11 of them; allowed are at most 10",
        ),
    ],
)
def test_too_many_and_too_few_are_refused(read: Loader, text: str, allowed: str) -> None:
    assert any(allowed in problem for problem in problems_of(read, text))


# --- names that AWS forbids


@pytest.mark.parametrize("name", ["aws-web", "AWS", "ecs", "Ecs2", "fargate-x", "1web", "web_1", "w" * 65, "", "a.b"])
def test_stack_names_that_aws_refuses_are_refused(name: str) -> None:
    assert "stack_name" in problem_of(load, overrides=[f"stack_name={toml(name)}"])


# --- files that cannot be read


def test_a_missing_file_is_a_usage_error_that_names_init(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.toml: no such file; `init` writes one"):
        load(tmp_path / "nowhere.toml")


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory; give a file that can be read"):
        load(tmp_path)


def test_a_file_that_is_not_utf8_is_told_with_the_byte(file: Path) -> None:
    file.write_bytes(b'stack_name = "caf\xe9"\n')
    with pytest.raises(UsageError, match="byte 17 is not UTF-8, which TOML files are"):
        load(file)


@pytest.mark.parametrize(
    "text", ["[scaling\nmax_tasks = 4", 'stack_name = "web', "a = ", "x", "a = 1\na = 2", "\0", "a = " + "[" * 5000]
)
def test_what_is_not_toml_is_told(read: Loader, file: Path, text: str) -> None:
    problem = problem_of(read, text)
    assert problem.startswith((f"{file}: ", f"{file}:1: ", f"{file}:2: "))
    assert problem.endswith(("; this is not TOML", "delete one of them"))


@pytest.mark.parametrize(
    ("text", "key", "line", "whole"),
    [
        ("[services.web.scaling]\ncpu = 3\ncpu.target = 4", "services.web.scaling.cpu.target", 2, "scaling.cpu"),
        ("[services.web.scaling]\ncpu = {}\ncpu.target = 4", "services.web.scaling.cpu.target", 2, "scaling.cpu"),
        ("[services.web]\nscaling = {}\n[services.web.scaling.cpu]", "services.web.scaling.cpu", 2, "scaling"),
    ],
)
def test_a_key_within_what_has_a_value_already_is_told_with_the_line_of_that_value(
    read: Loader, file: Path, text: str, key: str, line: int, whole: str
) -> None:
    assert problem_of(read, text) == (
        f"{file}:3: {key}: line {line} gives services.web.{whole} already, in another way; keep one of them"
    )


def test_a_text_that_is_too_long_is_told_with_its_length(read: Loader, file: Path) -> None:
    said = problem_of(read, f"[services.web]\nimage_uri = '{'a' * 1025}'")
    assert said.startswith(f"{file}:2: services.web.image_uri: got 'aaa")
    assert "'; it has 1025 characters; allowed are at most 1024 (The image to run; " in said
    assert read(f"[services.web]\nimage_uri = '{'a' * 1024}'").services["web"].image_uri == "a" * 1024


def test_a_number_of_thousands_of_digits_is_told(read: Loader) -> None:
    assert problem_of(read, "stack_name = " + "1" * 5000).endswith("; this is not TOML")


# --- what excludes each other

STEPS = "name = 'A', threshold = 50"
DAY = "at = 'rate(1 day)', min_tasks = 2, max_tasks = 3"
CONFLICTS = [
    (
        ['network={kind = "existing", load_balancer_subnets = ["subnet-0a1b2c3d", "subnet-0a1b2c3d"]}'],
        "network.load_balancer_subnets: a load balancer needs subnets in two zones at least; name two",
    ),
    (["network.cidr=10.0.0.1/16"], "network.cidr: it has host bits set, which a range has not; write 10.0.0.0/16"),
    (["network.cidr=10.0.0.300/16"], "network.cidr: 300 in 10.0.0.300 is not 0 to 255"),
    (["network.cidr=10.0.0.0/25"], "network.cidr: its length is /25: its eight subnets would be /28, where a load"),
    (["network.cidr=10.0.0.0/15"], "network.cidr: its length is /15: its eight subnets would be /18, where a load"),
    (
        ["network.egress=public-subnets", "services.web.network_mode=awsvpc"],
        'network.egress: "public-subnets" gives a way out only to addresses of nodes',
    ),
    (
        ["services.web.health_check.timeout_s=10"],
        "services.web.health_check.timeout_s: got 10, which must be less than interval_s = 10",
    ),
    (["capacity.nodes.min_nodes=6"], "capacity.nodes.min_nodes: got 6, more than max_nodes = 5"),
    (["capacity.nodes.on_demand_base=6"], "capacity.nodes.on_demand_base: got 6, more than max_nodes = 5"),
    (
        ['capacity.nodes.instance_types=["t3.small", "t3.small"]'],
        "capacity.nodes.instance_types: a type is named twice",
    ),
    (
        ["capacity.nodes.scaling.min_step=4", "capacity.nodes.scaling.max_step=3"],
        "capacity.nodes.scaling.min_step: got 4, more than max_step = 3",
    ),
    (["services.web.placement=binpack"], 'services.web.zone_rebalancing: does not go with placement = "binpack"'),
    (
        ["services.web.deployment.maximum_percent=100"],
        "services.web.deployment.maximum_percent: got 100; zone_rebalancing starts a task before it stops one",
    ),
    (
        ["services.web.exec=true"],
        "services.web.exec: the agent of ECS Exec writes to the root file system, and AWS supports no read-only",
    ),
    (
        ["services.web.memory_mib=64"],
        "services.web.tmpfs_mib: 64 MiB in all, which must be less than the container's 64 MiB",
    ),
    (
        [
            "services.web.environment.KEY=a",
            "services.web.secrets.KEY=arn:aws:ssm:us-east-1:123456789012:parameter/key",
        ],
        "services.web.secrets: KEY also in services.web.environment; keep one of the two",
    ),
    (["services.web.scaling.min_tasks=21"], "services.web.scaling.min_tasks: got 21, more than max_tasks = 20"),
    (
        ["services.web.scaling.schedules=[{name = 'a', at = 'rate(1 day)', min_tasks = 4, max_tasks = 3}]"],
        "services.web.scaling.schedules[0].min_tasks: got 4, more than its max_tasks = 3",
    ),
    (
        [f"services.web.scaling.schedules=[{{name = 'a', {DAY}}}, {{name = 'a', {DAY}}}]"],
        "services.web.scaling.schedules: the name a is there",
    ),
    (
        [
            f"services.web.scaling.step_policies=[{{{STEPS}, steps = [{{adjustment = 1}}]}},"
            f" {{{STEPS}, steps = [{{adjustment = 1}}]}}]"
        ],
        "services.web.scaling.step_policies: the name A is there twice; names are unique",
    ),
    (
        [f"services.web.scaling.step_policies=[{{{STEPS}, steps = [{{distance = 5, adjustment = 1}}]}}]"],
        "services.web.scaling.step_policies[0].steps: distances are [5]; the first is 0",
    ),
    (
        [f"services.web.scaling.step_policies=[{{{STEPS}, steps = [{{adjustment = 1}}, {{adjustment = 2}}]}}]"],
        "services.web.scaling.step_policies[0].steps: distances are [0, 0]; the first is 0",
    ),
    (
        [
            f"services.web.scaling.step_policies=[{{{STEPS}, when = 'below', steps = [{{adjustment = -1}},"
            " {distance = 50, adjustment = -2}]}]"
        ],
        "services.web.scaling.step_policies[0].steps: a distance of 50 below a threshold of 50 can never be",
    ),
    (
        [
            "services.web.scaling.high_resolution=false",
            f"services.web.scaling.step_policies=[{{{STEPS}, period_s = 30, steps = [{{adjustment = 1}}]}}]",
        ],
        "services.web.scaling.step_policies[0].period_s: got 30, where metrics come every 60 s",
    ),
    (
        [
            f"services.web.scaling.step_policies=[{{{STEPS}, "
            f"min_adjustment_magnitude = 2, steps = [{{adjustment = 1}}]}}]"
        ],
        "services.web.scaling.step_policies[0].min_adjustment_magnitude: got 2, which goes with adjustment_type",
    ),
    (
        [
            f"services.web.scaling.step_policies=[{{{STEPS}, "
            f"adjustment_type = 'ExactCapacity', steps = [{{adjustment = -1}}]}}]"
        ],
        "services.web.scaling.step_policies[0].steps: an ExactCapacity of less than no task",
    ),
]


LISTENER = 'load_balancer.listener={{kind = "certificate", domain_name = "a.example.com", certificate_arn = "{}"}}'
CERTIFICATE = LISTENER.format("arn:aws:acm:us-east-1:123456789012:certificate/0a1b")
PLACES = [
    (
        ["region=eu-west-1", CERTIFICATE],
        "load_balancer.listener.certificate_arn: is in us-east-1, where region is eu-west-1; only one of the same",
    ),
    (
        ["account_id=210987654321", CERTIFICATE],
        "load_balancer.listener.certificate_arn: is of the account 123456789012, where account_id is 210987654321",
    ),
    (
        ["region=eu-west-1", "services.web.secrets.K=arn:aws-cn:ssm:cn-north-1:123456789012:parameter/k"],
        "services.web.secrets.K: is in the partition aws-cn, where eu-west-1 is not",
    ),
    (
        ["permissions_boundary=arn:aws-cn:iam::123456789012:policy/b", CERTIFICATE],
        "load_balancer.listener.certificate_arn: is in the partition aws, permissions_boundary in aws-cn",
    ),
    (['tags={Team = "a", team = "b"}'], "tags.team: differs from Team in case only"),
    (
        ["capacity.nodes.machine_image=/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id"],
        "capacity.nodes.machine_image: is for arm64, where architecture is x86_64",
    ),
]
CONFLICTS += PLACES


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["network.cidr=8.8.0.0/16"], "network.cidr: 8.8.0.0/16 is not private"),
        (["network.cidr=172.17.0.0/16"], "network.cidr: 172.17.0.0/16 is a range that Docker"),
        (["region=eu-west-9"], "region: eu-west-9 is none of the regions that this version knows"),
        (
            ["region=eu-west-1", "services.web.secrets.K=arn:aws:ssm:us-east-1:123456789012:parameter/k"],
            "services.web.secrets.K: is in us-east-1, where the set goes to eu-west-1",
        ),
    ],
)
def test_what_aws_takes_and_few_mean_is_remarked_upon(overrides: list[str], said: str) -> None:
    (remark,) = remarks(load(overrides=overrides))
    assert str(remark).startswith(said)


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "172.16.0.0/16", "172.31.0.0/20", "192.168.7.0/24", "100.64.0.0/16"])
def test_private_ranges_have_no_remark(cidr: str) -> None:
    assert remarks(load(overrides=[f"network.cidr={cidr}", "region=eu-west-1"])) == []


@pytest.mark.parametrize(("overrides", "said"), CONFLICTS, ids=[said.partition(":")[0] for _, said in CONFLICTS])
def test_tunables_that_exclude_each_other_are_refused(overrides: list[str], said: str) -> None:
    key, _, what = said.partition(": ")
    problem = problem_of(load, overrides=overrides)
    assert what in problem
    # Told where it was given: in an override, or else by its key.
    assert problem.startswith((f"the default config: {key}: ", "--set "))
    assert any(problem.startswith(f"--set {override}") for override in overrides) or f"config: {key}: " in problem


def test_all_conflicts_of_a_config_are_told_in_one_run(read: Loader, file: Path) -> None:
    text = "[services.web.scaling]\nmin_tasks = 30\n[capacity.nodes]\nmin_nodes = 9\non_demand_base = 8\n"
    problems = problems_of(read, text)
    assert problems == (
        f"{file}:4: capacity.nodes.min_nodes: got 9, more than max_nodes = 5",
        f"{file}:5: capacity.nodes.on_demand_base: got 8, more than max_nodes = 5",
        f"{file}:2: services.web.scaling.min_tasks: got 30, more than max_tasks = 20",
    )


def test_bounds_may_be_equal() -> None:
    config = load(
        overrides=["services.web.scaling.min_tasks=20", "capacity.nodes.min_nodes=5", "capacity.nodes.on_demand_base=5"]
    )
    assert config.services["web"].scaling.min_tasks == config.services["web"].scaling.max_tasks


# --- merging


NESTED = st.recursive(
    st.one_of(st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2)),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(st.sampled_from("abc"), NESTED, max_size=3)


@unhurried
@given(TABLES, TABLES)
def test_merging_keeps_what_the_overlay_says_and_changes_neither(under: dict[str, Any], over: dict[str, Any]) -> None:
    before = repr((under, over))
    both = merged(under, over, None)
    assert repr((under, over)) == before
    assert merged(both, over, None) == both
    assert merged(under, {}, None) == under
    assert merged({}, over, None) == over
    assert list(both) == list(dict.fromkeys([*under, *over]))


# --- nothing but a Config or a refusal


def _known_keys() -> list[str]:
    keys = {part for config in EVERY_KIND.values() for key, *_ in tunables(config) for part in key.split(".")}
    return sorted(keys | {"kind", "environments", "prod", "name", "at", "steps", "tasks"})


SCALARS = st.one_of(
    st.integers(),
    st.booleans(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.datetimes(),
    st.sampled_from(["new", "existing", "http", "certificate", "domain", "bridge", "t3.small", "rate(1 day)", 1, 2, 5]),
)
KEYS = st.one_of(st.sampled_from(_known_keys()), st.text(max_size=5))
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4))
)
ANY_TABLES = st.dictionaries(KEYS, ANYTHING, max_size=5)


@st.composite
def nearly_right(draw: st.DrawFn) -> dict[str, Any]:
    """The tables of a good config in which something, somewhere, is something else."""
    tables: dict[str, Any] = msgspec.to_builtins(draw(st.sampled_from(list(EVERY_KIND.values()))))
    if draw(st.booleans()):
        overlay = draw(ANY_TABLES)
        tables["environments"] = {draw(KEYS): overlay}
    place = tables
    while True:
        key = draw(st.sampled_from([*place, draw(KEYS)]))
        below = place.get(key)
        if not isinstance(below, dict) or draw(st.integers(0, 3)) == 0:
            place[key] = draw(ANYTHING)
            return tables
        place = below


def written(value: Any) -> str:
    """A value as TOML: dates too, and of floats those that JSON has no word for."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{toml(key)} = {written(item)}" for key, item in value.items() if item is not None) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return value.isoformat() if hasattr(value, "isoformat") else toml(value)


def config_or_refusal(action: Callable[[], Config]) -> None:
    try:
        config = action()
    except (ConfigError, UsageError) as refused:
        problems = refused.problems if isinstance(refused, ConfigError) else (str(refused),)
        assert problems
        for problem in problems:
            assert problem.strip()
            assert problem.splitlines() == [problem]
    else:
        assert checked(config) == config


@unhurried
@given(
    tables=st.one_of(ANY_TABLES, nearly_right()),
    environment=st.one_of(st.none(), st.sampled_from(["prod", "a\nb"])),
    overrides=st.lists(
        st.one_of(
            st.text(max_size=12),
            st.builds(lambda keys, value: f"{'.'.join(keys)}={value}", st.lists(KEYS, max_size=3), SCALARS),
        ),
        max_size=2,
    ),
)
@example({"network": {"kind": [1]}}, None, [])
@example({"a\nb": 1, "environments": {"c\nd": {"x": 1}}}, "a\nb", [])
@example({}, None, ["stack_name=web\n[x]", "a\u2028b=1"])
def test_any_file_and_overrides_give_a_config_or_a_refusal_in_lines(
    file: Path, tables: dict[str, Any], environment: str | None, overrides: list[str]
) -> None:
    file.write_text("".join(f"{toml(key)} = {written(value)}\n" for key, value in tables.items()), encoding="utf-8")
    config_or_refusal(lambda: load(file, environment=environment, overrides=overrides))


@unhurried
@given(text=st.text(max_size=60))
def test_any_text_gives_a_config_or_a_refusal_in_lines(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="")
    config_or_refusal(lambda: load(file))


@unhurried
@given(raw=st.binary(max_size=30))
def test_any_bytes_give_a_config_or_a_refusal_in_lines(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    config_or_refusal(lambda: load(file))


def test_what_no_config_can_hold_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="use numbers, strings, tuples, dicts and sections"):
        checked(Config(services={"web": WebService(scaling=Scaling(max_tasks=object()))}))  # type: ignore[arg-type]


# --- sections by name


@pytest.mark.parametrize(
    ("key", "now"),
    [
        ("service.cpu_units", "services.web.cpu_units"),
        ("scaling.max_tasks", "services.web.scaling.max_tasks"),
        ("scaling.nodes.min_step", "capacity.nodes.scaling.min_step"),
        ("cluster.max_nodes", "capacity.nodes.max_nodes"),
        ("cluster.node_image", "capacity.nodes.machine_image"),
        ("load_balancer.health_check.path", "services.web.health_check.path"),
        ("load_balancer.deregistration_delay_s", "services.web.deregistration_delay_s"),
        ("registry.pull_from", "services.web.pull_from"),
        ("observability.error_percent", "services.web.alarms.error_percent"),
        ("observability.latency_s", "services.web.alarms.latency_s"),
        ("observability.utilization_percent", "services.web.alarms.utilization_percent"),
        ("pipeline.kind", "services.web.pipeline.kind"),
    ],
)
def test_a_key_of_old_is_refused_with_the_new_one(read: Loader, key: str, now: str) -> None:
    table, _, name = key.rpartition(".")
    said = f"{key}: is now {now}"
    assert f"--set {key}=3: is now {now}" in problem_of(load, overrides=[f"{key}=3"])
    assert said in problem_of(read, f"[{table}]\n{name} = 3\n")
    overlay = problem_of(read, f"[environments.prod.{table}]\n{name} = 3\n")
    assert said in overlay
    assert ":1: " in overlay or ":2: " in overlay


@pytest.mark.parametrize("room", ["services", "capacity"])
@pytest.mark.parametrize("name", ["Web", "1a", "a_b", "a-", "a--b", "a-1", "a.b c", "x" * 21, "ä", ""])
def test_a_name_that_no_title_can_be_made_of_is_refused_in_words(read: Loader, room: str, name: str) -> None:
    (problem, *_) = problems_of(read, f"[{room}.{toml(name)}]\n")
    assert "allowed is 1 to 20 lower case letters and digits, in words that begin with a letter" in problem


def test_a_file_that_names_services_has_those_alone(read: Loader) -> None:
    text = "[services.api]\n[capacity.big]\nmax_nodes = 9\n"
    config = read(text)
    assert (list(config.services), list(config.capacity)) == (["api"], ["big"])
    assert list(read("[services.api]\n").capacity) == ["nodes"]
    prod = "[environments.prod.services.api]\nkind = 'worker'\n"
    assert list(read(text + prod, environment="prod").services) == ["api"]
    # What an overlay or an override names is one more, or a part of one.
    assert list(read(prod, environment="prod", overrides=["services.web.route.priority=9"]).services) == ["web", "api"]


def test_a_project_s_own_services_are_merged_with_those_of_its_file(read: Loader) -> None:
    own = Config(services={"shop": WebService(cpu_units=512), "mail": WorkerService()})
    config = read("[services.shop]\nmemory_mib = 300\n", base=own)
    assert config.services == {"shop": WebService(cpu_units=512, memory_mib=300), "mail": WorkerService()}


def test_a_section_of_another_kind_begins_with_the_defaults_of_its_kind(read: Loader) -> None:
    assert read('[services.web]\nkind = "worker"\n').services == {"web": WorkerService()}
    assert read('[capacity.nodes]\nkind = "fargate"\n[services.web]\nmemory_mib = 512\n').capacity == {
        "nodes": FargateCapacity()
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services = 3", "1: services: got 3, which is not a table of tables; write [services.NAME]"),
        ("[services]\nweb = 3", "2: services.web: got 3, which is not a table; write [services.web]"),
        ("[services.web.scaling]\nmin_taks = 3", "2: services.web.scaling.min_taks: unknown; did you mean min_tasks?"),
        ("[services.api]\nkind = 'wbe'", '2: services.api.kind: got \'wbe\'; allowed are "web", "internal", "worker"'),
        (
            "[services.api]\nkind = 'worker'\ncontainer_port = 80",
            '3: services.api.container_port: unknown; it goes with kind = "web", and not with "worker"',
        ),
        (
            "[capacity.a]\nkind = 'fargate'\nmax_nodes = 3",
            '3: capacity.a.max_nodes: unknown; it goes with kind = "ec2", and not with "fargate"',
        ),
        ("[services.web]\ncapacity = 'nods'", "2: services.web.capacity: got 'nods'; the pools are nodes"),
        (
            "[services.web]\nreaches = ['api']",
            "2: services.web.reaches: api is not there; the internal services are none",
        ),
        ("[services.web]\nimage_of = 'api'", "2: services.web.image_of: got 'api'; the services are web"),
        ("[services]", "1: services: there is none; write one, as in [services.web]"),
        ("[capacity]", "1: capacity: there is no pool for tasks to run on; write one, as in [capacity.nodes] kind"),
        (
            "[capacity.a]\n[capacity.b]\n[services.web]",
            "3: services.web.capacity: there are several pools, a, b; say on which it runs",
        ),
    ],
)
def test_mistakes_in_sections_by_name_are_told_with_line_and_key(
    read: Loader, file: Path, text: str, said: str
) -> None:
    assert problem_of(read, text).startswith(f"{file}:{said}")

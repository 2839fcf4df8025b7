"""Task definitions as containers, policies as the loop's rules, and secrets from a file: without an engine."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore
import pytest

import scaleout_cfn as sc
from scaleout_cfn.local import Containers, EmulatorError, attach, running
from scaleout_cfn.local.containers.engine import find
from scaleout_cfn.local.containers.lifecycle import StartError, Tasks, Work
from scaleout_cfn.local.containers.scaling import Policies, policies_of
from scaleout_cfn.local.containers.tasks import LEFT_OUT, containers_of, left_out, ports_of, read_secrets, size_of

#: What names a definition, or tells of it, and asks nothing of a container.
SAID = {"family", "tags", "appProtocol", "hostPort", "protocol", "containerPortRange", "logConfiguration", "secrets"}


class Seen(dict[str, Any]):
    """A mapping that knows which of its members were asked for."""

    def __init__(self, given: dict[str, Any], asked: set[str]) -> None:
        super().__init__({name: seen(value, asked) for name, value in given.items()})
        self.asked = asked

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def seen(value: Any, asked: set[str]) -> Any:
    if isinstance(value, dict):
        return Seen(value, asked)
    return [seen(entry, asked) for entry in value] if isinstance(value, list) else value


def shapes() -> dict[str, Any]:
    (file,) = (Path(botocore.__file__).parent / "data" / "ecs").glob("*/service-2.json*")
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return dict(json.loads(text)["shapes"])


def filled(shape: str, known: dict[str, Any], names: set[str]) -> Any:
    """A value of a shape of ECS's API with every member that it may have."""
    kind = known[shape]
    if kind["type"] == "structure":
        names.update(kind["members"])
        return {name: filled(member["shape"], known, names) for name, member in kind["members"].items()}
    if kind["type"] == "list":
        return [filled(kind["member"]["shape"], known, names)]
    if kind["type"] == "map":
        return {"key": "value"}
    return {"integer": 3, "boolean": True}.get(kind["type"], "1")


def test_each_member_of_a_task_definition_is_carried_or_named_among_those_that_are_not() -> None:
    known, names = shapes(), set[str]()
    definition = filled("RegisterTaskDefinitionRequest", known, names)
    (container,) = definition["containerDefinitions"]
    container["dependsOn"] = []
    asked: set[str] = set()
    watched = seen(definition, asked)
    made = containers_of(watched, {}, {"1": "volume"})
    assert [entry.name for entry in made] == ["1"]
    ports_of(watched), size_of(watched)
    below = set[str]()
    for name in names & {*LEFT_OUT, "logConfiguration", "volumes", "secrets", "tags"}:
        for shape in known.values():
            member = shape.get("members", {}).get(name) if shape["type"] == "structure" else None
            if member:
                filled(member["shape"], known, below)
    waits = {"dependsOn", "containerName", "condition", "volumes"}
    missed = names - asked - {*LEFT_OUT} - SAID - waits - below
    assert not missed
    told = left_out(definition)
    for name in ("environmentFiles", "devices", "restartPolicy"):
        assert any(name in sentence and LEFT_OUT[name] in sentence for sentence in told)


def rendered(config: sc.Config, kind: str) -> Iterator[dict[str, Any]]:
    """The resources of a type that a config renders, as its services' APIs call their members."""
    from scaleout_cfn.local.types.ecs_requests import as_request

    for template in sc.set_of(sc.compose(config)).values():
        for resource in template["Resources"].values():
            if resource["Type"] == kind:
                properties = resource["Properties"]
                yield as_request(properties) if kind.startswith("AWS::ECS") else properties


def test_a_rendered_definition_runs_with_its_bounds_its_order_and_its_network() -> None:
    web = sc.WebService(
        memory_mib=1024,
        cpu_units=512,
        user="10001",
        environment={"MODE": "x"},
        health_command=("check",),
        sidecars={
            "setup": sc.InitSidecar(entrypoint=("/bin/sh", "-c"), command=("true",)),
            "reader": sc.ContainerSidecar(image_uri="img", command=("read",), ports=(9000,), after={"web": "HEALTHY"}),
        },
        volumes={"pages": sc.BindVolume(mounts={"web": "/srv", "setup": "/p"}, read_only_for=("web",))},
    )
    config = sc.Config(capacity={"air": sc.FargateCapacity()}, services={"web": web})
    (definition,) = rendered(config, "AWS::ECS::TaskDefinition")
    for container in definition["containerDefinitions"]:
        container["image"] = "image"
    setup, main, reader = containers_of(definition, {"web": {"command": ["other"]}}, {"pages": "v1"})
    assert [setup.name, main.name, reader.name] == ["setup", "web", "reader"]
    # What ends has a network of its own; what stays shares that of the first, which alone lets ports out.
    assert (setup.owner, main.owner, reader.owner) == ("setup", "web", "web")
    assert (setup.published, set(main.published), reader.published) == ((), {8080, 9000}, ())
    assert main.waits == (("setup", "SUCCESS"),) and reader.waits == (("web", "HEALTHY"),)
    wanted = {"--read-only", "--cap-drop=ALL", "--user=10001", "--env=MODE=x", "--volume=v1:/srv:ro", "--cpus=0.5"}
    assert wanted <= {*main.options} and any(option.startswith("--tmpfs=/tmp:rw,size=") for option in main.options)
    assert "--volume=v1:/p:rw" in setup.options and "--entrypoint=/bin/sh" in setup.options
    assert setup.command == ("-c", "true") and main.command == ("other",)
    assert main.health and main.health.words == ("check",)
    assert size_of(definition) == (512, 1024)


def test_containers_that_wait_for_each_other_are_refused() -> None:
    ring = [
        {"name": name, "image": "x", "dependsOn": [{"containerName": other, "condition": "START"}]}
        for name, other in (("a", "b"), ("b", "a"))
    ]
    with pytest.raises(ValueError, match="a, b"):
        containers_of({"containerDefinitions": ring}, {}, {})


class Once(threading.Condition):
    """Who waits for a change waits once, and then the task is to stop."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work

    def wait(self, timeout: float | None = None) -> bool:
        self.work.stopping.set()
        return True


def test_a_task_does_not_wait_for_a_container_that_is_found_unhealthy() -> None:
    after = {"dependsOn": [{"containerName": "a", "condition": "HEALTHY"}]}
    waits = [{"name": "a", "image": "x"}, {"name": "b", "image": "x"} | after]
    _, last = containers_of({"containerDefinitions": waits}, {}, {})
    work = Work("arn", ("account", "region"), (0, 0), "web", healthy={"a": False})
    with pytest.raises(StartError, match="b waits for a to be healthy, which is not"):
        Tasks._await(SimpleNamespace(changed=Once(work)), work, last)  # type: ignore[arg-type]


def test_what_a_task_writes_last_is_read_before_its_containers_go() -> None:
    done: list[str] = []
    log = SimpleNamespace(join=lambda _: done.append("read"))
    work = Work("arn", ("111122223333", "us-east-1"), (0, 0), "", names={"a": "one"}, codes={"a": 0}, logs=[log])  # type: ignore[list-item]
    engine = SimpleNamespace(remove=lambda names, volumes: done.append(f"{names} removed"))
    nodes = SimpleNamespace(free=lambda task: None)
    tasks = SimpleNamespace(engine=engine, changed=threading.Condition(), nodes=nodes, works={"arn": work})
    task = {
        "taskDefinitionArn": "none:1",
        "clusterArn": "arn:aws:ecs:us-east-1:111122223333:cluster/c",
        "containers": [],
    }
    Tasks._end(tasks, task, work)  # type: ignore[arg-type]
    assert done == ["read", "['one'] removed"] and task["lastStatus"] == "STOPPED"


def test_the_loop_gets_the_policies_of_the_config() -> None:
    steps = (sc.StepAdjustment(distance=0, adjustment=1), sc.StepAdjustment(distance=20, adjustment=3))
    step = sc.StepScaling(name="Fast", threshold=70, period_s=30, periods=2, cooldown_s=40, steps=steps)
    scaling = sc.Scaling(
        memory=sc.TargetTracking(enabled=True, target=70, scale_in=False),
        requests=sc.TargetTracking(enabled=True, target=500),
        step_policies=(step,),
    )
    config = sc.Config(services={"web": sc.WebService(scaling=scaling)})
    policies = [
        {"PolicyARN": f"arn-{number}", **policy}
        for number, policy in enumerate(rendered(config, "AWS::ApplicationAutoScaling::ScalingPolicy"))
    ]
    stepped = next(policy for policy in policies if policy["PolicyType"] == "StepScaling")
    alarms = [
        {**alarm, "AlarmActions": [stepped["PolicyARN"]] if alarm.get("Period") == 30 else []}
        for alarm in rendered(config, "AWS::CloudWatch::Alarm")
    ]
    found = policies_of(policies, alarms)
    read = found.scaling
    assert (read.cpu, read.memory, read.requests) == (scaling.cpu, scaling.memory, scaling.requests)
    assert read.high_resolution and not found.backlog
    (own,) = read.step_policies
    assert (own.threshold, own.period_s, own.periods, own.cooldown_s) == (70, 30, 2, 40)
    assert (own.metric, own.when, own.adjustment_type, own.steps) == ("cpu", "above", "ChangeInCapacity", steps)


def test_the_loop_gets_the_pulse_and_its_steps_and_the_backlog_of_a_queue() -> None:
    pulse = sc.LogPulse(target_rps=20, scale_in_cooldown_s=60)
    queue = sc.Queue(latency_s=10, seconds_per_message=2)
    config = sc.Config(
        capacity={"nodes": sc.Ec2Capacity(max_nodes=9)},
        services={
            "web": sc.WebService(scaling=sc.Scaling(pulse=pulse, cpu=sc.TargetTracking(enabled=False))),
            "mailer": sc.WorkerService(image_of="web", scaling=sc.Scaling(min_tasks=0), queue=queue),
        },
    )
    web, mailer = (deployed(config, name) for name in ("web-service", "mailer-service"))
    assert web.scaling.pulse == pulse and not web.backlog
    assert {(step.metric, step.period_s) for step in web.scaling.step_policies} == {("pulse", 10)}
    assert mailer.backlog and mailer.backlog.tracking.target == 5 and mailer.backlog.first_cooldown_s is not None
    assert "QueueName" in str(mailer.queue) and not mailer.scaling.step_policies


def deployed(config: sc.Config, stack: str) -> Policies:
    """The policies of a stack of one service."""
    resources = sc.set_of(sc.compose(config))[f"{stack}.yaml"]["Resources"]
    policies = [
        {"PolicyARN": {"Ref": title}, **resource["Properties"]}
        for title, resource in resources.items()
        if resource["Type"] == "AWS::ApplicationAutoScaling::ScalingPolicy"
    ]
    alarms = [resource["Properties"] for resource in resources.values() if resource["Type"] == "AWS::CloudWatch::Alarm"]
    return policies_of(policies, alarms)


def test_secrets_are_read_from_lines_and_a_wrong_one_is_told_without_its_value(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text("# of the shop\nA=1=2\nexport B = 'x y'\n\n")
    assert read_secrets(file) == {"A": "1=2", "B": "x y"}
    file.write_text("A=1\nhunter2\n")
    with pytest.raises(EmulatorError, match=r"line 2 is not NAME=VALUE") as refusal:
        read_secrets(file)
    assert "hunter2" not in str(refusal.value)


def test_without_an_engine_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmulatorError, match=r"docker: not installed; podman: not installed.*install or start one"):
        find()
    command = [sys.executable, "-m", "scaleout_cfn", "deploy", "--local", "--containers", "--image", "x/y:1", "--yes"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "no container engine works here" in done.stderr and "Traceback" not in done.stderr


def docker(folder: Path, gateway: str) -> str:
    """A PATH with a docker alone that writes down what it is told; the bridge of its engine has this gateway."""
    program = folder / "docker"
    program.write_text(
        f"""#!{sys.executable}
import json, sys
with open({str(folder / "told")!r}, "a") as told:
    told.write(json.dumps(sys.argv[1:]) + "\\n")
state = [dict(State=dict(Pid=7), NetworkSettings=dict(Ports={{"80/tcp": [dict(HostPort="4711")]}}))]
answers = dict(version="27.5.1", network="{gateway} ", inspect=json.dumps(state))
print(answers.get(sys.argv[1], ""), end="")
"""
    )
    program.chmod(0o755)
    return str(folder)


# An engine that was started once tells the subnet alone: https://github.com/moby/moby/issues/26799
@pytest.mark.parametrize(("gateway", "address"), [("127.0.0.2", "127.0.0.2"), ("127.0.0.8/29", "127.0.0.9")])
def test_docker_s_containers_come_by_its_bridge_where_the_emulator_listens(
    gateway: str, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", docker(tmp_path, gateway))
    engine = find()
    home = engine.way_home()
    assert (engine.name, engine.version, home.listening) == ("docker", "27.5.1", address)
    assert home.options == (f"--add-host=host.docker.internal:{address}",)
    with running(containers=Containers()) as emulator:
        by_bridge = emulator.endpoint_url.replace("127.0.0.1", address)
        assert attach(by_bridge).containers == "docker 27.5.1"
    started = engine.run("name", home.options, ["image", "word"], {"WORD": "hidden"})
    assert (started.pid, started.ports) == (7, {80: 4711})
    engine.stop("name", 9)
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    (run,) = [words for words in told if words[0] == "run"]
    assert run[-2:] == ["image", "word"] and "--env=WORD" in run and "hidden" not in str(told)
    assert ["stop", "-t", "9", "name"] in told


def test_where_docker_s_bridge_is_in_a_virtual_machine_containers_come_to_the_loopback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", docker(tmp_path, "203.0.113.1"))
    home = find().way_home()
    assert (home.address, home.listening) == ("host-gateway", "127.0.0.1")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--containers",), "--containers goes with --local"),
        (("--local", "--pace", "10"), "--pace and --secrets go with --local --containers"),
        (("--local", "--containers", "--pace", "0"), "--pace"),
    ],
)
def test_what_goes_with_containers_alone_is_refused_without(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from scaleout_cfn.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["deploy", *options])
    assert ended.value.code == 2 and said in capsys.readouterr().err

"""A pulse: requests that the tasks count themselves, told by a line in ten seconds, and what scales by them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scaleout_cfn as sc
from scaleout_cfn.config.pulse import reader
from scaleout_cfn.config.scaling import pulse_steps
from stacks.helpers import made, of_type, properties, ref

STACK = {"Ref": "AWS::StackName"}
LOG = sc.LogPulse(target_rps=25)


def config(pulse: Any, kind: type[Any] = sc.WebService, **settings: Any) -> sc.Config:
    scaling = sc.Scaling(max_tasks=6, **settings.pop("scaling", {}), pulse=pulse)
    return sc.Config(services={"web": kind(scaling=scaling, **settings)})


def refusal(of: sc.Config) -> str:
    with pytest.raises(sc.ConfigError) as raised:
        sc.compose(of)
    return str(raised.value)


def containers(of: sc.Config) -> dict[str, dict[str, Any]]:
    definition = properties(made(of), "web-service", "TaskDefinition")
    return {container["Name"]: container for container in definition["ContainerDefinitions"]}


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["Name"]: entry["Value"] for entry in container.get("Environment", [])}


def test_tracking_keeps_the_rate_and_alarms_of_ten_seconds_add_tasks() -> None:
    template = made(config(sc.LogPulse(target_rps=25, scale_out_cooldown_s=7, scale_in_cooldown_s=77)))
    policies = of_type(template["web-service.yaml"], "ApplicationAutoScaling::ScalingPolicy")
    assert set(policies) == {"CpuTracking", "PulseTracking", "PulseSteps", "PulseTwiceSteps"}
    tracking = policies["PulseTracking"]["TargetTrackingScalingPolicyConfiguration"]
    metric = {
        "Namespace": "Pulse",
        "MetricName": "RequestsPerSecond",
        "Dimensions": [{"Name": "Service", "Value": STACK}],
    }
    assert tracking["CustomizedMetricSpecification"] == {**metric, "Statistic": "Average"}
    assert "PredefinedMetricSpecification" not in tracking
    assert (tracking["TargetValue"], tracking["ScaleOutCooldown"], tracking["ScaleInCooldown"]) == (25, 7, 77)
    for name, threshold in (("Pulse", 25), ("PulseTwice", 50)):
        alarm = properties(template, "web-service", f"{name}Alarm")
        assert {key: alarm[key] for key in metric} == metric
        assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["Threshold"]) == (10, 1, threshold)
        assert alarm["AlarmActions"] == [ref(f"{name}Steps")]


@given(target=st.floats(0.1, 1e5), rate=st.floats(1, 1e6), running=st.integers(1, 500))
def test_a_step_brings_enough_tasks_for_the_rate_and_less_than_twice_as_many(
    target: float, rate: float, running: int
) -> None:
    for policy in pulse_steps(sc.LogPulse(target_rps=target)):
        breached = [step for step in policy.steps if rate >= policy.threshold + step.distance]
        if not breached or rate > 31 * target:
            continue
        tasks = running * (1 + breached[-1].adjustment / 100)
        assert running * rate / target <= tasks * (1 + 1e-4)
        assert tasks <= 2 * running * rate / target * (1 + 1e-4)


def test_the_service_s_own_container_is_told_what_the_metric_calls_it() -> None:
    there = containers(config(LOG))
    assert set(there) == {"web"} and variables(there["web"]) == {"PULSE_SERVICE": STACK}
    assert not variables(containers(config(None))["web"])


def test_a_sidecar_that_reads_is_given_the_address_a_part_of_the_task_and_no_right() -> None:
    nginx = containers(config(sc.NginxPulse(target_rps=25, port=8081)))
    assert variables(nginx["pulse"]) == {
        "ADDRESS": "http://127.0.0.1:8081/nginx_status",
        "PULSE_SERVICE": STACK,
    }
    assert not variables(nginx["web"])
    assert nginx["web"]["Memory"] + nginx["pulse"]["Memory"] == sc.WebService().memory_mib
    assert nginx["pulse"]["Essential"] is False and nginx["pulse"]["ReadonlyRootFilesystem"] is True
    address = sc.AddressPulse(target_rps=25, counter="shop:requests")
    own = config(address, kind=sc.InternalService, container_port=9000)
    assert variables(containers(own)["pulse"]) == {
        "ADDRESS": "http://127.0.0.1:9000/metrics",
        "COUNTER": "shop:requests",
        "PULSE_SERVICE": STACK,
    }
    plain, read = (properties(made(one), "web-service", "TaskRole") for one in (config(None), config(address)))
    assert plain == read


def test_the_ready_made_nginx_in_front_is_what_is_asked_and_says_it_to_its_task_alone() -> None:
    front = sc.ProxySidecar(port=8765)
    there = containers(config(sc.NginxPulse(target_rps=25), sidecars={"front": front}, memory_mib=512))
    assert variables(there["pulse"])["ADDRESS"] == "http://127.0.0.1:8765/nginx_status"
    status = "location = /nginx_status { stub_status; allow 127.0.0.1; deny all; }"
    assert status in variables(there["front"])["NGINX_CONF"]
    without = containers(config(None, sidecars={"front": front}, memory_mib=512))
    assert "stub_status" not in variables(without["front"])["NGINX_CONF"]
    envoy = config(sc.NginxPulse(target_rps=25), sidecars={"front": sc.ProxySidecar(engine="envoy")}, memory_mib=512)
    assert variables(containers(envoy)["pulse"])["ADDRESS"] == "http://127.0.0.1:8080/nginx_status"


def test_under_a_pulse_that_is_read_the_containers_of_a_task_share_their_network() -> None:
    of_log, of_nginx = (sc.units(config(pulse))[0] for pulse in (LOG, sc.NginxPulse(target_rps=25)))
    assert (of_log.network_mode, of_nginx.network_mode) == ("bridge", "awsvpc")


WEB = "services.web"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (config(LOG, kind=sc.WorkerService), f"{WEB}.scaling.pulse: counts requests, and nothing is sent to a worker"),
        (
            config(LOG, scaling={"requests": sc.TargetTracking(enabled=True)}),
            f"{WEB}.scaling.requests: counts requests by the minute, and {WEB}.scaling.pulse the same ones",
        ),
        (
            config(LOG, log_driver="json-file"),
            f'{WEB}.scaling.pulse.kind: "log" comes with the service\'s log in CloudWatch, and log_driver = "json-f',
        ),
        (
            config(LOG, sidecars={"logs": sc.FireLensSidecar()}, memory_mib=512),
            "and logs takes its logs; count by a sidecar",
        ),
        (config(LOG, environment={"PULSE_SERVICE": "a"}), f"{WEB}.environment.PULSE_SERVICE: is what the set tells"),
        (
            config(sc.NginxPulse(target_rps=1), network_mode="bridge"),
            f"{WEB}.network_mode: is bridge, under which each container has a network of its own",
        ),
        (
            config(sc.NginxPulse(target_rps=1), sidecars={"pulse": sc.InitSidecar()}, memory_mib=512),
            f"{WEB}.sidecars.pulse: is what the sidecar of {WEB}.scaling.pulse is called",
        ),
        (
            config(None, scaling={"step_policies": (pulse_steps(LOG)[0],)}),
            f"{WEB}.scaling.step_policies[0].metric: is the pulse, and there is none; write [{WEB}.scaling.pulse]",
        ),
        (
            sc.Config(network=sc.NewVpc(egress="endpoints"), services=config(sc.NginxPulse(target_rps=1)).services),
            f"{WEB}.scaling.pulse.image_uri: ",
        ),
    ],
)
def test_what_does_not_go_with_a_pulse_is_refused_with_the_cure(wrong: sc.Config, said: str) -> None:
    assert said in refusal(wrong)


STATUS = "Active connections: 1 \nserver accepts handled requests\n 5 5 {} \nReading: 0 Writing: 1 Waiting: 0 \n"
COUNTERS = """# HELP http_requests_total Requests, http_requests_total 99
# TYPE http_requests_total counter
http_requests_total{{method="GET",path="/a {{b}} 7"}} {}
http_requests_total{{method="POST"}} 1e3
http_requests_total_created 1.7e9
"""


def lines(folder: Path, pulse: Any, answers: list[str]) -> tuple[list[dict[str, Any]], str]:
    """What the sidecar prints as it is answered so, one after the other: each look is ten seconds after the last."""
    for number, answer in enumerate(answers):
        (folder / str(number)).write_text(answer, encoding="utf-8")
    (folder / "looks").write_text("0", encoding="utf-8")
    commands = {
        "sleep": f'[ "$(cat looks)" -lt {len(answers)} ] || exit 1; echo "$1" >> slept',
        "wget": 'n=$(cat looks); echo $((n + 1)) > looks; echo "$*" >> asked; cat $n',
        "date": "echo $((1700000000 + 10 * $(cat looks)))",
    }
    for name, text in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    sidecar = reader(pulse, 8080)
    environment = {**sidecar.environment, "PULSE_SERVICE": "web-1", "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [*sidecar.entrypoint, *sidecar.command]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_line_is_a_metric_of_ten_seconds_at_the_second_s_resolution(tmp_path: Path) -> None:
    found, said = lines(tmp_path, sc.NginxPulse(target_rps=1, port=8081), [STATUS.format(n) for n in (10, 261)])
    assert said == ""
    # 251 requests, of which one is its own.
    assert found == [
        {
            "_aws": {
                "Timestamp": 1700000010000,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "Pulse",
                        "Dimensions": [["Service"]],
                        "Metrics": [{"Name": "RequestsPerSecond", "Unit": "Count/Second", "StorageResolution": 1}],
                    }
                ],
            },
            "Service": "web-1",
            "RequestsPerSecond": 25,
        }
    ]
    assert (tmp_path / "asked").read_text().split()[-1] == "http://127.0.0.1:8081/nginx_status"
    assert set((tmp_path / "slept").read_text().split()) == {"10"}


@pytest.mark.parametrize(
    ("counts", "rates"),
    [((100, 400, 400), [30, 0]), ((100, 20, 30), [102, 1]), ((5, "", 205), [10]), ((0, 123456789012), [12345678901.2])],
)
def test_a_counter_s_labels_are_summed_what_begins_anew_counts_and_what_is_not_said_is_no_zero(
    tmp_path: Path, counts: tuple[Any, ...], rates: list[float]
) -> None:
    answers = ["" if count == "" else COUNTERS.format(count) for count in counts]
    found, said = lines(tmp_path, sc.AddressPulse(target_rps=1), answers)
    assert [line["RequestsPerSecond"] for line in found] == rates
    assert said == ("no count of requests at http://127.0.0.1:8080/metrics\n" if "" in counts else "")


@pytest.mark.parametrize("kind", [sc.WebService, sc.InternalService])
def test_the_dashboard_shows_it_in_the_services_row_and_nothing_of_it_where_there_is_none(kind: type[Any]) -> None:
    def body(pulse: Any) -> dict[str, Any]:
        text = properties(made(config(pulse, kind)), "dashboard", "Dashboard")["DashboardBody"]["Fn::Sub"][0]
        shown: dict[str, Any] = json.loads(text)
        return shown

    (graph,) = [each for each in body(LOG)["widgets"] if "second and task" in each["properties"]["title"]]
    assert graph["properties"]["metrics"][0] == [
        {
            "expression": "SEARCH('{Pulse,Service} MetricName=\"RequestsPerSecond\" Service=${Root}-WebService',"
            " 'Average', 60)",
            "label": "mean",
        }
    ]
    for row in {each["y"] for each in body(LOG)["widgets"]}:
        assert sum(each["width"] for each in body(LOG)["widgets"] if each["y"] == row) == 24
    assert "Pulse" not in json.dumps(body(None))

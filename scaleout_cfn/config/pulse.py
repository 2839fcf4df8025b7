"""The pulse of a service: the requests that each of its tasks gets, counted there and told every ten seconds.

Who counts prints a line of CloudWatch's embedded metric format, which comes with the log and becomes a metric of
CloudWatch: no permission and no call of PutMetricData, which costs 0.01 USD a thousand and so 2.6 USD a task and month.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from pathlib import Path
from typing import Annotated

from scaleout_cfn.config.containers import image_tunable
from scaleout_cfn.config.sidecars import ContainerSidecar
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.grammars import problem_of_path

#: The metric: requests a second of a task, of which the average is taken over the tasks; by the name of their stack.
NAMESPACE, METRIC, DIMENSION = "Pulse", "RequestsPerSecond", "Service"
PERIOD_S = 10
#: The environment variable that says what the metric calls the service.
VARIABLE = "PULSE_SERVICE"
#: What the sidecar is called that reads a count.
READER = "pulse"


class _Pulse(Section, frozen=True, kw_only=True):
    target_rps: Annotated[float, tunable("The rate to keep.", unit="requests a second and task", ge=0.01, le=1e6)]
    scale_out_cooldown_s: Annotated[
        int, tunable("How long a growth counts before the next one may add to it.", unit="seconds", ge=0, le=3600)
    ] = 0
    scale_in_cooldown_s: Annotated[
        int, tunable("How long to wait after one shrinking before the next.", unit="seconds", ge=0, le=3600)
    ] = 120


class LogPulse(_Pulse, frozen=True, kw_only=True, tag_field="kind", tag="log"):
    """The service's container counts, and prints the lines to its log."""


_PATH = tunable("What it asks for.", pattern=r"^/[!-~]{0,1023}$", problem_of=problem_of_path)


class ReadPulse(_Pulse, frozen=True, kw_only=True):
    """A sidecar asks the service for its count, and prints the lines to a log of its own."""

    # With musl: a static glibc fails at the look-up of an address, as Debian's static busybox was seen to.
    # One of Docker's official tags, https://hub.docker.com/_/busybox, which public Dockerfiles of 2026 pin by digest.
    image_uri: Annotated[
        str, image_tunable("The sidecar's image, any that has sh, awk, date and wget.", may_be_empty=False)
    ] = "public.ecr.aws/docker/library/busybox:1.37.0-musl"
    port: Annotated[
        int,
        tunable("The port that it asks at 127.0.0.1; 0 for container_port, or for nginx's in front.", ge=0, le=65535),
    ] = 0
    path: Annotated[str, _PATH]


class NginxPulse(ReadPulse, frozen=True, kw_only=True, tag_field="kind", tag="nginx"):
    """The count is that of nginx, by its stub_status."""

    path: Annotated[
        str,
        tunable(
            "What it asks for.",
            pattern="^/[A-Za-z0-9._~/-]{1,255}$",
            allowed="a path of letters, digits and . _ ~ / -, as in /nginx_status",
        ),
    ] = "/nginx_status"


class AddressPulse(ReadPulse, frozen=True, kw_only=True, tag_field="kind", tag="address"):
    """The count is one of the application's own, in the text format of Prometheus."""

    path: Annotated[str, _PATH] = "/metrics"
    counter: Annotated[
        str,
        tunable(
            "The counter of requests; of one with labels the sum over them.",
            pattern="^[a-zA-Z_:][a-zA-Z0-9_:]{0,254}$",
            allowed="the name of a counter of Prometheus: letters, digits, _ and :, no digit first",
        ),
    ] = "http_requests_total"


def reader(pulse: ReadPulse, port: int) -> ContainerSidecar:
    """The sidecar that reads a count. What the metric calls the service is known at the deployment only."""
    asks = {"ADDRESS": f"http://127.0.0.1:{pulse.port or port}{pulse.path}"}
    if isinstance(pulse, AddressPulse):
        asks["COUNTER"] = pulse.counter
    return ContainerSidecar(
        image_uri=pulse.image_uri,
        essential=False,
        cpu_units=16,
        memory_mib=16,
        user="65534:65534",
        entrypoint=("/bin/sh", "-c"),
        command=(Path(__file__).with_name("pulse.sh").read_text(encoding="utf-8"),),
        environment=asks,
        stop_timeout_s=2,
    )

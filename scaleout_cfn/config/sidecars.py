"""Sidecars: containers beside that of a service, in the same task. Some are ready-made, by their kind alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec.structs import replace

from scaleout_cfn.config.containers import (
    NAME,
    OPTION,
    PATH,
    REGISTRY_SECRET,
    SECRET,
    TMPFS,
    TMPFS_SIZE,
    Container,
    image_tunable,
)
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.grammars import or_empty, problem_of_log_destination

Condition = Literal["START", "HEALTHY", "COMPLETE", "SUCCESS"]
AFTER = dict[Annotated[str, NAME], Annotated[Condition, tunable("A condition.")]]


CPU = tunable("Its part of the task's cpu_units.", unit="1/1024 of a vCPU", ge=2, le=196608)
MEMORY = tunable("Its part of the task's memory_mib.", unit="MiB", ge=6, le=3145728)


class Sidecar(Container, frozen=True, kw_only=True):
    """A container of one's own beside that of a service."""

    registry_secret: Annotated[str, REGISTRY_SECRET] = ""
    cpu_units: Annotated[int, CPU] = 64
    memory_mib: Annotated[int, MEMORY] = 64
    tmpfs_mib: Annotated[dict[Annotated[str, PATH], Annotated[int, TMPFS_SIZE]], TMPFS] = {}
    after: Annotated[
        AFTER,
        tunable(
            "Containers of the task that it starts after, by name, with START, HEALTHY, COMPLETE or SUCCESS; it is"
            " stopped before them. The service's container is called as the service is."
        ),
    ] = {}


class ContainerSidecar(Sidecar, frozen=True, kw_only=True, tag_field="kind", tag="container"):
    """Any container, which runs for as long as the task does."""

    image_uri: Annotated[str, image_tunable("The image.", may_be_empty=False)]
    essential: Annotated[bool, tunable("Whether the task ends when it does.")] = True
    ports: Annotated[
        tuple[Annotated[int, tunable("A port.", ge=1, le=65535)], ...],
        tunable("Ports that it listens on, for the task's other containers at 127.0.0.1; needs awsvpc.", max_length=20),
    ] = ()


class InitSidecar(Sidecar, frozen=True, kw_only=True, tag_field="kind", tag="init"):
    """A container that has to end well before the service's starts."""

    image_uri: Annotated[str, image_tunable("The image; empty for that of the service.", may_be_empty=True)] = ""


class ReadyMade(Section, frozen=True, kw_only=True):
    """What all that are made by their kind alone have."""

    registry_secret: Annotated[str, REGISTRY_SECRET] = ""
    cpu_units: Annotated[int, CPU] = 64
    memory_mib: Annotated[int, MEMORY] = 64


class FireLensSidecar(ReadyMade, frozen=True, kw_only=True, tag_field="kind", tag="firelens"):
    """FireLens: Fluent Bit takes the logs of the service's container to a destination of choice."""

    image_uri: Annotated[str, image_tunable("AWS's image of Fluent Bit.", may_be_empty=False)] = (
        "public.ecr.aws/aws-observability/aws-for-fluent-bit:3.4.14"
    )
    essential: Annotated[bool, tunable("Whether the task ends when it does, rather than run without logs.")] = True
    destination_arn: Annotated[
        str,
        tunable(
            "A Firehose stream, Kinesis stream or S3 bucket that gets the logs, by ARN; empty for the service's log"
            " group, or for what output says.",
            pattern="^(arn:aws[a-z-]*:(firehose|kinesis|s3):.*)?$",
            problem_of=or_empty(problem_of_log_destination),
        ),
    ] = ""
    output: Annotated[
        str,
        tunable(
            "Another output of Fluent Bit, as datadog, http or opensearch.",
            pattern="^[a-z0-9_-]*$",
            allowed="the name of an output of Fluent Bit, as datadog, or nothing",
        ),
    ] = ""
    options: Annotated[dict[Annotated[str, OPTION], str], tunable("What the output is told, name to value.")] = {}
    secret_options: Annotated[
        dict[Annotated[str, OPTION], Annotated[str, SECRET]],
        tunable("What the output is told of SSM parameters or Secrets Manager secrets, by ARN."),
    ] = {}


class OtelSidecar(ReadyMade, frozen=True, kw_only=True, tag_field="kind", tag="otel"):
    """The OpenTelemetry collector: OTLP at 127.0.0.1, ports 4317 and 4318, to X-Ray and CloudWatch."""

    image_uri: Annotated[str, image_tunable("AWS's image of the collector.", may_be_empty=False)] = (
        "public.ecr.aws/aws-observability/aws-otel-collector:v0.50.0"
    )
    memory_mib: Annotated[int, tunable("Its part of the task's memory_mib.", unit="MiB", ge=64, le=3145728)] = 128
    essential: Annotated[bool, tunable("Whether the task ends when it does.")] = False
    traces: Annotated[bool, tunable("Bring traces to X-Ray.")] = True
    metrics: Annotated[bool, tunable("Bring metrics to CloudWatch, through the service's log group.")] = True
    metric_namespace: Annotated[
        str,
        tunable(
            "The namespace of the metrics; empty for the service's name.",
            pattern=r"^(?!AWS/)[A-Za-z0-9_./#:-]{0,255}$",
            allowed="up to 255 letters, digits and . _ / # : -, and not AWS's own",
        ),
    ] = ""


class ProxySidecar(ReadyMade, frozen=True, kw_only=True, tag_field="kind", tag="proxy"):
    """A proxy in front: whatever is sent to the service comes to its port, and goes on to container_port."""

    image_uri: Annotated[str, image_tunable("The image; empty for that of the engine's makers.", may_be_empty=True)] = (
        ""
    )
    engine: Annotated[Literal["nginx", "envoy"], tunable("Which proxy.")] = "nginx"
    port: Annotated[int, tunable("The port that it listens on.", ge=1024, le=65535)] = 8000


AnySidecar = ContainerSidecar | InitSidecar | FireLensSidecar | OtelSidecar | ProxySidecar

#: OTLP over gRPC and over HTTP, and the collector's own health.
#: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-default-port
OTLP_PORTS = (4317, 4318)
_OTEL_HEALTH_PORT = 13133
_PROXY_IMAGES = {
    "nginx": "public.ecr.aws/nginx/nginx:1.28",
    "envoy": "docker.io/envoyproxy/envoy:v1.35.0",
}


def expanded(
    sidecar: AnySidecar, *, to_port: int | None, protocol: str = "http1", status: str = ""
) -> ContainerSidecar | InitSidecar:
    """A sidecar as a plain container; of ready-made ones what they stand for.

    `to_port` is the service's container_port, where it has one, and `protocol` what it speaks there; `status` is where
    an nginx in front says its count. What is known at the deployment only, as the name of a log group, is no part of
    it: see stacks.sidecars.
    """
    if isinstance(sidecar, (ContainerSidecar, InitSidecar)):
        return sidecar
    same: dict[str, Any] = {
        "image_uri": sidecar.image_uri,
        "registry_secret": sidecar.registry_secret,
        "cpu_units": sidecar.cpu_units,
        "memory_mib": sidecar.memory_mib,
    }
    if isinstance(sidecar, FireLensSidecar):
        # Root, with a root file system that can be written: the socket that the log driver writes to is root's, and
        # the image writes. https://github.com/aws/containers-roadmap/issues/2122
        # https://github.com/fluent/fluent-bit/issues/7308
        return ContainerSidecar(**same, essential=sidecar.essential, user="0", read_only=False)
    if isinstance(sidecar, OtelSidecar):
        return ContainerSidecar(
            **same,
            essential=sidecar.essential,
            ports=(*OTLP_PORTS, _OTEL_HEALTH_PORT),
            health_command=("/healthcheck",),
        )

    assert to_port is not None
    same["image_uri"] = sidecar.image_uri or _PROXY_IMAGES[sidecar.engine]
    proxy = ContainerSidecar(**same, ports=(sidecar.port,), user="101:101")
    if sidecar.engine == "envoy":
        config = envoy(sidecar.port, to_port, protocol)
        # Not by the image's entry point, which as root would change files first.
        return replace(proxy, entrypoint=("envoy",), command=("--config-yaml", json.dumps(config)))
    start = "printf '%s' \"$NGINX_CONF\" > /tmp/nginx.conf && exec nginx -c /tmp/nginx.conf -g 'daemon off;'"
    return replace(
        proxy,
        entrypoint=("/bin/sh", "-c"),
        command=(start,),
        environment={"NGINX_CONF": nginx(sidecar.port, to_port, status)},
        tmpfs_mib={"/tmp": 16},
    )


def listening(sidecars: Mapping[str, AnySidecar]) -> list[str]:
    """Those that other containers of the task send something to, by name."""
    return [
        name
        for name, sidecar in sorted(sidecars.items())
        if isinstance(sidecar, (OtelSidecar, ProxySidecar)) or (isinstance(sidecar, ContainerSidecar) and sidecar.ports)
    ]


def order(
    own: str, own_health: bool, after: Mapping[str, Condition], sidecars: Mapping[str, AnySidecar]
) -> dict[str, dict[str, Condition]]:
    """What each container of a task starts after, by name: what is written, and what belongs to the kinds.

    `own` is the service's container, and `own_health` whether it has a health command. ECS stops in the other order.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html
    """
    found: dict[str, dict[str, Condition]] = {own: dict(after)}
    for name, sidecar in sorted(sidecars.items()):
        found[name] = dict(sidecar.after) if isinstance(sidecar, Sidecar) else {}
        if isinstance(sidecar, InitSidecar):
            found[own].setdefault(name, "SUCCESS")
        elif isinstance(sidecar, (FireLensSidecar, OtelSidecar)):
            found[own].setdefault(name, "START")
        elif isinstance(sidecar, ProxySidecar):
            # It is stopped first, and what it has taken on is still answered.
            found[name][own] = "HEALTHY" if own_health else "START"
    return found


def nginx(port: int, to_port: int, status: str) -> str:
    """`status` is the path that says to the task's other containers how many requests there were; empty for none."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"  {kind}_temp_path /tmp/{kind};" for kind in kinds)
    told = f"    location = {status} {{ stub_status; allow 127.0.0.1; deny all; }}\n" if status else ""
    return f"""worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
{temporary}
  access_log off;
  server_tokens off;
  client_max_body_size 0;
  keepalive_timeout 75s;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream service {{ server 127.0.0.1:{to_port}; keepalive 64; }}
  server {{
    listen {port} backlog=4096;
{told}    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""


def envoy(port: int, to_port: int, protocol: str) -> dict[str, Any]:
    """https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/examples"""
    extensions = "type.googleapis.com/envoy.extensions"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{extensions}.filters.http.router.v3.Router"},
    }
    manager = {
        "@type": f"{extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "service",
        "codec_type": "AUTO",
        "stream_idle_timeout": "3600s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        # The load balancer's own headers are the client's, as far as the service is concerned.
        "use_remote_address": False,
        "http_filters": [router],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "service",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "service", "timeout": "0s"}}],
                }
            ]
        },
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": to_port}}
    cluster: dict[str, Any] = {
        "name": "service",
        "connect_timeout": "1s",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "service",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if protocol != "http1":
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{extensions}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    listener = {
        "name": "front",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}

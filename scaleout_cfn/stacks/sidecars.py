"""Sidecars in a task definition, and what those that are ready-made may do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from awacs.aws import PolicyDocument
from troposphere import Ref, Sub, ecs

from scaleout_cfn.config.pulse import READER, VARIABLE
from scaleout_cfn.config.sidecars import OTLP_PORTS, ContainerSidecar, FireLensSidecar, OtelSidecar, order
from scaleout_cfn.config.units import Unit
from scaleout_cfn.grammars import arn_of
from scaleout_cfn.iam import log_group_arn, put_objects, put_records, send_traces, write_logs
from scaleout_cfn.stacks.containers import container, secrets
from scaleout_cfn.values import LogGroupName, Text


def put_beside(unit: Unit, own: ecs.ContainerDefinition, image_uri: Text, log_group_name: LogGroupName) -> list[Any]:
    """The containers beside the service's own, which is told what it starts after and where its logs go."""
    settings = unit.settings
    made: dict[str, ecs.ContainerDefinition] = {unit.container: own}
    for name, sidecar in unit.beside.items():
        own_image = not sidecar.image_uri
        made[name] = container(
            name,
            sidecar,
            image_uri if own_image else sidecar.image_uri,
            log_group_name,
            cpu_units=sidecar.cpu_units,
            memory_mib=sidecar.memory_mib,
            stream_prefix=unit.name,
            registry_secret=unit.registry_secret if own_image else sidecar.registry_secret,
            ports=_ports(unit, name, sidecar) if isinstance(sidecar, ContainerSidecar) else (),
            told={VARIABLE: Ref("AWS::StackName")} if name == READER and name not in settings.sidecars else {},
        )
        made[name].Essential = isinstance(sidecar, ContainerSidecar) and sidecar.essential
    for name, ready_made in sorted(settings.sidecars.items()):
        if isinstance(ready_made, FireLensSidecar):
            made[name].FirelensConfiguration = ecs.FirelensConfiguration(
                Type="fluentbit", Options={"enable-ecs-log-metadata": "true"}
            )
            own.LogConfiguration = _to_firelens(unit, ready_made, log_group_name)
        elif isinstance(ready_made, OtelSidecar):
            made[name].Command = ["--config=env:AOT_CONFIG_CONTENT"]
            made[name].Environment = [
                ecs.Environment(Name="AOT_CONFIG_CONTENT", Value=_collector(unit, ready_made, log_group_name))
            ]
    for name, before in order(unit.container, bool(settings.health_command), settings.after, settings.sidecars).items():
        if before:
            made[name].DependsOn = [
                ecs.ContainerDependency(ContainerName=made[other].Name, Condition=condition)
                for other, condition in sorted(before.items())
            ]
    return list(made.values())


def _ports(unit: Unit, name: str, sidecar: ContainerSidecar) -> list[ecs.PortMapping]:
    ports = [ecs.PortMapping(ContainerPort=port, Protocol="tcp") for port in sidecar.ports]
    if unit.is_reached and unit.proxy and unit.proxy[0] == name:
        # What Service Connect calls it by.
        ports[0].Name = unit.name
    return ports


def _to_firelens(unit: Unit, firelens: FireLensSidecar, log_group_name: LogGroupName) -> ecs.LogConfiguration:
    """The output of Fluent Bit that the log driver is told of.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_firelens.html
    """
    options: dict[str, Any] = {"Name": firelens.output}
    arn = arn_of(firelens.destination_arn)
    if arn is not None:
        name = arn.resource.rpartition("/")[2]
        output = {
            # https://docs.fluentbit.io/manual/pipeline/outputs/firehose
            "firehose": {"Name": "kinesis_firehose", "delivery_stream": name},
            # https://docs.fluentbit.io/manual/pipeline/outputs/kinesis
            "kinesis": {"Name": "kinesis_streams", "stream": name},
            # https://docs.fluentbit.io/manual/pipeline/outputs/s3
            "s3": {
                "Name": "s3",
                "bucket": name,
                "total_file_size": "10M",
                "upload_timeout": "1m",
                "use_put_object": "On",
            },
        }
        options = {**output[arn.service], "region": Ref("AWS::Region")}
    elif not firelens.output:
        # https://docs.fluentbit.io/manual/pipeline/outputs/cloudwatch
        options = {
            "Name": "cloudwatch_logs",
            "region": Ref("AWS::Region"),
            "log_group_name": log_group_name,
            "log_stream_prefix": f"{unit.name}/",
            "log_key": "log",
        }
    logs = ecs.LogConfiguration(LogDriver="awsfirelens", Options={**options, **dict(sorted(firelens.options.items()))})
    if firelens.secret_options:
        logs.SecretOptions = secrets(firelens.secret_options)
    return logs


def _collector(unit: Unit, otel: OtelSidecar, log_group_name: LogGroupName) -> Sub:
    """The collector's own config: JSON, which is YAML.

    https://opentelemetry.io/docs/collector/configuration/
    https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/awsemfexporter
    """
    grpc, http = (f"127.0.0.1:{port}" for port in OTLP_PORTS)
    exporters: dict[str, Mapping[str, Any]] = {}
    pipelines = {}
    if otel.traces:
        exporters["awsxray"] = {"region": "${AWS::Region}"}
        pipelines["traces"] = "awsxray"
    if otel.metrics:
        exporters["awsemf"] = {
            "region": "${AWS::Region}",
            "namespace": otel.metric_namespace or unit.name,
            "log_group_name": "${LogGroup}",
            "log_stream_name": f"{unit.name}/metrics",
            "dimension_rollup_option": "NoDimensionRollup",
        }
        pipelines["metrics"] = "awsemf"
    config = {
        "extensions": {"health_check": {"endpoint": "127.0.0.1:13133"}},
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": grpc}, "http": {"endpoint": http}}}},
        "processors": {"batch": {}},
        "exporters": exporters,
        "service": {
            "extensions": ["health_check"],
            "pipelines": {
                kind: {"receivers": ["otlp"], "processors": ["batch"], "exporters": [exporter]}
                for kind, exporter in pipelines.items()
            },
        },
    }
    named = {"LogGroup": log_group_name} if otel.metrics else {}
    return Sub(json.dumps(config), named) if named else Sub(json.dumps(config))


def task_policies(unit: Unit, log_group_name: LogGroupName) -> dict[str, PolicyDocument]:
    """What the ready-made sidecars of a service do by the task's role, by the name of the policy."""
    allowed = {}
    writes = False
    for _, sidecar in sorted(unit.settings.sidecars.items()):
        if isinstance(sidecar, FireLensSidecar):
            if ":s3:" in sidecar.destination_arn:
                allowed["put-logs"] = put_objects(sidecar.destination_arn)
            elif sidecar.destination_arn:
                allowed["put-logs"] = put_records(sidecar.destination_arn)
            writes |= not sidecar.destination_arn and not sidecar.output
        elif isinstance(sidecar, OtelSidecar):
            if sidecar.traces:
                allowed["send-traces"] = send_traces()
            writes |= sidecar.metrics
    if writes:
        allowed["write-logs"] = write_logs(log_group_arn(log_group_name))
    return allowed

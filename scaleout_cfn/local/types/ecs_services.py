"""ECS: task definitions, the services that run them, and the names by which services reach each other.

The words of refusals are AWS's, as the issue or page at each shows them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ministack.core.responses import json_response
from ministack.services import alb, ecs, servicediscovery
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.ecs_requests import CALL, Record, as_request, cluster_of
from scaleout_cfn.local.types.registry import Act, Properties, RefusedError, revise, rpc

_FARGATE_MEMORY_MIB: Final[Mapping[int, Iterable[int]]] = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
    8192: range(16384, 61440 + 1, 4096),
    16384: range(32768, 122880 + 1, 8192),
}
"""CPU units -> MiB that Fargate sells with them, of 2026-11-28:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html."""


def task_definitions() -> None:
    """MiniStack's AWS::ECS::TaskDefinition goes past RegisterTaskDefinition, and drops half of its properties. Its
    RegisterTaskDefinition takes what Fargate does not run."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::ECS::TaskDefinition"]

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, Record]:
        request = as_request(properties)
        request.setdefault("family", f"{stack_name}-{logical_id}")
        for size in ("cpu", "memory"):  # of the task: text in the API, other than those of its containers
            if size in request:
                request[size] = str(request[size])
        arn = rpc(CALL, "RegisterTaskDefinition", request)["taskDefinition"]["taskDefinitionArn"]
        return arn, {"TaskDefinitionArn": arn}

    def register(stock: Act, request: Record) -> Any:
        wanted = request.get("requiresCompatibilities") or []
        _refuse_containers(request)
        if "FARGATE" in wanted:
            _refuse_on_fargate(request)
        if "MANAGED_INSTANCES" in wanted and request.get("networkMode") not in ("awsvpc", "host", "none"):
            # API_ManagedInstancesNetworkConfiguration; the words are none of AWS's.
            message = "Managed Instances only support network modes 'awsvpc', 'host' and 'none'."
            raise RefusedError("ClientException", message)
        response = stock(request)
        if response[0] == 200:
            latest = ecs._task_defs[ecs._resolve_td_key(request["family"])]
            latest["compatibilities"] = sorted({"EC2", *wanted, *_runs_on(request)})
            response = json_response({"taskDefinition": latest, "tags": request.get("tags", [])})
        return response

    handler["create"] = create
    provisioners._ecs_task_def_create = create  # which an update calls
    revise(ecs, "_register_task_definition", register)


def services() -> None:
    """MiniStack's AWS::ECS::Service passes on a third of its properties, and counts with what a parameter gave as
    text. Its ECS runs a service whose task definition, network, balancer and capacity do not go together, and starts
    a deployment for a new task definition only."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::ECS::Service"]

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, Record]:
        name = properties.get("ServiceName", f"{stack_name}-{logical_id}")
        request = {"serviceName": name, "cluster": "default", **as_request(properties)}
        return _attributes(rpc(CALL, "CreateService", request))

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, Record]:
        changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        request = as_request({name: new.get(name, _DROPPED.get(name)) for name in changed & _UPDATED})
        request = {name: value for name, value in request.items() if value is not None}
        request.update(cluster=new.get("Cluster", "default"), service=physical_id.rpartition("/")[2])
        # "CFN automatically initiates a new deployment when it detects a parameter change": the resource schema.
        request["forceNewDeployment"] = "capacityProviderStrategy" in request
        return _attributes(rpc(CALL, "UpdateService", request))

    def delete(physical_id: str, properties: Properties) -> None:
        request = {"cluster": properties.get("Cluster", "default"), "service": physical_id.rpartition("/")[2]}
        if _service(request) is not None:
            rpc(CALL, "DeleteService", {**request, "force": True})

    def create_service(stock: Act, request: Record) -> Any:
        _check(request)
        return _kept(stock(request), request, _service({**request, "service": request.get("serviceName")}))

    def update_service(stock: Act, request: Record) -> Any:
        service = _service(request)
        if service is None:
            return stock(request)
        if request.keys() & {"taskDefinition", *_RENEWING}:
            # With a strategy, the version is that of the new kind of tasks: what those on Fargate had is not asked for.
            # No page of AWS's says so of the way from Fargate to nodes.
            moved = request.get("capacityProviderStrategy")
            chosen = {"launchType": None, "platformVersion": None} if moved else {}
            _check({**service, **chosen, **request})
        renewed = any(name in request and request[name] != service.get(name) for name in _RENEWING)
        forced = {**request, "forceNewDeployment": request.get("forceNewDeployment", False) or renewed}
        response = stock(forced)
        if response[0] == 200 and _kind(service) != "FARGATE":
            service.update(platformVersion="", platformFamily="")
        return _kept(response, request, service)

    def run(stock: Act, request: Record) -> Any:
        _check(request)
        response = stock(request)
        if response[0] == 200:
            answer = json.loads(response[2])
            for task in answer["tasks"]:
                if task["launchType"] == "FARGATE":  # which has no instance to show
                    for record in (task, ecs._tasks[task["taskArn"]]):
                        record.pop("containerInstanceArn", None)
            response = json_response(answer)
        return response

    handler.update(create=create, update=update, delete=delete)
    revise(ecs, "_run_task", run)
    revise(ecs, "_create_service", create_service)
    revise(ecs, "_update_service", update_service)


def service_connect() -> None:
    """MiniStack's ECS ignores a serviceConnectConfiguration, and makes nothing in Cloud Map."""

    def create(stock: Act, request: Record) -> Any:
        offered = _offered(request, None)
        response = stock(request)
        service = _service({**request, "service": request.get("serviceName")})
        if response[0] == 200 and service is not None:
            _offer(service, request, offered)
            response = json_response({"service": ecs._sanitize(service)})
        return response

    def update(stock: Act, request: Record) -> Any:
        service = _service(request)
        if service is None:
            return stock(request)
        before = {"serviceConnectConfiguration": service.get("_service_connect"), "cluster": service["clusterArn"]}
        wanted = {"taskDefinition": service["taskDefinition"], **before, **request}
        offered = _offered(wanted, service)
        renewed = wanted["serviceConnectConfiguration"] != before["serviceConnectConfiguration"]
        response = stock({**request, "forceNewDeployment": request.get("forceNewDeployment", False) or renewed})
        if response[0] == 200:
            _offer(service, wanted, offered)
            response = json_response({"service": ecs._sanitize(service)})
        return response

    def delete(stock: Act, request: Record) -> Any:
        service = _service(request)
        response = stock(request)
        if response[0] == 200 and service is not None:
            _withdraw(service, set())
        return response

    revise(ecs, "_create_service", create)
    revise(ecs, "_update_service", update)
    revise(ecs, "_delete_service", delete)


def _refuse_containers(request: Mapping[str, Any]) -> None:
    memory = _mib(request["memory"]) if request.get("memory") else None
    for container in request.get("containerDefinitions") or ():
        name, limit = container.get("name"), container.get("memory")
        if memory is None and not limit and not container.get("memoryReservation"):
            # API_ContainerDefinition, `memory`
            lacks = "At least one of 'memory' or 'memoryReservation' must be specified."
            raise RefusedError("ClientException", f"Invalid setting for container '{name}'. {lacks}")
        if memory is not None and (limit or 0) > memory:  # https://github.com/pulumi/pulumi-awsx/issues/1220
            message = f"The 'memory' setting for container '{name}' is greater than for the task."
            raise RefusedError("ClientException", message)


def _refuse_on_fargate(request: Mapping[str, Any]) -> None:
    if request.get("networkMode") != "awsvpc":  # https://github.com/aws/amazon-ecs-cli/issues/1145
        raise RefusedError("ClientException", "Fargate only supports network mode \u2018awsvpc\u2019.")
    for size in ("cpu", "memory"):  # https://github.com/hackoregon/civic-devops/issues/246
        if not request.get(size):
            raise RefusedError("ClientException", f"Fargate requires that '{size}' be defined at the task level.")
    cpu, memory = _cpu_units(request["cpu"]), _mib(request["memory"])
    if memory not in _FARGATE_MEMORY_MIB.get(cpu, ()):  # https://github.com/towardsthecloud/aws-cdk-examples/issues/1
        message = (
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory."
            " See the Amazon ECS documentation for the valid values."
        )
        raise RefusedError("ClientException", message)
    if request.get("placementConstraints"):
        raise RefusedError("ClientException", "Fargate does not support task placement constraints.")
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
    for container in request.get("containerDefinitions") or () if not request.get("executionRoleArn") else ():
        needs = None
        if ".dkr.ecr." in container.get("image", ""):
            needs = "ECR images"
        elif (container.get("logConfiguration") or {}).get("logDriver") == "awslogs":
            needs = "log driver awslogs"
        if needs is not None:
            message = f"Fargate requires task definition to have execution role ARN to support {needs}."
            raise RefusedError("ClientException", message)


def _runs_on(request: Mapping[str, Any]) -> set[str]:
    """What a task definition can run on beside what it asks for: ECS finds out by itself (API_TaskDefinition)."""
    found = set()
    try:
        _refuse_on_fargate(request)
        found.add("FARGATE")
    except RefusedError:
        pass
    if request.get("networkMode") in ("awsvpc", "host", "none"):
        found.add("MANAGED_INSTANCES")
    return found


def _cpu_units(text: str) -> int:
    """`256`, or `.25 vCPU`."""
    number = float(re.sub(r"[^\d.]", "", text) or 0)
    return round(number * 1024) if "vcpu" in text.lower() else round(number)


def _mib(text: str) -> int:
    """`512`, or `0.5 GB`."""
    number = float(re.sub(r"[^\d.]", "", text) or 0)
    return round(number * 1024) if "gb" in text.lower() else round(number)


_UPDATED: Final = frozenset(
    {
        "AvailabilityZoneRebalancing",
        "CapacityProviderStrategy",
        "DeploymentConfiguration",
        "DeploymentController",
        "DesiredCount",
        "EnableECSManagedTags",
        "EnableExecuteCommand",
        "HealthCheckGracePeriodSeconds",
        "LoadBalancers",
        "NetworkConfiguration",
        "PlacementConstraints",
        "PlacementStrategies",
        "PlatformVersion",
        "PropagateTags",
        "ServiceConnectConfiguration",
        "ServiceRegistries",
        "TaskDefinition",
        "VolumeConfigurations",
        "VpcLatticeConfigurations",
    }
)
"""The properties that UpdateService takes."""

_DROPPED: Final[Mapping[str, Any]] = {
    "DeploymentConfiguration": {
        "MaximumPercent": 200,
        "MinimumHealthyPercent": 100,
        "DeploymentCircuitBreaker": {"Enable": False, "Rollback": False},
    },
    "EnableExecuteCommand": False,
    "HealthCheckGracePeriodSeconds": 0,
    "LoadBalancers": [],
    "NetworkConfiguration": {},
    "PlacementConstraints": [],
    "PlacementStrategies": [],
    "ServiceConnectConfiguration": {"Enabled": False},
    "ServiceRegistries": [],
    "VolumeConfigurations": [],
    "VpcLatticeConfigurations": [],
}
"""What a property that is taken out of the template goes back to. The others stay as they are, the strategy too:
https://github.com/aws/containers-roadmap/issues/631."""

_RENEWING: Final = (
    "capacityProviderStrategy",
    "loadBalancers",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "platformVersion",
    "serviceRegistries",
    "volumeConfigurations",
)
"""The members of UpdateService that start a deployment (API_UpdateService), beside those that MiniStack knows."""

_KEPT: Final = (
    "availabilityZoneRebalancing",
    "enableECSManagedTags",
    "placementConstraints",
    "placementStrategy",
    "propagateTags",
    "serviceRegistries",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
)
"""The members that MiniStack drops from a request to create or to update a service."""


def _attributes(answer: Record) -> tuple[str, Record]:
    service = answer["service"]
    return service["serviceArn"], {"ServiceArn": service["serviceArn"], "Name": service["serviceName"]}


def _service(request: Mapping[str, Any]) -> Record | None:
    reference = ecs._resolve_service_ref(request.get("service"))
    cluster = ecs._resolve_cluster_name(request.get("cluster"))
    service: Record | None = ecs._services.get(f"{cluster}/{reference[0]}") if reference else None
    return service if service is None or service["status"] == "ACTIVE" else None


def _kept(response: Any, request: Record, service: Record | None) -> Any:
    """The response, once the service has what MiniStack drops, and its newest deployment what it was made of."""
    if response[0] != 200 or service is None:
        return response
    service.update({name: request[name] for name in _KEPT if name in request})
    fargate = _kind(service) == "FARGATE"
    if fargate:
        service.update(platformVersion=service["platformVersion"] or "LATEST", platformFamily="Linux")
    for deployment in service["deployments"][:1]:
        members = ("capacityProviderStrategy", "launchType", "networkConfiguration", "platformFamily")
        deployment.update({name: service[name] for name in members if service.get(name)})
        if fargate:
            version = service["platformVersion"]
            deployment["platformVersion"] = "1.4.0" if version == "LATEST" else version
    return json_response({"service": ecs._sanitize(service)})


def _kind(service: Mapping[str, Any]) -> str:
    """The launch type of a service's tasks."""
    strategy = service.get("capacityProviderStrategy")
    launch_type: str = ecs._task_capacity(service.get("launchType"), strategy)[0]
    return launch_type


def _task_definition(service: Mapping[str, Any]) -> Record | None:
    task: Record | None = ecs._task_defs.get(ecs._resolve_td_key(service.get("taskDefinition")))
    return task


def _check(wanted: Mapping[str, Any]) -> None:
    """Refuse a service of which the parts do not go together, as CreateService and UpdateService do."""
    task = _task_definition(wanted)
    if task is None:
        return
    network = (wanted.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
    message = None
    if task["networkMode"] == "awsvpc" and not network.get("subnets"):
        # https://github.com/PasseiDireto/gh-runner-task-action/issues/8
        message = "Network Configuration must be provided when networkMode 'awsvpc' is specified."
    elif task["networkMode"] != "awsvpc" and network:
        message = "Network Configuration is not valid for the given networkMode of this task definition."
    if message is None:
        message = _misplaced(wanted, task)
    for balancer in wanted.get("loadBalancers") or ():
        message = message or _unbalanced(balancer, task)
    if message is not None:
        raise RefusedError("InvalidParameterException", message)


def _misplaced(wanted: Mapping[str, Any], task: Mapping[str, Any]) -> str | None:
    """Why a task cannot run on the capacity that it is to run on."""
    cluster = ecs._clusters.get(ecs._resolve_cluster_name(wanted.get("cluster") or wanted.get("clusterArn")))
    launch_type, strategy, refusal = ecs._launch_choice(wanted, cluster)
    if refusal is not None:
        return None  # the service itself says it
    kind = _kind({"launchType": launch_type, "capacityProviderStrategy": strategy})
    if kind not in task["compatibilities"]:
        return f"Task definition does not support launch_type {kind}."
    if kind == "EC2" and wanted.get("platformVersion"):
        # https://github.com/ansible-collections/community.aws/issues/770
        return "The platform version must be null when specifying an EC2 launch type."
    if kind == "FARGATE" and wanted.get("placementStrategy"):
        return "Placement strategies are not supported with FARGATE launch type."
    if kind == "FARGATE" and wanted.get("placementConstraints"):
        return "Placement constraints are not supported with FARGATE launch type."
    return None


def _unbalanced(balancer: Mapping[str, Any], task: Mapping[str, Any]) -> str | None:
    """Why the tasks cannot be targets of a balancer."""
    name, port = balancer.get("containerName"), balancer.get("containerPort")
    container = next((c for c in task["containerDefinitions"] if c["name"] == name), None)
    if container is None:
        return f"The container {name} does not exist in the task definition."
    if port not in [mapping.get("containerPort") for mapping in container.get("portMappings") or ()]:
        return f"The container {name} did not have a container port {port} defined."
    arn = balancer.get("targetGroupArn")
    group = alb._tgs.get(arn)
    if group is None:
        return None
    if task["networkMode"] == "awsvpc" and group["TargetType"] != "ip":
        return (
            f"The provided target group {arn} has target type {group['TargetType']}, which is incompatible with the"
            " awsvpc network mode specified in the task definition."
        )
    if not any(_forwards(action, arn) for rule in alb._rules.values() for action in rule["Actions"]):
        # The rule or listener that makes the association is to be there first: DependsOn.
        return f"The target group with targetGroupArn {arn} does not have an associated load balancer."
    return None


def _forwards(action: Mapping[str, Any], arn: str | None) -> bool:
    groups = action.get("ForwardConfig", {}).get("TargetGroups", ())
    return arn in (action.get("TargetGroupArn"), *(group.get("TargetGroupArn") for group in groups))


def _offered(request: Mapping[str, Any], service: Record | None) -> dict[str, str]:
    """Name in Cloud Map -> id of the namespace, for every port that the service offers to others."""
    config = request.get("serviceConnectConfiguration") or {}
    if not config.get("enabled"):
        return {}
    namespace = _namespace(config, cluster_of(request))
    ports = {
        mapping.get("name")
        for container in (_task_definition(request) or {}).get("containerDefinitions", ())
        for mapping in container.get("portMappings") or ()
    }
    own = {entry["discoveryArn"] for entry in (service or {}).get("_service_connect_resources", ())}
    offered: dict[str, str] = {}
    for entry in config.get("services") or ():
        port = entry["portName"]
        if port not in ports:  # API_ServiceConnectService: it "must match the name of one of the portMappings"
            message = f"portName({port}) does not refer to any named PortMapping in the container definitions."
            raise RefusedError("InvalidParameterException", message)
        name = entry.get("discoveryName") or port
        if any(
            other["Name"] == name and other["NamespaceId"] == namespace["Id"] and other["Arn"] not in own
            for other in servicediscovery._services.values()
        ):  # https://github.com/aws/copilot-cli/issues/5431
            raise RefusedError("InvalidParameterException", f"SC service is already used by {namespace['Arn']}")
        offered[name] = namespace["Id"]
    return offered


def _namespace(config: Mapping[str, Any], cluster: Mapping[str, Any]) -> Record:
    """The namespace of a configuration, by its name or ARN, or that of the cluster."""
    wanted = config.get("namespace") or cluster.get("serviceConnectDefaults", {}).get("namespace")
    for namespace in servicediscovery._namespaces.values():
        if wanted in (namespace["Name"], namespace["Arn"]):
            found: Record = namespace
            return found
    # https://github.com/terraform-aws-modules/terraform-aws-ecs/issues/116
    raise RefusedError("NamespaceNotFoundException", f"Failed to retrieve namespace for {wanted}")


def _offer(service: Record, wanted: Mapping[str, Any], offered: Mapping[str, str]) -> None:
    """Make the entries in Cloud Map that a service offers, remove those that it no longer does, and show them."""
    _withdraw(service, set(offered))
    entries = service.setdefault("_service_connect_resources", [])
    there = {entry["discoveryName"] for entry in entries}
    for name, namespace in offered.items():
        if name not in there:
            request = {"Name": name, "NamespaceId": namespace}
            made = rpc({"CreateService": servicediscovery._create_service}, "CreateService", request)["Service"]
            entries.append({"discoveryName": name, "discoveryArn": made["Arn"]})
    config = wanted.get("serviceConnectConfiguration")
    service["_service_connect"] = config
    if config is not None:
        for deployment in service["deployments"][:1]:
            deployment.update(serviceConnectConfiguration=config, serviceConnectResources=list(entries))


def _withdraw(service: Record, kept: set[str]) -> None:
    entries = service.get("_service_connect_resources", [])
    for entry in [entry for entry in entries if entry["discoveryName"] not in kept]:
        entries.remove(entry)
        servicediscovery._delete_service({"Id": entry["discoveryArn"].rpartition("/")[2]})

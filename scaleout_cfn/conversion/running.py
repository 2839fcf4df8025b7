"""Services that run on an ECS cluster as a config near to them. Reads only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.conversion.drafts import SECRET, Draft, is_secret, name_of, nearest, whole
from scaleout_cfn.conversion.sources import NOTHING, Item
from scaleout_cfn.errors import UsageError

#: Services that one DescribeServices takes, and scalable targets that are asked for at once.
#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html
AT_ONCE = 10
_AGAIN = "is AWS's own, or made anew with the set"
#: What says who or where a thing is, or is made anew for a set's own things, by the answer that it stands in.
_OWN = frozenset(
    (
        "serviceArn",
        "clusterArn",
        "platformVersion",
        "platformFamily",
        "currentServiceRevisions",
        "healthCheckGracePeriodSeconds",
        "networkConfiguration",
        "tags",
        "enableECSManagedTags",
        "propagateTags",
        "taskDefinitionArn",
        "family",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "requiresCompatibilities",
        "registeredAt",
        "registeredBy",
        "executionRoleArn",
        "RuleArn",
        "Priority",
        "IsDefault",
        "TargetGroupArn",
        "TargetGroupName",
        "VpcId",
        "LoadBalancerArns",
        "PolicyARN",
        "PolicyName",
        "PolicyType",
        "ServiceNamespace",
        "ResourceId",
        "ScalableDimension",
        "CreationTime",
        "Alarms",
        "RoleARN",
        "ScalableTargetARN",
    )
)
_BY_HAND = {
    "serviceConnectConfiguration": "whom it reaches is not told: write their names into {path}.reaches",
    "taskRoleArn": "what its role may do is not read: write it into {path}.permissions",
    "volumes": "write them into {path}.volumes: existing-efs mounts a file system that is there",
    "placementConstraints": "tasks of a set go to any node of their pool",
    "proxyConfiguration": "App Mesh has ended; Service Connect takes its place: {path}.reaches",
}


def _items(value: Any, path: str, file: str) -> Item:
    """What AWS answers as items; where it stands is the call."""
    if isinstance(value, Mapping):
        inner: Any = {str(key): _items(entry, f"{path}.{key}".lstrip("."), file) for key, entry in value.items()}
    elif isinstance(value, (list, tuple)):
        inner = [_items(entry, f"{path}[{index}]", file) for index, entry in enumerate(value)]
    else:
        inner = None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return Item(path, file, 0, inner)


def read_cluster(aws: Aws, cluster: str) -> Draft:
    """A draft of the services of a cluster: each web where a target group is its, internal where others reach it by a
    name, else a worker.

    Raises UsageError where it has none, ApiError or AccessError where AWS does not answer.
    """
    arns = [arn for page in aws.pages("ecs", "list_services", cluster=cluster) for arn in page["serviceArns"]]
    if not arns:
        raise UsageError(f"--cluster {cluster}: has no service; name a cluster that has")
    draft = Draft()
    names: list[str] = []
    for start in range(0, len(arns), AT_ONCE):
        answer = aws.read("ecs", "describe_services", cluster=cluster, services=arns[start : start + AT_ONCE])
        for service in answer["services"]:
            # Dates, events and deployments are of what happened, and no setting.
            settings = {key: value for key, value in service.items() if key not in _HISTORY}
            for deployment in service.get("deployments", [])[:1]:
                if connect := deployment.get("serviceConnectConfiguration"):
                    settings["serviceConnectConfiguration"] = connect
            item = _items(settings, "", f"ecs:DescribeServices({service['serviceName']})")
            draft.documents.append(item)
            names.append(name_of(_plain(service["serviceName"]), names))
            _service(draft, aws, cluster, names[-1], item)
    draft.put(
        ("stack_name",),
        name_of(_plain(cluster.rpartition("/")[2]).removeprefix("ecs-").removeprefix("aws-")),
        why="the cluster",
    )
    pools = draft.at(("capacity",)) or {}
    for name in names:
        if len(pools) > 1:
            draft.tables["services"][name].setdefault("capacity", next(iter(pools)))
    draft.make_room()
    return draft


def _plain(name: str) -> str:
    """A name without the random part that CloudFormation gives, and what comes after that.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html
    """
    return re.sub(r"-(?=[A-Za-z]*[0-9])[A-Za-z0-9]{12,13}(-.*)?$", "", name)


_HISTORY = (
    "events",
    "deployments",
    "createdAt",
    "createdBy",
    "runningCount",
    "pendingCount",
    "taskSets",
    "status",
    "roleArn",
)


def _read(draft: Draft, file: str, answer: Mapping[str, Any]) -> Item:
    item = _items(answer, "", file)
    draft.documents.append(item)
    return item


def _service(draft: Draft, aws: Aws, cluster: str, name: str, item: Item) -> None:
    path = ("services", name)
    balancers = (item.get("loadBalancers") or NOTHING).items
    group = next((found for entry in balancers if (found := entry.get("targetGroupArn"))), None)
    named = None if group else _named(item)
    draft.put((*path, "kind"), "web" if group else "internal" if named else "worker")
    draft.came_from(path, item)
    if found := item.get("serviceName"):
        found.mark("taken" if found.text == name else "changed", ".".join(path))
    on_fargate = _capacity(draft, aws, path, item)
    count = item.get("desiredCount")
    if count and count.number is not None:
        for tunable, value in (("min_tasks", count.number), ("max_tasks", max(count.number, 1))):
            draft.put((*path, "scaling", tunable), value, count)
    for key, tunable in (("minimumHealthyPercent", "minimum_healthy_percent"), ("maximumPercent", "maximum_percent")):
        if (found := item.get("deploymentConfiguration", key)) and found.number is not None:
            draft.put((*path, "deployment", tunable), found.number, found)
    breaker = item.get("deploymentConfiguration", "deploymentCircuitBreaker") or NOTHING
    counted = (breaker.get("thresholdConfiguration", "type") or NOTHING).text == "COUNT"
    if (limit := breaker.get("thresholdConfiguration", "value")) and counted and limit.number is not None:
        draft.put((*path, "deployment", "failure_threshold"), limit.number, limit)
    breaker.mark("taken" if (breaker.get("enable") or NOTHING).flag else "changed", "on, and it rolls back, as always")
    if alarms := item.get("deploymentConfiguration", "alarms"):
        alarms.mark("changed", f"to the set's own alarms: {'.'.join(path)}.deployment.alarms")
    if (strategy := item.get("deploymentConfiguration", "strategy")) and strategy.text != "ROLLING":
        told = item.get("deploymentConfiguration") or NOTHING
        told.mark("no place", f"choose blue-green, linear or canary by {'.'.join(path)}.deployment.strategy")
    elif strategy:
        strategy.mark("taken", "rolling")
    if controller := item.get("deploymentController"):
        ecs = (controller.get("type") or NOTHING).text in ("", "ECS")
        controller.mark("taken" if ecs else "changed", "deployments are those of ECS")
    if kind := item.get("schedulingStrategy"):
        kind.mark("taken" if kind.text == "REPLICA" else "no place", "each service here has a count of tasks")
    strategies = (item.get("placementStrategy") or NOTHING).items
    if strategies and not on_fargate:
        first = (strategies[0].get("type") or NOTHING).text
        draft.put((*path, "placement"), "binpack" if first == "binpack" else "spread", item.get("placementStrategy"))
    if zones := item.get("availabilityZoneRebalancing"):
        draft.put((*path, "zone_rebalancing"), zones.text == "ENABLED", zones)
    if (grace := item.get("healthCheckGracePeriodSeconds")) and grace.number is not None and group:
        draft.put((*path, "deployment", "health_check_grace_s"), grace.number, grace)
    if exec_ := item.get("enableExecuteCommand"):
        draft.put((*path, "exec"), bool(exec_.flag), exec_)
    wanted = balancers[0] if balancers else NOTHING
    if named:
        told = item.get("serviceConnectConfiguration") or item.get("serviceRegistries") or NOTHING
        told.mark("changed", f"to {path[-1]}, its name in the set's own namespace, through Service Connect")
    if definition := item.get("taskDefinition"):
        answer = aws.read("ecs", "describe_task_definition", taskDefinition=definition.text)["taskDefinition"]
        task = _read(draft, f"ecs:DescribeTaskDefinition({answer['family']}:{answer['revision']})", answer)
        _task(draft, path, task, wanted, named, on_fargate)
        definition.mark("taken", "each of its keys by itself")
    if group:
        _behind(draft, aws, path, group)
    _scaling(draft, aws, path, cluster, (item.get("serviceName") or NOTHING).text)
    _rest(item, path)


def _rest(item: Item, path: tuple[str, ...]) -> None:
    """Say of the keys of an answer that nothing was made of which of them no config has; the rest nothing reads."""
    for key, entry in item.entries.items():
        if key in _OWN:
            entry.mark("no place", _AGAIN)
        elif key in _BY_HAND and entry.value:
            entry.mark("no place", _BY_HAND[key].format(path=".".join(path)))


def _named(item: Item) -> Item | None:
    """What says by which port others reach a service by its name; None where none does.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect-concepts-deploy.html
    """
    connected = (item.get("serviceConnectConfiguration", "services") or NOTHING).items
    return next(iter([*connected, *(item.get("serviceRegistries") or NOTHING).items]), None)


def _port(task: Item, named: Item) -> Item | None:
    """The port that a name leads to: that of its port mapping, else of the task's first."""
    mappings = [
        mapping
        for container in (task.get("containerDefinitions") or NOTHING).items
        for mapping in (container.get("portMappings") or NOTHING).items
    ]
    wanted = (named.get("portName") or NOTHING).text
    mappings.sort(key=lambda mapping: (mapping.get("name") or NOTHING).text != wanted)
    ports = [named.get("containerPort"), *(mapping.get("containerPort") for mapping in mappings)]
    return next((port for port in ports if port and port.number), None)


def _capacity(draft: Draft, aws: Aws, path: tuple[str, ...], item: Item) -> bool:
    strategy = {
        (entry.get("capacityProvider") or NOTHING).text: entry
        for entry in (item.get("capacityProviderStrategy") or NOTHING).items
    }
    if (item.get("launchType") or NOTHING).text == "FARGATE" or {"FARGATE", "FARGATE_SPOT"} & set(strategy):
        spot = "FARGATE_SPOT" in strategy
        name = "spot" if spot else "fargate"
        draft.put(("capacity", name, "kind"), "fargate")
        if spot:
            weights = {kind: (entry.get("weight") or NOTHING).number or 0 for kind, entry in strategy.items()}
            share = round(100 * weights["FARGATE_SPOT"] / max(sum(weights.values()), 1))
            draft.put(("capacity", name, "spot_percent"), share, strategy["FARGATE_SPOT"])
            if (base := strategy.get("FARGATE", NOTHING).get("base")) and base.number:
                draft.put(("capacity", name, "on_demand_base"), base.number, base)
        draft.put((*path, "capacity"), name)
        for key in ("launchType", "capacityProviderStrategy"):
            if found := item.get(key):
                found.mark("taken", f"capacity.{name}")
        return True
    draft.put(("capacity", "nodes", "kind"), "ec2")
    draft.put((*path, "capacity"), "nodes")
    for provider in strategy:
        asked = aws.read("ecs", "describe_capacity_providers", capacityProviders=[provider])["capacityProviders"]
        for arn in [
            entry["autoScalingGroupProvider"]["autoScalingGroupArn"]
            for entry in asked
            if "autoScalingGroupProvider" in entry
        ]:
            name = arn.rpartition("/")[2]
            groups = aws.read("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name])[
                "AutoScalingGroups"
            ]
            for group in groups:
                sizes = {key: group[key] for key in ("MinSize", "MaxSize")}
                # Those that are asked for; where a template asks for one, those that are there.
                mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("Overrides", [])
                named = [entry for entry in (*mixed, *group.get("Instances", [])) if "InstanceType" in entry]
                types = list(dict.fromkeys(entry["InstanceType"] for entry in named))
                read = _read(draft, f"autoscaling:DescribeAutoScalingGroups({name})", {**sizes, "InstanceTypes": types})
                for key, tunable in (("MinSize", "min_nodes"), ("MaxSize", "max_nodes")):
                    number = read.entries[key]
                    draft.put(("capacity", "nodes", tunable), number.number, number)
                if types:
                    draft.put(("capacity", "nodes", "instance_types"), types, read.entries["InstanceTypes"])
                else:
                    read.entries["InstanceTypes"].mark("no place", "no node runs that could tell them")
        strategy[provider].mark("changed", "capacity.nodes: a group and a capacity provider of the set's own")
    if launch := item.get("launchType"):
        launch.mark("taken", "capacity.nodes")
    return False


def _task(
    draft: Draft, path: tuple[str, ...], task: Item, balancer: Item, named: Item | None, on_fargate: bool
) -> None:
    containers = (task.get("containerDefinitions") or NOTHING).items
    wanted = (balancer.get("containerName") or NOTHING).text
    main = next(
        (entry for entry in containers if (entry.get("name") or NOTHING).text == wanted),
        containers[0] if containers else NOTHING,
    )
    sizes = []
    for key, usual in (("cpu", 256), ("memory", 512 if on_fargate else 256)):
        found = task.get(key) or main.get(key) or main.get("memoryReservation" if key == "memory" else key)
        sizes.append((found, found.number if found and found.number else usual))
    (cpu, cpu_units), (memory, memory_mib) = sizes
    why = ""
    if on_fargate:
        size = nearest(cpu_units, memory_mib)
        cpu_units, memory_mib, why = size.cpu_units, size.memory_mib, size.why
    draft.put((*path, "cpu_units"), max(cpu_units, 128), cpu, why)
    draft.put((*path, "memory_mib"), memory_mib, memory, why)
    if architecture := task.get("runtimePlatform", "cpuArchitecture"):
        draft.put((*path, "architecture"), "arm64" if architecture.text == "ARM64" else "x86_64", architecture)
    if (disk := task.get("ephemeralStorage", "sizeInGiB")) and disk.number is not None and on_fargate:
        draft.put((*path, "ephemeral_storage_gib"), disk.number, disk)
    if mode := task.get("networkMode"):
        if on_fargate:
            mode.mark("taken", "as on Fargate always")
        elif mode.text in ("bridge", "awsvpc"):
            draft.put((*path, "network_mode"), mode.text, mode)
        else:
            mode.mark("no place", f"bridge or awsvpc, not {mode.text}")
    if system := task.get("runtimePlatform", "operatingSystemFamily"):
        system.mark("taken" if system.text == "LINUX" else "no place", "Linux, as all here")
    for key in ("cpu", "memory", "memoryReservation"):
        if found := main.get(key):
            found.mark("changed", "a task and its container have one size")
    port = balancer.get("containerPort") or (_port(task, named) if named else None)
    if port and port.number is not None:
        draft.put((*path, "container_port"), port.number, port)
        if found := balancer.get("containerName"):
            found.mark("taken", ".".join(path))
    wanted = port.text if port else ""
    for entry in (main.get("portMappings") or NOTHING).items:
        if (entry.get("containerPort") or NOTHING).text == wanted:
            entry.mark("taken", f"{'.'.join(path)}.container_port")
    if essential := main.get("essential"):
        essential.mark("taken", "as a service's container always is")
    _container(draft, path, main)
    share = len(containers)
    for container in containers:
        if container is main:
            continue
        where = (*path, "sidecars", name_of((container.get("name") or NOTHING).text, [path[-1]]))
        draft.put((*where, "kind"), "container")
        draft.came_from(where, container)
        for tunable, total in (("cpu_units", cpu_units), ("memory_mib", memory_mib)):
            draft.put((*where, tunable), total // (share + 1), why="a sidecar has a part of its task's size of its own")
        if essential := container.get("essential"):
            draft.put((*where, "essential"), bool(essential.flag), essential)
        ports = [
            number
            for entry in (container.get("portMappings") or NOTHING).items
            if (number := entry.get("containerPort"))
        ]
        if ports:
            draft.put((*where, "ports"), [number.number for number in ports], container.entries["portMappings"])
        _container(draft, where, container)
    _rest(task, path)


def _container(draft: Draft, path: tuple[str, ...], item: Item) -> None:
    draft.put((*path, "read_only"), False, why="as Docker starts it, unless its task definition says otherwise")
    linux = item.get("linuxParameters") or NOTHING
    _capabilities(draft, path, linux.get("capabilities") or NOTHING)
    draft.put((*path, "tmpfs_mib"), {}, why="as Docker starts it, unless its task definition says otherwise")
    for entry in (linux.get("tmpfs") or NOTHING).items:
        where, size = entry.get("containerPath"), entry.get("size")
        if where and size and size.number is not None:
            draft.put((*path, "tmpfs_mib", where.text), size.number, entry)
    if init := linux.get("initProcessEnabled"):
        init.mark("taken" if init.flag else "changed", "an init runs in each container")
    for entry in (item.get("ulimits") or NOTHING).items:
        limit, soft, hard = (entry.get(key) or NOTHING for key in ("name", "softLimit", "hardLimit"))
        if hard.number is not None:
            why = "" if soft.text == hard.text else "soft and hard are one"
            draft.put((*path, "ulimits", limit.text), hard.number, entry, why)
    if credentials := item.get("repositoryCredentials", "credentialsParameter"):
        draft.put((*path, "registry_secret"), credentials.text, credentials)
    if (files := item.get("environmentFiles")) and files.items:
        names = [(entry.get("value") or NOTHING).text for entry in files.items]
        draft.put((*path, "environment_files"), names, files)
    for entry in (item.get("resourceRequirements") or NOTHING).items:
        if (entry.get("type") or NOTHING).text == "GPU" and len(path) == 2 and (count := entry.get("value")):
            draft.put((*path, "gpus"), count.number, entry)
    for key, tunable in (("image", "image_uri"), ("user", "user"), ("workingDirectory", "working_directory")):
        if (found := item.get(key)) and found.text:
            draft.put((*path, tunable), found.text, found)
    for key, tunable in (("command", "command"), ("entryPoint", "entrypoint")):
        if (found := item.get(key)) and found.items:
            draft.put((*path, tunable), [entry.text for entry in found.items], found)
    if found := item.get("readonlyRootFilesystem"):
        draft.put((*path, "read_only"), bool(found.flag), found)
    if (found := item.get("stopTimeout")) and found.number is not None:
        draft.put((*path, "stop_timeout_s"), found.number, found)
    for entry in (item.get("environment") or NOTHING).items:
        name, value = (entry.get("name") or NOTHING).text, (entry.get("value") or NOTHING).text
        if is_secret(name, value):
            entry.mark("no place", SECRET.format(key=".".join(path), name=name))
        else:
            draft.put((*path, "environment", name), value, entry)
    for entry in (item.get("secrets") or NOTHING).items:
        name, source = (entry.get("name") or NOTHING).text, (entry.get("valueFrom") or NOTHING).text
        if source.startswith("arn:"):
            draft.put((*path, "secrets", name), source, entry)
        else:
            entry.mark("no place", f"is no ARN: write that of {source} into {'.'.join(path)}.secrets")
    for label, text in (item.get("dockerLabels") or NOTHING).entries.items():
        draft.put((*path, "labels", label), text.text, text)
    if test := item.get("healthCheck", "command"):
        words = [entry.text for entry in test.items]
        shell = ["/bin/sh", "-c", *words[1:]] if words[:1] == ["CMD-SHELL"] else words[1:]
        draft.put((*path, "health_command"), shell, test)
        for key, tunable in (
            ("interval", "interval_s"),
            ("timeout", "timeout_s"),
            ("retries", "retries"),
            ("startPeriod", "start_s"),
        ):
            if (number := item.get("healthCheck", key)) and number.number is not None:
                draft.put((*path, f"health_{tunable}"), number.number, number)
    if logs := item.get("logConfiguration"):
        logs.mark("changed", "to a log group of the set's own")
    if mounts := item.get("mountPoints"):
        mounts.mark("no place", f"{'.'.join(path[:2])}.volumes: existing-efs mounts a file system that is there")
    if name_ := item.get("name"):
        name_.mark("taken", ".".join(path))


def _capabilities(draft: Draft, path: tuple[str, ...], item: Item) -> None:
    """The capabilities that a container has of its own, or beside those that Docker gives."""
    dropped = [entry.text for entry in (item.get("drop") or NOTHING).items]
    added = [entry.text for entry in (item.get("add") or NOTHING).items]
    value = [*([] if "ALL" in dropped else ["DEFAULT"]), *added]
    why = "" if set(dropped) <= {"ALL"} else "all that Docker gives, or none of them"
    if dropped or added:
        draft.put((*path, "capabilities"), value, item, why)
    else:
        draft.put((*path, "capabilities"), value, why="as Docker starts it")


def _behind(draft: Draft, aws: Aws, path: tuple[str, ...], group: Item) -> None:
    answer = aws.read("elbv2", "describe_target_groups", TargetGroupArns=[group.text])["TargetGroups"][0]
    found = _read(draft, f"elasticloadbalancing:DescribeTargetGroups({answer.get('TargetGroupName', '')})", answer)
    numbers = {
        "HealthCheckIntervalSeconds": "interval_s",
        "HealthCheckTimeoutSeconds": "timeout_s",
        "HealthyThresholdCount": "healthy_count",
        "UnhealthyThresholdCount": "unhealthy_count",
    }
    for key, tunable in numbers.items():
        if (number := found.get(key)) and number.number is not None:
            draft.put((*path, "health_check", tunable), number.number, number)
    for keys, tunable in ((("HealthCheckPath",), "path"), (("Matcher", "HttpCode"), "codes")):
        if text := found.get(*keys):
            draft.put((*path, "health_check", tunable), text.text, text)
    for balancer in answer.get("LoadBalancerArns", []):
        for listener in _all(aws, "elbv2", "describe_listeners", "Listeners", LoadBalancerArn=balancer):
            for rule in _all(aws, "elbv2", "describe_rules", "Rules", ListenerArn=listener["ListenerArn"]):
                if any(action.get("TargetGroupArn") == group.text for action in rule["Actions"]):
                    _rule(draft, path, _read(draft, f"elasticloadbalancing:DescribeRules({listener['Port']})", rule))
    if (port := found.get("HealthCheckPort")) and port.text == "traffic-port":
        port.mark("taken", "the port of the requests")
    for key in ("Protocol", "Port", "HealthCheckProtocol", "HealthCheckEnabled", "TargetType", "ProtocolVersion"):
        if entry := found.get(key):
            entry.mark("changed", "to what a target group of the set's own has")
    _rest(found, path)
    group.mark("changed", f"{'.'.join(path)}.health_check: a target group of the set's own")


def _rule(draft: Draft, path: tuple[str, ...], rule: Item) -> None:
    for condition in (rule.get("Conditions") or NOTHING).items:
        field = (condition.get("Field") or NOTHING).text
        tunable = {"path-pattern": "paths", "host-header": "hosts"}.get(field)
        values = (
            condition.get("PathPatternConfig", "Values")
            or condition.get("HostHeaderConfig", "Values")
            or condition.get("Values")
        )
        if tunable and values:
            draft.put((*path, "route", tunable), [entry.text for entry in values.items], condition)
    if priority := rule.get("Priority"):
        priority.mark("changed", "priorities are made of the route")
    if actions := rule.get("Actions"):
        actions.mark("taken", "to its target group")
    _rest(rule, path)


def _scaling(draft: Draft, aws: Aws, path: tuple[str, ...], cluster: str, service: str) -> None:
    resource = f"service/{cluster.rpartition('/')[2]}/{service}"
    called = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
    scaling = "application-autoscaling"
    targets = _all(aws, scaling, "describe_scalable_targets", "ScalableTargets", **called, ResourceIds=[resource])
    for answer in targets[:1]:
        target = _read(draft, f"application-autoscaling:DescribeScalableTargets({service})", answer)
        for key, tunable in (("MinCapacity", "min_tasks"), ("MaxCapacity", "max_tasks")):
            bound = target.entries[key]
            draft.put((*path, "scaling", tunable), bound.number, bound)
        draft.put((*path, "scaling", "cpu", "enabled"), False, why="unless a policy of the service says otherwise")
        draft.put((*path, "scaling", "high_resolution"), False)
        _rest(target, path)
    policies = _all(aws, scaling, "describe_scaling_policies", "ScalingPolicies", **called, ResourceId=resource)
    metrics = {"ECSServiceAverageCPUUtilization": "cpu", "ECSServiceAverageMemoryUtilization": "memory"}
    metrics["ALBRequestCountPerTarget"] = "requests"
    for answer in policies:
        policy = _read(draft, f"application-autoscaling:DescribeScalingPolicies({answer['PolicyName']})", answer)
        tracking = policy.get("TargetTrackingScalingPolicyConfiguration") or NOTHING
        metric = tracking.get("PredefinedMetricSpecification", "PredefinedMetricType")
        told = metric.text if metric else ""
        section, value = metrics.get(told.removesuffix("HighResolution")), tracking.get("TargetValue")
        if section and value:
            where = (*path, "scaling", section)
            draft.put((*where, "enabled"), True, metric)
            draft.put((*where, "target"), whole(float(value.text)), value)
            if told.endswith("HighResolution"):
                draft.put((*path, "scaling", "high_resolution"), True)
            if (label := tracking.get("PredefinedMetricSpecification", "ResourceLabel")) and label.text:
                label.mark("changed", "to the set's own balancer and target group")
            if (stays := tracking.get("DisableScaleIn")) and stays.flag is not None:
                draft.put((*where, "scale_in"), not stays.flag, stays)
            for key, tunable in (
                ("ScaleInCooldown", "scale_in_cooldown_s"),
                ("ScaleOutCooldown", "scale_out_cooldown_s"),
            ):
                if (number := tracking.get(key)) and number.number is not None:
                    draft.put((*where, tunable), number.number, number)
        if answer["PolicyType"] == "StepScaling":
            _step_policy(draft, aws, path, policy, answer)
        _rest(policy, path)
        if answer["PolicyType"] == "PredictiveScaling":
            policy.mark("no place", f"write it into {'.'.join(path)}.scaling.predictive")
        elif not section:
            policy.mark("no place", "tracks a metric that no policy here does")
    actions = _all(aws, scaling, "describe_scheduled_actions", "ScheduledActions", **called, ResourceId=resource)
    schedules = []
    for answer in actions:
        action = _read(
            draft, f"application-autoscaling:DescribeScheduledActions({answer['ScheduledActionName']})", answer
        )
        bounds = {key: action.get("ScalableTargetAction", key) for key in ("MinCapacity", "MaxCapacity")}
        name = re.sub(r"[^A-Za-z0-9_.-]", "-", answer["ScheduledActionName"])[:64]
        if all(bounds.values()):
            numbers = {key: item.number for key, item in bounds.items() if item}
            schedules.append({"name": name, "at": answer["Schedule"], "timezone": answer.get("Timezone", "UTC")})
            schedules[-1] |= {"min_tasks": numbers["MinCapacity"], "max_tasks": numbers["MaxCapacity"]}
            draft.put((*path, "scaling", "schedules"), schedules, action)
        action.mark("no place", "an action needs both bounds")


def _step_policy(draft: Draft, aws: Aws, path: tuple[str, ...], policy: Item, answer: Mapping[str, Any]) -> None:
    """A step policy with the alarm that triggers it, which has the metric and the threshold."""
    names = [alarm["AlarmName"] for alarm in answer.get("Alarms", [])]
    alarms = _all(aws, "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNames=names) if names else []
    watched = {"CPUUtilization": "cpu", "MemoryUtilization": "memory"}
    alarm = next((each for each in alarms if each.get("MetricName") in watched and "Threshold" in each), None)
    steps = policy.get("StepScalingPolicyConfiguration", "StepAdjustments")
    if alarm is None or alarm.get("Namespace") != "AWS/ECS" or steps is None:
        policy.mark(
            "no place", "no alarm of the service's CPU or memory triggers it, and scaling.step_policies go by those"
        )
        return
    above = alarm["ComparisonOperator"].startswith("GreaterThan")
    side = "MetricIntervalLowerBound" if above else "MetricIntervalUpperBound"
    written = sorted(
        (
            {
                "distance": abs(float((step.get(side) or NOTHING).text or 0)),
                "adjustment": (step.get("ScalingAdjustment") or NOTHING).number or 0,
            }
            for step in steps.items
        ),
        key=lambda step: step["distance"],
    )
    title = "".join(word[:1].upper() + word[1:] for word in re.findall("[A-Za-z0-9]+", answer["PolicyName"]))
    made: dict[str, Any] = {
        "name": re.sub("^[0-9]+", "", title)[:32]
        or f"Step{len(draft.at((*path, 'scaling', 'step_policies')) or ()) + 1}",
        "metric": watched[alarm["MetricName"]],
        "when": "above" if above else "below",
        "threshold": alarm["Threshold"],
        "periods": alarm["EvaluationPeriods"],
        "steps": written,
    }
    for key, tunable in (
        ("AdjustmentType", "adjustment_type"),
        ("Cooldown", "cooldown_s"),
        ("MinAdjustmentMagnitude", "min_adjustment_magnitude"),
    ):
        if found := policy.get("StepScalingPolicyConfiguration", key):
            made[tunable] = found.text if found.number is None else found.number
    where = (*path, "scaling", "step_policies")
    draft.put(where, [*(draft.at(where) or ()), made], policy.get("StepScalingPolicyConfiguration"))
    read = _read(
        draft,
        f"cloudwatch:DescribeAlarms({alarm['AlarmName']})",
        {key: alarm[key] for key in ("MetricName", "ComparisonOperator", "Threshold", "EvaluationPeriods", "Period")},
    )
    if alarm["Period"] != 60:
        read.entries["Period"].mark("changed", "to 60 s")
    read.mark("taken", f"{'.'.join(where)}: {made['name']}")


def _all(aws: Aws, service: str, operation: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
    """What all pages of an answer hold."""
    return [entry for page in aws.pages(service, operation, **arguments) for entry in page[key]]

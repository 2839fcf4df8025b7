"""http-scale-out, by its Terraform files, as a config: its numbers, and what of them cannot hold.

Of HCL blocks, attributes and texts are read, and no expressions but variables with a default:
https://developer.hashicorp.com/terraform/language/syntax/configuration
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from scaleout_cfn.conversion.drafts import Draft
from scaleout_cfn.conversion.sources import NOTHING, Item, read_text, read_yaml
from scaleout_cfn.errors import UsageError

_TOKEN = re.compile(
    r"(?P<comment>#[^\n]*|//[^\n]*|/\*.*?\*/)|(?P<heredoc><<-?(?P<tag>\w+)[ \t]*\n.*?\n[ \t]*(?P=tag)\b)"
    r'|(?P<text>"(?:\$\{(?:[^{}"]|"[^"]*")*\}|\\.|[^"\\])*")|(?P<line>\n)|(?P<blank>[^\S\n]+)|(?P<sign>[{}\[\]=(),])'
    r"|(?P<word>[^\s{}\[\]=(),\"#]+)",
    re.DOTALL,
)
_KEYS = "keys are never in a file: the standard chain of AWS finds them"
_MADE = "is made by the set itself, by least privilege"
#: What has no place, by the type of a resource.
NO_PLACE = {
    "aws_iam_role": _MADE,
    "aws_iam_policy_document": _MADE,
    "aws_iam_role_policy_attachment": _MADE,
    "aws_iam_instance_profile": _MADE,
    "aws_security_group": "load balancer and service have their own, which let in whom they serve, and nobody by SSH",
    "aws_default_vpc": 'the set makes a VPC of its own; network of kind = "existing" takes one that is there',
    "aws_default_subnet": 'the set makes subnets of its own; network of kind = "existing" takes those that are there',
    "aws_autoscaling_policy": "nodes follow the tasks that wait for room, and not their own CPU",
    "aws_ami": "capacity.nodes.machine_image, by default the newest for ECS of Amazon Linux 2023",
    "aws_ecr_repository": "the service has a repository of its own, under a name that CloudFormation makes",
    "aws_ecs_cluster": "the set has a cluster of its own; cluster.name gives it a name",
}


def read_hcl(path: Path, shown: str) -> Item:
    """The blocks of a Terraform file: a mapping of `type.label.label` to what is in each. Raises UsageError."""
    text = read_text(path)
    tokens = []
    for found in _TOKEN.finditer(text):
        kind = str(found.lastgroup if found.lastgroup != "tag" else "heredoc")
        if kind not in ("comment", "blank"):
            tokens.append((kind, found[0], text.count("\n", 0, found.start()) + 1))
    entries, end = _body(tokens, 0, "", shown)
    if end < len(tokens):
        raise UsageError(f"{shown}:{tokens[end][2]}: a brace closes what none has opened; this is not HCL")
    return Item("", shown, 1, entries)


def _body(tokens: list[tuple[str, str, int]], at: int, path: str, file: str) -> tuple[dict[str, Item], int]:
    entries: dict[str, Item] = {}
    while at < len(tokens):
        kind, text, line = tokens[at]
        if text == "}":
            return entries, at
        if kind == "line":
            at += 1
            continue
        at += 1
        labels = [text.strip('"')]
        while at < len(tokens) and tokens[at][0] in ("text", "word"):
            labels.append(tokens[at][1].strip('"'))
            at += 1
        sign = tokens[at][1] if at < len(tokens) else ""
        key = name = ".".join(labels)
        number = 1
        while key in entries:
            number += 1
            key = f"{name}[{number}]"
        here = f"{path}.{key}".lstrip(".")
        if sign == "{":
            inner, at = _body(tokens, at + 1, here, file)
            if at >= len(tokens):
                raise UsageError(f"{file}:{line}: {here} has no end; this is not HCL")
            entries[key] = Item(here, file, line, inner)
            at += 1
        elif sign == "=":
            value, at = _expression(tokens, at + 1)
            entries[key] = Item(here, file, line, value)
        else:
            raise UsageError(f"{file}:{line}: {name} is followed by neither = nor a brace; this is not HCL")
    return entries, at


def _expression(tokens: list[tuple[str, str, int]], at: int) -> tuple[str, int]:
    depth, parts = 0, []
    while at < len(tokens):
        kind, text, _ = tokens[at]
        if depth == 0 and (kind == "line" or text == "}"):
            break
        if kind == "sign":
            depth += (text in "{[(") - (text in "}])")
        if kind != "line":
            parts.append(text)
        at += 1
    whole = " ".join(parts)
    return (whole[1:-1] if len(parts) == 1 and parts[0].startswith('"') else whole), at


def read_terraform(folder: Path) -> Draft:
    """A draft of the Terraform files of http-scale-out in a folder, or in terraform/ of it.

    Raises UsageError where there are none, or where they make no ECS service.
    """
    place = folder / "terraform" if (folder / "terraform").is_dir() else folder
    paths = sorted([*place.glob("*.tf"), *place.glob("*.tfvars")])
    if not paths:
        raise UsageError(f"{folder}: holds no .tf file, nor does terraform/ in it; give the folder of http-scale-out")
    draft = Draft(*(read_hcl(path, path.name) for path in paths))
    values = _values(draft)
    # The documents grow by what is found beside them.
    blocks = [(name.split("."), item) for document in list(draft.documents) for name, item in document.entries.items()]
    if not any(words[:2] == ["resource", "aws_ecs_service"] for words, _ in blocks):
        raise UsageError(f"{place}: makes no aws_ecs_service; give the folder of http-scale-out")
    draft.put(("services", "web", "kind"), "web")
    draft.put(("capacity", "nodes", "kind"), "ec2")
    for words, item in blocks:
        _block(draft, place, words, item, values)
    draft.make_room()
    return draft


def _values(draft: Draft) -> dict[str, str]:
    """What variables are: by their defaults, and over these by .tfvars."""
    values: dict[str, str] = {}
    for document in draft.documents:
        for name, item in document.entries.items():
            if name.startswith("variable."):
                values.setdefault(name.partition(".")[2], (item.get("default") or NOTHING).text)
            elif document.file.endswith(".tfvars"):
                values[name] = item.text
                item.mark(
                    "no place" if "key" in name else "taken", _KEYS if "key" in name else "stands where it is used"
                )
    return values


def _told(item: Item | None, values: dict[str, str]) -> str:
    text = item.text if item else ""
    found = re.fullmatch(r"(?:\$\{)?var\.(\w+)\}?", text)
    return values.get(found[1], "") if found else text


def _block(draft: Draft, place: Path, words: list[str], item: Item, values: dict[str, str]) -> None:
    kind = words[1] if words[0] in ("resource", "data") and len(words) > 1 else words[0]
    web, nodes = ("services", "web"), ("capacity", "nodes")
    if kind == "provider":
        if region := _told(item.get("region"), values):
            draft.put(("region",), region, item.get("region"))
        item.mark("no place", _KEYS)
    elif kind == "variable":
        secret = "key" in words[-1]
        item.mark(
            "no place" if secret else "taken",
            _KEYS if secret else "stands where it is used",
        )
    elif kind in ("aws_launch_configuration", "aws_launch_template"):
        if found := item.get("instance_type"):
            draft.put((*nodes, "instance_types"), [_told(found, values)], found)
        item.mark(
            "no place", "nodes have a launch template of the set's own, and no SSH key: `exec`, or Session Manager"
        )
    elif kind == "aws_autoscaling_group":
        _numbers(draft, item, values, {"min_size": (*nodes, "min_nodes"), "max_size": (*nodes, "max_nodes")})
        item.mark("no place", "the group is the capacity provider's, over the set's own subnets")
    elif kind == "aws_appautoscaling_target":
        there = {"min_capacity": "min_tasks", "max_capacity": "max_tasks"}
        _numbers(draft, item, values, {key: (*web, "scaling", tunable) for key, tunable in there.items()})
        item.mark("taken", "is the service's number of tasks")
    elif kind == "aws_appautoscaling_policy":
        target = item.get("target_tracking_scaling_policy_configuration") or NOTHING
        metric = target.get("predefined_metric_specification", "predefined_metric_type")
        section = {
            "ECSServiceAverageCPUUtilization": "cpu",
            "ECSServiceAverageMemoryUtilization": "memory",
            "ALBRequestCountPerTarget": "requests",
        }.get(metric.text if metric else "")
        if section:
            draft.put((*web, "scaling", section, "enabled"), True, metric)
            keys = {"target_value": "target", "scale_in_cooldown": "scale_in_cooldown_s"}
            keys["scale_out_cooldown"] = "scale_out_cooldown_s"
            _numbers(draft, target, values, {key: (*web, "scaling", section, to) for key, to in keys.items()})
        item.mark("no place", "is what the policy is called and hangs on")
    elif kind in ("aws_lb", "aws_alb"):
        if found := item.get("enable_deletion_protection"):
            draft.put(("load_balancer", "deletion_protection"), _told(found, values) == "true", found)
        if found := item.get("internal"):
            scheme = "internal" if _told(found, values) == "true" else "internet-facing"
            draft.put(("load_balancer", "scheme"), scheme, found)
        item.mark("no place", "the load balancer is in the set's own subnets and security group")
    elif kind in ("aws_lb_target_group", "aws_alb_target_group"):
        if found := item.get("health_check", "path"):
            draft.put((*web, "health_check", "path"), _told(found, values), found)
        else:
            # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
            draft.put((*web, "health_check", "path"), "/", why="without a health check, AWS asks for it")
        item.mark("taken", "is of the service's own port")
    elif kind in ("aws_lb_listener", "aws_alb_listener"):
        item.mark("taken", "HTTP on port 80, until load_balancer.listener has a certificate or a domain")
    elif kind == "aws_ecs_service":
        _service(draft, item, values)
    elif kind == "aws_ecs_task_definition":
        _task(draft, place, item)
    else:
        item.mark("no place", NO_PLACE.get(kind, f"nothing here is made of {kind}"))


def _numbers(draft: Draft, item: Item, values: dict[str, str], there: dict[str, tuple[str, ...]]) -> None:
    for key, path in there.items():
        found = item.get(key)
        text = _told(found, values)
        if found and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
            number = float(text)
            draft.put(path, int(number) if number.is_integer() else number, found)


def _service(draft: Draft, item: Item, values: dict[str, str]) -> None:
    web = ("services", "web")
    for name, block in item.entries.items():
        if name.startswith("ordered_placement_strategy") and _told(block.get("type"), values) == "binpack":
            draft.put((*web, "placement"), "binpack", block)
            # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
            draft.put((*web, "zone_rebalancing"), False, why="does not go with binpack")
    _numbers(draft, item, values, {"desired_count": (*web, "scaling", "min_tasks")})
    _numbers(draft, item.get("load_balancer") or NOTHING, values, {"container_port": (*web, "container_port")})
    item.mark("no place", "is what the service is called and hangs on")


def _task(draft: Draft, place: Path, item: Item) -> None:
    found = item.get("container_definitions")
    file = re.search(r'file\(\s*"([^"]+)"\s*\)', found.text) if found else None
    path = place / file[1].replace("${path.module}/", "") if file else None
    if found is None or path is None or not path.is_file():
        item.mark("no place", "its containers are not in a file that is there: write the size of the task by hand")
        return
    try:
        json.loads(read_text(path))
    except ValueError as error:
        raise UsageError(f"{path}: {error}; this is not JSON") from None
    document = read_yaml(  # JSON is YAML, whose reader knows the lines
        path, shown=path.relative_to(place).as_posix()
    )
    draft.documents.append(document)
    found.mark("taken", f"{document.file}, each key by itself")
    item.mark("no place", "is what the task definition is called")
    web = ("services", "web")
    for container in document.items[:1]:
        for key, tunable in (("cpu", "cpu_units"), ("memory", "memory_mib")):
            if (number := container.get(key)) and number.number is not None:
                draft.put((*web, tunable), number.number, number)
        for port in (container.get("portMappings") or NOTHING).items[:1]:
            if (number := port.get("containerPort")) and number.number is not None:
                draft.put((*web, "container_port"), number.number, number)
            port.mark("taken", "bridge, on dynamic ports, as on EC2 nodes by default")
        if image := container.get("image"):
            image.mark(
                "changed", "is pushed to the service's own repository, by a tag of its content: `deploy --build`"
            )
        for key in ("name", "essential"):
            if given := container.get(key):
                given.mark("taken", "services.web")
    draft.put((*web, "read_only"), False, why="as Docker starts it")
    draft.put((*web, "tmpfs_mib"), {}, why="as Docker starts it")
    draft.put((*web, "capabilities"), ["DEFAULT"], why="as Docker starts it")

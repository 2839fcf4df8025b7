"""Config to stacks, stacks to text, text to files. No clock, environment, network or randomness on the way."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
from troposphere import AWSObject, Sub, Tags, autoscaling, cloudformation, ec2, iam
from troposphere.validators.autoscaling import Tags as GroupTags

from scaleout_cfn import capacity
from scaleout_cfn.config import Config
from scaleout_cfn.config_file import checked
from scaleout_cfn.errors import SetError, UsageError, WiringError
from scaleout_cfn.lint import check_set
from scaleout_cfn.parameters import asked, interface
from scaleout_cfn.scaling import Scaling, Schedule
from scaleout_cfn.stack import Stack, describe, file_name, kinds_of, wires_of
from scaleout_cfn.stacks import root
from scaleout_cfn.yaml_text import to_yaml

__all__ = [
    "Format",
    "Template",
    "compose",
    "folder_url",
    "is_ours",
    "local_url",
    "render",
    "set_of",
    "templates_in",
    "texts_of",
    "write",
]

Format: TypeAlias = Literal["yaml", "json"]
Template: TypeAlias = dict[str, Any]
#: File name and template of a child to the TemplateURL that its parent gets.
Url: TypeAlias = Callable[[str, Template], Any]

NODE_IMAGES = {
    "x86_64": "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
    "arm64": "/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id",
}
TEMPLATES_URL = {
    "Type": "String",
    "Description": (
        "Where the nested templates lie: an https address of an S3 folder, without a slash at its end. No default: it"
        " is wherever you uploaded them."
    ),
    "AllowedPattern": "^https://[^ ?#]+[^/ ?#]$",
    "ConstraintDescription": "an https address without a slash at its end",
}
# How a file is known as ours again: files without it are never removed.
MARK = {"RenderedBy": "scaleout_cfn"}
OURS = re.compile(r'^Metadata:\n  RenderedBy: scaleout_cfn$|"Metadata": \{\s*"RenderedBy": "scaleout_cfn"', re.M)
MAX_ROOT_BYTES = 51_200
ROOT = "root"
TEMPLATE_ORDER = (
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Transform",
    "Parameters",
    "Rules",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
)
RESOURCE_ORDER = ("Type", "Condition", "DependsOn", "Metadata", "DeletionPolicy", "UpdateReplacePolicy", "Properties")


def compose(config: Config | None = None, build: Callable[..., Any] = root.build) -> Stack:
    """The stack set of a config, as troposphere objects that are yours to change before they are rendered.

    `build` is the root: ours, or a function of your own that calls ours and nests more. Its keyword-only arguments
    become the root's parameters, with default, text and bounds from the tunable of the same name.
    Raises ConfigError when the config is refused, SetError when its tasks do not fit its nodes.
    """
    config = Config() if config is None or config == Config() else checked(config)
    if not config.cluster.node_image:
        image = NODE_IMAGES[config.cluster.architecture]
        config = msgspec.structs.replace(config, cluster=msgspec.structs.replace(config.cluster, node_image=image))
    most_tasks = fitting_tasks(config)
    stack = Stack("Root", describe(build))
    arguments = wires_of(build)
    wires: dict[str, Any] = {}
    for name, (kind, _) in kinds_of(build).items():
        most = most_tasks if name == "max_tasks" else None
        properties = asked(config, name, kind, most=most)
        default = arguments[name].default
        if default is None:
            wires[name] = None
            continue
        if default is not inspect.Parameter.empty:
            properties["Default"] = default.data
        wires[name] = stack.parameter(kind, name, **properties)
    stack.declare_outputs(build(stack, config, **wires))
    stack.template.set_metadata({"AWS::CloudFormation::Interface": interface(config, stack.template.parameters)})
    for one in family(stack):
        _finish(one, config)
    return stack


def fitting_tasks(config: Config) -> int:
    """The most tasks that the most nodes hold. Raises SetError, with the arithmetic, when that is too few."""
    service, deployment = config.service, config.service.deployment
    # A schedule may ask for more, or for less, than the bounds that hold at other times.
    bounds: list[Scaling | Schedule] = [config.scaling, *config.scaling.schedules]
    demand = capacity.Demand(
        cpu_units=service.cpu_units,
        memory_mib=service.memory_mib,
        network_mode=service.network_mode,
        min_tasks=min(bound.min_tasks for bound in bounds),
        max_tasks=max(bound.max_tasks for bound in bounds),
        minimum_healthy_percent=deployment.minimum_healthy_percent,
        maximum_percent=deployment.maximum_percent,
    )
    supply = capacity.Supply(
        instance_types=config.cluster.instance_types,
        max_nodes=config.cluster.max_nodes,
        architecture=config.cluster.architecture,
    )
    if problems := capacity.problems(demand, supply):
        raise SetError([f"{problem.message}: {problem.cure}" for problem in problems])
    return capacity.most_tasks(demand, supply)


def family(stack: Stack) -> Iterator[Stack]:
    """A stack, then those nested in it, depth first."""
    yield stack
    for child in stack.children.values():
        yield from family(child)


def _finish(stack: Stack, config: Config) -> None:
    """What holds for every resource: the boundary of roles, and tags wherever CloudFormation takes them."""
    for title, resource in stack.template.resources.items():
        if config.permissions_boundary and isinstance(resource, iam.Role):
            resource.PermissionsBoundary = config.permissions_boundary
        named = {"Name": Sub("${AWS::StackName}/" + title), **config.tags}
        if isinstance(resource, cloudformation.Stack):
            # CloudFormation hands these on to what is inside. A Name there would be the same for all.
            if config.tags:
                resource.Tags = Tags(config.tags)
        elif isinstance(resource, autoscaling.AutoScalingGroup):
            own = {tag["Key"]: tag["Value"] for tag in resource.properties.get("Tags", GroupTags()).tags}
            resource.Tags = GroupTags(**{**named, **own})
        elif isinstance(resource, ec2.LaunchTemplate):
            resource.TagSpecifications = [ec2.TagSpecifications(ResourceType="launch-template", Tags=Tags(named))]
            # The group tags its instances; what comes with an instance is tagged by the template.
            resource.LaunchTemplateData.TagSpecifications = [
                ec2.TagSpecifications(ResourceType=kind, Tags=Tags(named)) for kind in ("volume", "network-interface")
            ]
        elif "Tags" in resource.props:
            resource.Tags = _with_own(resource, named)


def _with_own(resource: AWSObject, named: dict[str, Any]) -> Any:
    """Our tags and those that the resource brings, which win, in the form that its type wants."""
    own = resource.properties.get("Tags")
    if resource.props["Tags"][0] is dict:
        return {**named, **(own or {})}
    return Tags({**named, **{tag["Key"]: tag["Value"] for tag in (own.tags if own else [])}})


def folder_url(name: str, template: Template) -> Any:
    """The TemplateURL that `render` writes: in the folder that the root's parameter TemplatesUrl names."""
    return {"Fn::Sub": f"${{TemplatesUrl}}/{name}"}


def local_url(name: str, template: Template) -> Any:
    """The TemplateURL for checks in memory: the file name, the only form that cfn-lint follows."""
    return name


def set_of(stack: Stack, *, format: Format = "yaml", url: Url = folder_url) -> dict[str, Template]:
    """The templates of a set as plain dicts, file name to template, the root first.

    `url` makes the TemplateURL of each child of its file name and its template.
    """
    result: dict[str, Template] = {}
    _collect(stack, ROOT, format, url, result)
    return result


def texts_of(templates: Mapping[str, Template], *, format: Format = "yaml") -> dict[str, str]:
    """The text of each template of a set.

    Raises SetError when the set would fail on CloudFormation: no part of it is text then.
    """
    found = check_set(templates)
    if errors := [finding for finding in found if finding.severity == "error"]:
        raise SetError(
            [f"{one.file}: {one.path}: {one.message.rstrip('.')}; {one.cure} [{one.rule}]" for one in errors]
        )
    texts = {name: _text(template, format) for name, template in templates.items()}
    size = len(next(iter(texts.values())).encode())
    if size > MAX_ROOT_BYTES:
        raise SetError([f"the root has {size} bytes, CloudFormation takes {MAX_ROOT_BYTES} as a body: nest more of it"])
    return texts


def render(stack: Stack, *, format: Format = "yaml", url: Url = folder_url) -> dict[str, str]:
    """The text of a set, file name to text, the root first. `url` and errors are those of `set_of` and `texts_of`."""
    return texts_of(set_of(stack, format=format, url=url), format=format)


def _collect(stack: Stack, name: str, format: Format, url: Url, result: dict[str, Template], prefix: str = "") -> bool:
    """Add a stack and those nested in it; True when its template has to be told where their files lie.

    Children come first, for a TemplateURL may depend on the child; in the result the parent does.
    """
    template = stack.template.to_dict()
    children: dict[str, Template] = {}
    wants_folder = False
    for title, child in stack.children.items():
        child_name = prefix + file_name(title)
        below: dict[str, Template] = {}
        child_wants = _collect(child, child_name, format, url, below, child_name + "-")
        properties = template["Resources"][title]["Properties"]
        file = f"{child_name}.{format}"
        properties["TemplateURL"] = url(file, below[file])
        if child_wants:
            properties.setdefault("Parameters", {})["TemplatesUrl"] = {"Ref": "TemplatesUrl"}
        wants_folder |= child_wants or "TemplatesUrl" in str(properties["TemplateURL"])
        if taken := below.keys() & (children.keys() | {f"{name}.{format}", f"{ROOT}.{format}"}):
            raise WiringError(f"{stack.title}: two stacks would be the file {min(taken)}; give {title} another title")
        children |= below
    if wants_folder:
        _ask_for_folder(template)
    result[f"{name}.{format}"] = _ordered(template)
    result |= children
    return wants_folder


def _ask_for_folder(template: dict[str, Any]) -> None:
    template["Parameters"] = {"TemplatesUrl": TEMPLATES_URL, **template.get("Parameters", {})}
    if form := template.get("Metadata", {}).get("AWS::CloudFormation::Interface"):
        group = {"Label": {"default": "Templates"}, "Parameters": ["TemplatesUrl"]}
        template["Metadata"] = {
            **template["Metadata"],
            "AWS::CloudFormation::Interface": {
                "ParameterGroups": [group, *form["ParameterGroups"]],
                "ParameterLabels": {"TemplatesUrl": {"default": "Templates URL"}, **form["ParameterLabels"]},
            },
        }


def _ordered(template: Template) -> Template:
    """The sections in the order in which one reads them."""
    template["Metadata"] = {**MARK, **template.get("Metadata", {})}
    template["Resources"] = {
        title: _in_order(resource, RESOURCE_ORDER) for title, resource in template["Resources"].items()
    }
    return _in_order(template, TEMPLATE_ORDER)


def _in_order(mapping: dict[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    return {key: mapping[key] for key in (*order, *mapping) if key in mapping}


def _text(template: dict[str, Any], format: Format) -> str:
    return to_yaml(template) if format == "yaml" else json.dumps(template, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write a set to a folder, all of it or nothing, and remove templates of ours that are not of the set.

    Returns what was removed. Raises UsageError when the folder cannot be written to; the old files are intact then.
    """
    before: dict[Path, bytes | None] = {}
    temporary = {folder / name: folder / f".{name}.{os.getpid()}" for name in texts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stale = [path for path in templates_in(folder) if path.name not in texts and is_ours(path)]
        for path, beside in temporary.items():
            beside.write_text(texts[path.name], encoding="utf-8", newline="\n")
        for path, beside in temporary.items():
            old = path.read_bytes() if path.exists() else None
            os.replace(beside, path)
            before[path] = old
        for path in stale:
            path.unlink()
    except BaseException as error:
        for path, old in before.items():
            with contextlib.suppress(OSError):
                path.unlink() if old is None else path.write_bytes(old)
        if isinstance(error, OSError):
            raise UsageError(f"{folder}: {error.strerror or error}; give a folder that can be written to") from None
        raise
    finally:
        for beside in temporary.values():
            with contextlib.suppress(OSError):
                beside.unlink()
    return stale


def templates_in(folder: Path) -> list[Path]:
    """The template files of a folder, in order."""
    return sorted(path for path in folder.glob("*") if path.suffix in (".yaml", ".json") and path.is_file())


def is_ours(path: Path) -> bool:
    """Whether a template was rendered by this package."""
    return OURS.search(path.read_text(encoding="utf-8", errors="replace")) is not None

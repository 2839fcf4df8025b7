"""Stacks to text. No clock, environment, network or randomness on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

from troposphere import AWSHelperFn, BaseAWSObject, Tags, encode_to_dict

from scaleout_cfn.construction import required, uncollected
from scaleout_cfn.errors import SetError, WiringError
from scaleout_cfn.fitting import misfits
from scaleout_cfn.lint import errors_on
from scaleout_cfn.stack import Stack, file_name
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.yaml_text import to_yaml

Format: TypeAlias = Literal["yaml", "json"]
Template: TypeAlias = dict[str, Any]
#: File name and template of a child to the TemplateURL that its parent gets.
Url: TypeAlias = Callable[[str, Template], Any]

TEMPLATES_URL = {
    "Type": "String",
    "Description": (
        "Where the nested templates lie: an https address of an S3 folder, without a slash at its end. No default: it"
        " is wherever you uploaded them."
    ),
    "AllowedPattern": "^https://[^ ?#]+[^/ ?#]$",
    "ConstraintDescription": "an https address without a slash at its end",
}
# How a file is known as ours again (files.is_ours): one without it is never removed.
MARK = {"RenderedBy": "scaleout_cfn"}
MAX_ROOT_BYTES = 51_200
ROOT = "root"
#: The sections in the order in which one reads them, and what troposphere's Template calls each.
SECTIONS = {
    "AWSTemplateFormatVersion": "version",
    "Description": "description",
    "Metadata": "metadata",
    "Transform": "transform",
    "Parameters": "parameters",
    "Rules": "rules",
    "Mappings": "mappings",
    "Conditions": "conditions",
    "Resources": "resources",
    "Outputs": "outputs",
    "Globals": "globals",
}
RESOURCE_ORDER = ("Type", "Condition", "DependsOn", "Metadata", "DeletionPolicy", "UpdateReplacePolicy", "Properties")


def folder_url(name: str, template: Template) -> Any:
    """The TemplateURL that `render` writes: in the folder that the root's parameter TemplatesUrl names."""
    return {"Fn::Sub": f"${{TemplatesUrl}}/{name}"}


def local_url(name: str, template: Template) -> Any:
    """The TemplateURL for checks in memory: the file name, the only form that cfn-lint follows."""
    return name


@uncollected
def set_of(stack: Stack, *, format: Format = "yaml", url: Url = folder_url) -> dict[str, Template]:
    """The templates of a set as plain dicts, file name to template, the root first.

    `url` makes the TemplateURL of each child of its file name and its template.
    """
    if not isinstance(stack, Stack):
        raise WiringError(f"a set is made of a Stack, as compose(config) gives one; got {type(stack).__name__}")
    result: dict[str, Template] = {}
    _collect(stack, ROOT, format, url, result)
    return result


@uncollected
def texts_of(templates: Mapping[str, Template], *, format: Format = "yaml") -> dict[str, str]:
    """The text of each template of a set.

    Raises SetError when the set would fail on CloudFormation, or has more tasks than its nodes hold: no part of it is
    text then.
    """
    stacks = StackSet(templates)
    refusals = [f"{f.file}: {f.path}: {f.message.rstrip('.')}; {f.cure} [{f.rule}]" for f in errors_on(stacks)]
    if refusals := [*refusals, *misfits(stacks)]:
        raise SetError(refusals)
    texts = {name: _text(template, format) for name, template in templates.items()}
    size = len(next(iter(texts.values())).encode())
    if size > MAX_ROOT_BYTES:
        raise SetError(
            [
                f"the root has {size} bytes, CloudFormation takes {MAX_ROOT_BYTES} as a body: nest more of it."
                " Services that share an image (image_of), and workers, take less room; others may be a set of their"
                ' own behind the same load balancer (load_balancer.kind = "existing")'
            ]
        )
    return texts


def render(stack: Stack, *, format: Format = "yaml", url: Url = folder_url) -> dict[str, str]:
    """The text of a set, file name to text, the root first. `url` and errors are those of `set_of` and `texts_of`."""
    return texts_of(set_of(stack, format=format, url=url), format=format)


def _collect(stack: Stack, name: str, format: Format, url: Url, result: dict[str, Template], prefix: str = "") -> bool:
    """Add a stack and those nested in it; True when its template has to be told where their files lie.

    Children come first, for a TemplateURL may depend on the child; in the result the parent does.
    """
    sections = {section: getattr(stack.template, name) for section, name in SECTIONS.items()}
    template = {name: _plain(section) for name, section in sections.items() if section or name == "Resources"}
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


class _Plain(dict[type, Callable[[Any], Any]]):
    """What makes plain data of a value, by its class: as troposphere's own `to_dict` does, which goes over each once a
    level above.
    """

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        own = getattr(kind, "to_dict", None)
        made: Callable[[Any], Any]
        if own is AWSHelperFn.to_dict:
            made = _of_function
        elif own is Tags.to_dict:
            made = _of_tags
        elif own is BaseAWSObject.to_dict:
            made = _of_object
        else:
            # awacs has a form of its own.
            made = _of_other if hasattr(kind, "JSONrepr") else encode_to_dict
        self[kind] = made
        return made


def _same(value: Any) -> Any:
    return value


def _of_dict(value: dict[str, Any]) -> dict[str, Any]:
    # Most are texts: a call less.
    return {key: item if type(item) is str else _PLAIN[type(item)](item) for key, item in value.items()}


def _of_list(value: list[Any]) -> list[Any]:
    return [item if type(item) is str else _PLAIN[type(item)](item) for item in value]


def _of_function(value: AWSHelperFn) -> Any:
    return _PLAIN[type(value.data)](value.data)


def _of_tags(value: Tags) -> Any:
    return _of_list(value.tags)


def _of_object(value: BaseAWSObject) -> Any:
    if not value.properties:
        return encode_to_dict(value)
    if value.do_validation:
        if not value.properties.keys() >= required(type(value)):
            value._validate_props()  # which says what is missing
        value.validate()
    return _of_dict(value.resource)


def _of_other(value: Any) -> Any:
    return _plain(value.JSONrepr())


def _plain(value: Any) -> Any:
    """Plain data of troposphere's objects."""
    return _PLAIN[type(value)](value)


_PLAIN = _Plain({str: _same, int: _same, bool: _same, float: _same, dict: _of_dict, list: _of_list})


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
    return _in_order(template, SECTIONS)


def _in_order(mapping: dict[str, Any], order: Iterable[str]) -> dict[str, Any]:
    return {**{key: mapping[key] for key in order if key in mapping}, **mapping}


def _text(template: dict[str, Any], format: Format) -> str:
    return to_yaml(template) if format == "yaml" else json.dumps(template, indent=2, ensure_ascii=False) + "\n"

"""What a stack holds: what goes with it, what outlives it, and what is in either. Reads only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from scaleout_cfn.aws import NESTED, title_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.changes.plan import is_marked
from scaleout_cfn.deploy.changes.stateful import is_stateful
from scaleout_cfn.deploy.live import Live, Resource, find, resources_of, template_body
from scaleout_cfn.deploy.messages import Fact, Note, Tell
from scaleout_cfn.errors import AccessError, ApiError, ScaleoutError, UsageError

BUCKET = "AWS::S3::Bucket"
REPOSITORY = "AWS::ECR::Repository"
LOGS = "AWS::Logs::LogGroup"
#: What can be emptied without being deleted.
EMPTIED = (BUCKET, REPOSITORY)
#: The properties of all resource schemas, and the attribute of a load balancer, that make AWS refuse a deletion.
PROTECTING = re.compile(
    r"(Deletion|Delete|Termination)Protect(ion|ed)(Enabled)?|TerminationProtected|DisableApiTermination"
    r"|deletion_protection\.enabled"
)
OFF = {"", "false", "none", "inactive", "disabled"}
#: S3 and ECR delete so many at a time.
BATCH = {BUCKET: 1000, REPOSITORY: 100}


@dataclass(frozen=True)
class Item:
    """A resource of the inventory. `policy` is its DeletionPolicy; `holds` what is in it, in words, empty for nothing.

    `marked`: its template says that it holds data, whatever its type. `protected`: the property by which it says that
    it is not to be deleted, empty for none.
    """

    resource: Resource
    policy: str = "Delete"
    holds: str = ""
    marked: bool = False
    protected: str = ""

    @property
    def kept(self) -> bool:
        """Whether it outlives the stack, or a snapshot of it does."""
        return self.policy != "Delete"

    @property
    def consent(self) -> bool:
        """Whether it goes with data in it, so that somebody has to agree by its name."""
        return bool(self.holds) and not self.kept


@dataclass(frozen=True)
class Inventory:
    """All that a stack and those nested in it hold."""

    items: tuple[Item, ...]

    @property
    def retained(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.kept)

    @property
    def lost(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.consent)

    def of(self, kind: str) -> list[Resource]:
        return [item.resource for item in self.items if item.resource.type == kind and item.resource.physical_id]

    def message(self, stack: str) -> Fact:
        gone = [item for item in self.items if not item.kept and item.resource.type != NESTED]
        kinds = Counter(item.resource.type for item in gone)
        lines = [f"{stack} holds {len(gone)} resources to delete, and {len(self.retained)} that are retained"]
        lines += [f"  - {count:>3} {kind}" for kind, count in sorted(kinds.items())]
        lines += [f"  = {_place(item)}  {item.holds or 'empty, or unknown'}  {_policy(item)}" for item in self.retained]
        lines += [f"  ! {_place(item)}  holds {item.holds}  DELETED WITH IT" for item in self.lost]
        return Fact(
            "stock",
            tuple(lines),
            {
                "deleted": [{"path": item.resource.path, "type": item.resource.type} for item in gone],
                "retained": [_data(item) for item in self.retained],
                "lost": [_data(item) for item in self.lost],
            },
        )


def _place(item: Item) -> str:
    return f"{item.resource.path}  {item.resource.type}  {item.resource.physical_id}"


def _policy(item: Item) -> str:
    return "A SNAPSHOT IS KEPT" if item.policy == "Snapshot" else "RETAINED"


def _data(item: Item) -> dict[str, str]:
    resource = item.resource
    return {"path": resource.path, "type": resource.type, "physical_id": resource.physical_id, "holds": item.holds}


def inventory_of(
    resources: Iterable[Resource],
    templates: Mapping[str, Mapping[str, Any]],
    held: Mapping[str, str],
    parameters: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Inventory:
    """The inventory, of the resources, the template and the parameters of each stack by its ARN, and what is in each
    resource by its path.

    A resource that its template does not name goes with the stack, and so does all of a template that could not be
    read: nothing is taken for safe that may not be.
    """
    items = []
    for resource in resources:
        declared = _declared(resource, templates)
        policy = str(declared.get("DeletionPolicy", "Delete"))
        values = parameters.get(resource.stack_id, {})
        protected = next(_protections(declared.get("Properties"), values), "")
        items.append(Item(resource, policy, held.get(resource.path, ""), is_marked(declared), protected))
    return Inventory(tuple(items))


def _declared(resource: Resource, templates: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    declared = templates.get(resource.stack_id, {}).get("Resources", {}).get(resource.path.rpartition("/")[2], {})
    return declared if isinstance(declared, Mapping) else {}


def held_back(taken: Inventory, named: Collection[str], *, partly: bool = False) -> list[Item]:
    """What goes with data in it and was not named.

    Raises UsageError for a name that means nothing: consent to a slip of the pen is no consent. `partly`: an earlier
    run deleted some of the stack, so that a name may be of what is gone.
    """
    by_path = {item.resource.path: item for item in taken.items}
    able = [path for path, item in by_path.items() if _can_be_named(item)]
    for path in named:
        item = by_path.get(path)
        if path in able or (item is None and partly):
            continue
        if item is None:
            what = "is not in the stack"
        else:
            what = f"is {item.resource.type}, " + ("retained as it is" if item.kept else "which holds no data")
        raise UsageError(f"--empty {path}: {what}; give one of: {', '.join(able) or 'none, so leave it out'}")
    return [item for item in taken.lost if item.resource.path not in named]


def _can_be_named(item: Item) -> bool:
    stateful = is_stateful(item.resource.type) or item.marked
    return item.resource.type in EMPTIED or (stateful and not item.kept)


def take_inventory(aws: Aws, live: Live, tell: Tell) -> Inventory:
    """Read what a stack holds. What cannot be looked into counts as full."""
    resources = list(resources_of(aws, live.stack_id))
    templates = {stack_id: _template(aws, stack_id, tell) for stack_id in {resource.stack_id for resource in resources}}
    held = {
        resource.path: words
        for resource in resources
        if (is_stateful(resource.type) or is_marked(_declared(resource, templates))) and (words := _held(aws, resource))
    }
    parameters = {
        stack_id: stack.parameters
        for stack_id, template in templates.items()
        if PROTECTING.search(str(template.get("Resources"))) and (stack := find(aws, stack_id))
    }
    return inventory_of(resources, templates, held, parameters)


def _protections(value: Any, parameters: Mapping[str, str]) -> Iterator[str]:
    """The properties of a resource, at any depth, that keep it from being deleted."""
    if isinstance(value, list):
        for inner in value:
            yield from _protections(inner, parameters)
    if not isinstance(value, Mapping):
        return
    named = {str(value["Key"]): value.get("Value")} if "Key" in value else value  # attributes of a load balancer
    for key, inner in named.items():
        if PROTECTING.fullmatch(key):
            if isinstance(inner, Mapping) and "Ref" in inner:
                inner = parameters.get(str(inner["Ref"]), "")
            elif isinstance(inner, Mapping):
                inner = inner.get("Mode", "")
            if str(inner).lower() not in OFF:
                yield key
        yield from _protections(inner, parameters)


def _template(aws: Aws, stack_id: str, tell: Tell) -> Mapping[str, Any]:
    try:
        return template_body(aws, stack_id)
    except ScaleoutError as error:
        tell(Note(f"template of {title_in(stack_id)} not read, all in it counts as deleted: {error}", "warning"))
        return {}


def _held(aws: Aws, resource: Resource) -> str:
    """What is in a resource, in words; empty when nothing is."""
    if not resource.physical_id:
        return ""
    try:
        if resource.type == BUCKET:
            page = aws.read("s3", "list_object_versions", Bucket=resource.physical_id, MaxKeys=BATCH[BUCKET])
            count = len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))
            return f"{'more than ' if page.get('IsTruncated') else ''}{count} object versions" if count else ""
        if resource.type == REPOSITORY:
            count = len(images_in(aws, resource.physical_id))
            return f"{count} images" if count else ""
        if resource.type == LOGS:
            groups = aws.read("logs", "describe_log_groups", logGroupNamePrefix=resource.physical_id)["logGroups"]
            size = next(
                (group.get("storedBytes", 0) for group in groups if group["logGroupName"] == resource.physical_id), 0
            )
            return f"{size} bytes of logs" if size else ""
    except ApiError as error:
        if error.kind == "missing":
            return ""
        return f"what could not be looked at ({error.code})"
    except AccessError as error:
        if error.kind == "expired":
            raise
        return "what we may not look at"
    return "data"


def images_in(aws: Aws, repository: str) -> list[str]:
    """The digests in a repository: an image of two tags is listed twice."""
    pages = aws.pages("ecr", "list_images", repositoryName=repository)
    return list(dict.fromkeys(image["imageDigest"] for page in pages for image in page.get("imageIds", [])))

"""Random sets of nested stacks, a random change of each, and what is left of it when it is executed.

The change set is the emulator's comparison of both templates; the update follows the emulator's rules (its functions
resolve, the resource schemas say what is replaced), and where they leave a choice, the worse happens: what may be
replaced is, and whatever is touched has other attributes, but for those that go with the resource.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ministack.services.cloudformation import engine

from scaleout_cfn.aws import NESTED
from scaleout_cfn.deploy.changes.plan import Change, change_of
from scaleout_cfn.deploy.changes.unchanged import Pair, with_unchanged
from scaleout_cfn.local.differences import Comparison
from scaleout_cfn.templates.schemas import recreation

Record = dict[str, Any]

#: Type to its properties, the attributes that go with the resource, and those that do not.
TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "AWS::EC2::SecurityGroup": (("VpcId", "GroupDescription", "SecurityGroupIngress"), ("GroupId", "VpcId"), ()),
    "AWS::DynamoDB::Table": (("TableName", "KeySchema", "BillingMode"), ("Arn",), ("StreamArn",)),
    "AWS::SSM::Parameter": (("Name", "Value"), (), ("Type", "Value")),
    "AWS::EC2::LaunchTemplate": (
        ("LaunchTemplateName", "LaunchTemplateData"), ("LaunchTemplateId",), ("LatestVersionNumber",)
    ),
    "AWS::AutoScaling::AutoScalingGroup": (("AutoScalingGroupName", "MinSize"), ("AutoScalingGroupARN",), ()),
    "AWS::ECS::TaskDefinition": (("Family", "ContainerDefinitions"), ("TaskDefinitionArn",), ()),
    "AWS::ECS::Service": (("ServiceName", "TaskDefinition", "DesiredCount"), ("ServiceArn", "Name"), ()),
    "AWS::StepFunctions::StateMachine": (
        ("StateMachineName", "DefinitionString"), ("Arn",), ("StateMachineRevisionId",)
    ),
    "Custom::Thing": (("One", "Two"), (), ("Any",)),
}  # fmt: skip
WORDS = ("a", "b", "a,b", "x/y")
SSM = "AWS::SSM::Parameter::Value<String>"


class Author:
    """Writes one template, and the next version of it."""

    def __init__(self, random: Random, body: Record, children: dict[str, Record]) -> None:
        self.random, self.body, self.children = random, body, children

    def expression(self, above: list[str], depth: int = 2) -> Any:
        """A value of a property that may name parameters, mappings, conditions, and these resources."""
        random = self.random
        if depth == 0 or random.random() < 0.2:
            return random.choice(WORDS)
        inner = [self.expression(above, depth - 1) for _ in range(2)]
        references = [self.reference(name) for name in (*above, *self.body["Parameters"]) for _ in range(2)]
        kinds: list[Any] = [
            lambda: {"Fn::Join": ["/", inner]},
            lambda: {"Fn::Select": [random.choice("01"), inner]},
            lambda: {"Fn::Select": ["0", {"Fn::Split": ["/", {"Fn::Join": ["", inner]}]}]},
            lambda: {"Fn::If": [random.choice(list(self.body["Conditions"])), *inner]},
            lambda: {"Fn::Base64": inner[0]},
            lambda: {"Fn::FindInMap": ["Map", {"Ref": "Key"}, "word"]},
            lambda: {"Fn::Sub": ["${AWS::Region}-${One}", {"One": inner[0]}]},
            lambda: {"Fn::Sub": "${Key}-${AWS::StackName}"},
        ]
        if references and random.random() < 0.6:
            return random.choice(references)
        return random.choice(kinds)()

    def reference(self, name: str) -> Any:
        resource = self.body["Resources"].get(name)
        if resource is None:
            return {"Ref": name}
        if resource["Type"] == NESTED:
            outputs = self.children[resource["Properties"]["TemplateURL"]]["Outputs"]
            output = self.random.choice(list(outputs))
            return {"Fn::GetAtt": [name, f"Outputs.{output}"]}
        _, lasting, passing = TYPES[resource["Type"]]
        chosen: Record = self.random.choice(
            [{"Ref": name}, *({"Fn::GetAtt": [name, one]} for one in (*lasting, *passing))]
        )
        return (
            {"Fn::Sub": f"${{{'.'.join(chosen.get('Fn::GetAtt', [name]))}}}"} if self.random.random() < 0.2 else chosen
        )

    def member(self, above: list[str]) -> Any:
        value = self.expression(above)
        shape = self.random.random()
        if shape < 0.15:
            return {"Fn::If": [self.random.choice(list(self.body["Conditions"])), value, {"Ref": "AWS::NoValue"}]}
        return [value, self.expression(above, 1)] if shape < 0.3 else {"Deep": value} if shape < 0.4 else value

    def resource(self, above: list[str]) -> Record:
        kind = self.random.choice(list(TYPES))
        resource: Record = {"Type": kind, "Properties": {}}
        for name in TYPES[kind][0]:
            if self.random.random() < 0.7:
                resource["Properties"][name] = self.member(above)
        if self.random.random() < 0.2:
            resource["Condition"] = self.random.choice(list(self.body["Conditions"]))
        if "Scaling" in kind and self.random.random() < 0.3:
            resource["UpdatePolicy"] = {"AutoScalingReplacingUpdate": {"WillReplace": True}}
        return resource

    def nested(self, url: str, above: list[str]) -> Record:
        names = [name for name in self.children[url]["Parameters"] if self.random.random() < 0.85]
        passed = {name: self.expression(above) for name in names if name != "Key"}
        when = {"Condition": self.random.choice(list(self.body["Conditions"]))} if self.random.random() < 0.15 else {}
        return {"Type": NESTED, "Properties": {"TemplateURL": url, "Parameters": passed}, **when}

    def condition(self) -> Any:
        names = [*self.body["Parameters"], *self.body["Parameters"]]
        equal = {"Fn::Equals": [{"Ref": self.random.choice(names)}, self.random.choice(WORDS)]}
        return {"Fn::Not": [equal]} if self.random.random() < 0.3 else equal

    def outputs(self) -> Record:
        titles = list(self.body["Resources"])
        return {f"O{number}": {"Value": self.expression(titles)} for number in range(self.random.randint(1, 3))}


def written(random: Random, children: dict[str, Record], names: tuple[str, ...]) -> Record:
    """A template that nests these, with parameters of these names."""
    parameters: Record = {name: {"Type": "String", "Default": random.choice(WORDS)} for name in names}
    if random.random() < 0.3:
        parameters[names[0]] |= {"Type": "CommaDelimitedList"}
    if random.random() < 0.1:
        parameters[names[0]] |= {"Type": SSM}
    parameters["Key"] = {"Type": "String", "Default": "k1"}
    keys = ("k1", "k2")
    body: Record = {
        "Parameters": parameters,
        "Mappings": {"Map": {key: {"word": random.choice(WORDS)} for key in keys}},
    }
    body |= {"Conditions": {}, "Resources": {}, "Outputs": {}}
    author = Author(random, body, children)
    for number in range(2):
        body["Conditions"][f"C{number}"] = author.condition()
    waiting = list(children)
    for number in range(random.randint(1, 4) + len(waiting)):
        above = list(body["Resources"])
        if waiting and random.random() < 0.6:
            body["Resources"][f"N{number}"] = author.nested(waiting.pop(), above)
        else:
            body["Resources"][f"R{number}"] = author.resource(above)
    body["Outputs"] = author.outputs()
    return body


def rewritten(random: Random, body: Record, children: dict[str, Record]) -> Record:
    """Another version of a template, of which most is the same."""
    body = copy.deepcopy(body)
    author = Author(random, body, children)
    titles = list(body["Resources"])
    for number, resource in enumerate(body["Resources"].values()):
        members = resource["Properties"]
        if resource["Type"] == NESTED:
            members = members["Parameters"]
        for name in list(members):
            if random.random() < 0.1:
                members[name] = author.expression(titles[:number])
            elif random.random() < 0.04:
                del members[name]
        if resource["Type"] != NESTED and random.random() < 0.03:
            resource["Properties"] = author.resource(titles[:number])["Properties"]
            resource["Properties"] = {
                name: value for name, value in resource["Properties"].items() if name in TYPES[resource["Type"]][0]
            }
    last = titles[-1]
    if (
        last.startswith("R")
        and random.random() < 0.1
        and f'"{last}' not in json.dumps(body["Outputs"])
        and "${" + last not in json.dumps(body)
    ):
        del body["Resources"][last]
    if random.random() < 0.2:
        body["Resources"]["R99"] = author.resource(list(body["Resources"]))
    for name in body["Conditions"]:
        if random.random() < 0.05:
            body["Conditions"][name] = author.condition()
    for output in body["Outputs"].values():
        if random.random() < 0.15:
            output["Value"] = author.expression(list(body["Resources"]))
    if random.random() < 0.1:
        body["Mappings"]["Map"]["k1"]["word"] = random.choice(WORDS)
    if random.random() < 0.05:
        body["Parameters"]["P"]["Default"] = random.choice(WORDS)
    return body


@dataclass
class Case:
    """A set before and after: the templates by their URL, the root first, and the root's parameters."""

    before: dict[str, Record]
    after: dict[str, Record]
    was: dict[str, str]
    will: dict[str, str]
    looked_up: tuple[str, str]


def drawn(seed: int) -> Case:
    """A set and its change. A nested template keeps its URL, as where only what is in it is compared."""
    random = Random(seed)
    leaves = {f"leaf{number}": written(random, {}, ("P", "Q")) for number in range(random.randint(1, 2))}
    middle = {"middle": written(random, leaves, ("P", "Q"))} if random.random() < 0.4 else {}
    low = {} if middle else leaves
    others = {f"other{number}": written(random, {}, ("P", "Q", "S")) for number in range(random.randint(1, 2))}
    root = written(random, {**middle, **low, **others}, ("P", "Q", "S"))
    if random.random() < 0.2:
        root["Parameters"]["Q"]["NoEcho"] = True
    before = {"root": root, **leaves, **middle, **others}
    after: dict[str, Record] = {}
    for name in [*leaves, *middle, *others, "root"]:
        body = before[name]
        after[name] = rewritten(random, body, {**before, **after}) if random.random() < 0.5 else body
    was = {name: random.choice(WORDS) for name in ("P", "Q", "S")}
    will = {name: random.choice(WORDS) if random.random() < 0.3 else value for name, value in was.items()}
    return Case(before, after, was, will, (random.choice(WORDS), random.choice(WORDS)))


@dataclass
class World:
    """What stands, and what a change set says and does. `bodies` are the templates that a URL leads to now."""

    bodies: dict[str, Record]
    looked_up: str
    stacks: dict[str, Record] = field(default_factory=dict)
    made: int = 0

    def parameters(self, body: Record, given: dict[str, str]) -> dict[str, Record]:
        declared = {
            name: {**one, "Type": "String" if one["Type"] == SSM else one["Type"]}
            for name, one in body["Parameters"].items()
        }
        values = [{"Key": name, "Value": value} for name, value in given.items() if name in declared]
        found: dict[str, Record] = engine._resolve_parameters({"Parameters": declared}, values)
        for name, one in body["Parameters"].items():
            if one["Type"] == SSM:
                found[name]["Value"] = self.looked_up + found[name]["Value"]
        return found

    def propose(self, path: str, body: Record, given: dict[str, str]) -> tuple[list[Change], list[str], bool]:
        """What the change set of a stack says, depth first; the stacks that have one; and whether anything changes."""
        changed = {"_template": body, "_resolved_params": self.parameters(body, given)}
        comparison = Comparison(self.stacks[path], changed)
        changes: list[Change] = []
        stacks = [path]
        for title in comparison.order:
            change = comparison.change(title)
            definition, inner = comparison.definition(title), f"{path}/{title}".lstrip("/")
            below: list[Change] = []
            if definition["Type"] == NESTED and title in self.stacks[path]["_resources"]:
                properties = definition["Properties"]
                passed = {name: comparison.parameter(value) for name, value in properties["Parameters"].items()}
                below, seen, moves = self.propose(inner, self.bodies[properties["TemplateURL"]], passed)
                if moves:
                    stacks += seen
                    change = change or comparison.modified(title, [])
                else:
                    comparison.effects.pop(title, None)
            if change is not None:
                changes += [change_of(change, path), *below]
        changes += [change_of(change, path) for change in comparison.removals()]
        return changes, stacks, bool(changes) or comparison.changes_outputs()

    def apply(self, path: str, body: Record, given: dict[str, str]) -> None:
        """Make a stack what its template says, as an update does."""
        stack = self.stacks.setdefault(path, {"_resources": {}, "StackName": path or "root", "StackId": f"arn:{path}"})
        stack["_template"], stack["_resolved_params"] = body, self.parameters(body, given)
        conditions = engine._evaluate_conditions(body, stack["_resolved_params"])
        order = engine._topological_sort(body["Resources"], conditions)
        for title in order:
            definition = body["Resources"][title]
            properties = self.resolved(stack, definition.get("Properties", {}), conditions)
            if definition["Type"] == NESTED:
                inner = f"{path}/{title}".lstrip("/")
                passed = {name: str(value) for name, value in properties["Parameters"].items()}
                self.apply(inner, self.bodies[properties["TemplateURL"]], passed)
                record = {"PhysicalResourceId": f"arn:{inner}", "Attributes": self.stacks[inner]["_outputs"]}
            else:
                record = self.made_or_updated(stack["_resources"].get(title), definition, properties)
            stack["_resources"][title] = {**record, "ResourceType": definition["Type"], "Properties": properties}
        for title in set(stack["_resources"]) - set(order):
            del stack["_resources"][title]
            inside = f"{path}/{title}".lstrip("/")
            self.stacks = {name: one for name, one in self.stacks.items() if not f"{name}/".startswith(f"{inside}/")}
        stack["_outputs"] = {
            f"Outputs.{name}": str(self.resolved(stack, output["Value"], conditions))
            for name, output in body["Outputs"].items()
        }

    def made_or_updated(self, old: Record | None, definition: Record, properties: Record) -> Record:
        kind = definition["Type"]
        if old is not None and old["ResourceType"] == kind and old["Properties"] == properties:
            return old
        self.made += 1
        physical = f"id{self.made}"
        if old is not None and old["ResourceType"] == kind:
            names = [
                name
                for name in {*old["Properties"], *properties}
                if old["Properties"].get(name) != properties.get(name)
            ]
            replaced = any(recreation(kind, [name]) != "Never" for name in names) or "UpdatePolicy" in definition
            physical = physical if replaced else old["PhysicalResourceId"]
        _, lasting, passing = TYPES[kind]
        attributes = {name: f"{physical}.{name}" for name in lasting} | {name: f"{name}{self.made}" for name in passing}
        return {"PhysicalResourceId": physical, "Attributes": attributes}

    def resolved(self, stack: Record, value: Any, conditions: dict[str, bool]) -> Any:
        mappings = stack["_template"]["Mappings"]
        return engine._resolve_refs(
            copy.deepcopy(value), stack["_resources"], stack["_resolved_params"], conditions, mappings,
            stack["StackName"], stack["StackId"],
        )  # fmt: skip

    def resources(self) -> dict[str, Record]:
        return {
            f"{path}/{title}".lstrip("/"): copy.deepcopy(record)
            for path, stack in self.stacks.items()
            for title, record in stack["_resources"].items()
        }


@dataclass
class Executed:
    """A plan as AWS would say it, what its templates are, and what stood before the update and after it."""

    changes: list[Change]
    pairs: dict[str, Pair]
    before: dict[str, Record]
    after: dict[str, Record]


def executed(seed: int) -> Executed:
    """A drawn change, proposed and executed."""
    case = drawn(seed)
    world = World(case.before, case.looked_up[0])
    world.apply("", case.before["root"], case.was)
    before = world.resources()
    world.bodies, world.looked_up = case.after, case.looked_up[1]
    changes, stacks, _ = world.propose("", case.after["root"], case.will)
    pairs = dict(_pairs(world, case, stacks))
    world.apply("", case.after["root"], case.will)
    return Executed(changes, pairs, before, world.resources())


def _pairs(world: World, case: Case, stacks: list[str]) -> Iterator[tuple[str, Pair]]:
    for path in stacks:
        if path:
            above, _, title = path.rpartition("/")
            url = world.stacks[above]["_template"]["Resources"][title]["Properties"]["TemplateURL"]
            yield path, Pair(case.before[url], case.after[url])
        else:
            given = ({**case.was, "Key": "k1"}, {**case.will, "Key": "k1"})
            yield path, Pair(case.before["root"], case.after["root"], given)


def wrong_calm(seed: int) -> list[str]:
    """What the plan of a drawn change calls unchanged, or not replaced where AWS said that it may be, and was."""
    case = executed(seed)
    found: list[str] = []
    for said, told in zip(case.changes, with_unchanged(case.changes, case.pairs.get), strict=True):
        before, after = case.before.get(told.path), case.after.get(told.path, {})
        if told.action != "Modify" or told.nested or before is None:
            continue
        names = [entry.name.partition(".")[0] for entry in told.properties if entry.unchanged]
        replaced = before["PhysicalResourceId"] != after.get("PhysicalResourceId")
        if told.replacement == "none" != said.replacement and replaced:
            found.append(f"{seed}: {told.path} was replaced")
        if told.unchanged and before != after:
            found.append(f"{seed}: {told.path} was changed")
        if any(before["Properties"].get(name) != after.get("Properties", {}).get(name) for name in names):
            found.append(f"{seed}: {told.path} has another {', '.join(names)}")
    return found


def raised(seed: int) -> list[tuple[str, bool]]:
    """What the plan of a drawn change says is replaced where AWS could not tell, and whether it was."""
    case = executed(seed)
    pairs = zip(case.changes, with_unchanged(case.changes, case.pairs.get), strict=True)
    return [
        (
            f"{seed}: {told.path}",
            case.before[told.path]["PhysicalResourceId"] != case.after.get(told.path, {}).get("PhysicalResourceId"),
        )
        for said, told in pairs
        if said.replacement == "possible" and told.replacement == "certain" and told.path in case.before
    ]


if __name__ == "__main__":
    number = int(sys.argv[1])
    wrong = [words for seed in range(number) for words in wrong_calm(seed)]
    told = [one for seed in range(number) for one in raised(seed)]
    wrong += [f"{words} was not replaced" for words, was in told if not was]
    print(f"{len(told)} said to be replaced where AWS could not tell")
    print(f"{len(wrong)} wrong of {number} changes", *wrong, sep="\n")

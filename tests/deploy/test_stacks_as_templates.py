"""Deployed stacks as a set of templates that is simulated: read by calls that change nothing."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from typing import Any

import pytest
from click.testing import CliRunner

import scaleout_cfn as sc
from scaleout_cfn.cli import cli
from scaleout_cfn.composing import compose
from scaleout_cfn.deploy.live import templates_of
from scaleout_cfn.errors import UsageError
from scaleout_cfn.permissions.grants import Scope
from scaleout_cfn.permissions.policies import simulation
from scaleout_cfn.rendering import set_of
from scaleout_cfn.simulator.read import model_of

from .scripted import Scripted, failed

NESTED = "AWS::CloudFormation::Stack"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:1"


class Account(Scripted):
    """An account in which the set of a config is deployed as `web`, with values for its root's parameters."""

    def __init__(self, config: sc.Config, **values: str) -> None:
        files = set_of(compose(config))
        root = files["root.yaml"]
        self.files = {"web": root}
        urls = {name: each["Properties"]["TemplateURL"] for name, each in root["Resources"].items()
                if each["Type"] == NESTED}  # fmt: skip
        for name, url in urls.items():
            text = url["Fn::Sub"] if isinstance(url, dict) else url
            self.files[f"web-{name}"] = files[text.rpartition("/")[2]]
        self.values = {"WebImageUri": IMAGE, "TemplatesUrl": "https://somewhere/else", **values}
        super().__init__(describe_stacks=self.describe, get_template=self.template, list_stack_resources=self.resources)

    def describe(self, StackName: str) -> Any:
        if StackName != "web":
            return failed("missing")
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in self.values.items()]
        row = {"StackId": "arn:stack/web/1", "StackName": "web", "StackStatus": "UPDATE_COMPLETE"}
        return {"Stacks": [{**row, "Parameters": parameters}]}

    def template(self, StackName: str, TemplateStage: str) -> Any:
        assert TemplateStage == "Processed"
        body = self.files[StackName.split("/")[1]]
        # As botocore gives a template in JSON, and one in YAML.
        return {"TemplateBody": body if "-" in StackName else json.dumps(body)}

    def resources(self, StackName: str) -> Any:
        body = self.files[StackName.split("/")[1]]
        return {
            "StackResourceSummaries": [
                {
                    "LogicalResourceId": name,
                    "ResourceType": each["Type"],
                    "PhysicalResourceId": f"arn:stack/web-{name}/1" if each["Type"] == NESTED else name,
                    "ResourceStatus": "CREATE_COMPLETE",
                }
                for name, each in body["Resources"].items()
            ]
        }


def test_a_deployed_set_gives_the_model_of_its_templates_with_the_values_of_its_parameters() -> None:
    account = Account(sc.Config(), WebScalingMaxTasks="17")
    live = model_of(templates_of(account, "web", {}))
    rendered = model_of(set_of(compose(sc.Config())), given={"WebScalingMaxTasks": "17"})
    assert live == rendered
    assert live.scaling.max_tasks == 17
    assert model_of(templates_of(account, "web", {"WebScalingMaxTasks": "11"})).scaling.max_tasks == 11


def test_a_stack_is_read_by_the_calls_that_its_policy_allows_and_no_others() -> None:
    account = Account(sc.Config())
    templates_of(account, "web", {})
    statements = simulation(Scope("web", "bucket", "123456789012", "eu-west-1", "", "/", "", ""))
    allowed = {action.action for statement in statements for action in statement.Action}
    called = {"".join(word.title() for word in operation.split("_")) for operation, _ in account.calls}
    assert called == {"DescribeStacks", "GetTemplate", "ListStackResources"} <= allowed


def test_a_stack_that_is_not_there_is_one_message() -> None:
    with pytest.raises(UsageError, match="stack shop: there is none in eu-west-1"):
        templates_of(Account(sc.Config()), "shop", {})


def test_simulate_takes_a_stack_in_place_of_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(sc.Config(), WebScalingMaxTasks="17")
    monkeypatch.setattr("scaleout_cfn.aws.client.Aws", lambda _: account)
    step = ["--traffic", "step", "--with", "hours=0.2", "--task-rps", "50"]
    done = CliRunner().invoke(cli, ["simulate", "--stack", "web", "--region", "eu-west-1", *step, "--json"])
    assert done.exit_code == 0, done.output
    assert fnmatch(done.stdout, '*"objective_missed"*')
    refused = CliRunner().invoke(cli, ["simulate", "templates_out", "--stack", "web", *step])
    assert isinstance(refused.exception, UsageError)
    assert "--stack web: goes without templates_out" in str(refused.exception)

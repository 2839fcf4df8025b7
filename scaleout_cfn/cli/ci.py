"""ci: workflow files for other people's pipelines."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import click

from scaleout_cfn.cli.options import config_options, load_config, one_service_option
from scaleout_cfn.config import Config, GitHubPipeline
from scaleout_cfn.config.units import Unit, names_of, units
from scaleout_cfn.errors import UsageError
from scaleout_cfn.stacks.pipeline import MOST_SESSION_MIN, PLATFORMS, deploy_timeout_min, jobs_by_image, script

#: By commit, for a tag can be moved to other code by whoever takes over the action's repository.
CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
CREDENTIALS = "aws-actions/configure-aws-credentials@a03048d87541d1d9fcf2ecf528a4a65ba9bd7838 # v5.0.0"
#: https://docs.github.com/en/actions/reference/runners/github-hosted-runners
RUNNERS = {"x86_64": "ubuntu-24.04", "arm64": "ubuntu-24.04-arm"}

WORKFLOW = """\
# Builds the image of {service} of stack {stack}, pushes it by digest, and deploys it through CloudFormation.
# Printed by `scaleout-cfn ci github`: print it again rather than change it here.
#
# No key is kept anywhere. The variables of the repository (Settings, Secrets and variables, Actions, Variables) are
# from the outputs of the stack:
#   AWS_REGION  {region}
#   AWS_BUILD_ROLE_{variable}  {title}GithubBuildRole
#   AWS_DEPLOY_ROLE_{variable}  {title}GithubDeployRole
#   REPOSITORY_URI_{variable}  {title}RepositoryUri
{approval}name: Deploy {service} of {stack}

on:
  push:
    branches: ["{branch}"]
  workflow_dispatch:

permissions: {{}}

# One deployment at a time, and none is broken off. Those of other services are waited for in the deployment.
concurrency:
  group: deploy-{stack}-{service}
  cancel-in-progress: false

jobs:
  build:
    if: github.ref == 'refs/heads/{branch}'
    runs-on: {runner}
    timeout-minutes: 60
    permissions:
      contents: read
      id-token: write
    outputs:
      digest: ${{{{ steps.build.outputs.digest }}}}
    env:
      REPOSITORY_URI: ${{{{ vars.REPOSITORY_URI_{variable} }}}}
      PLATFORM: {platform}
      CONTEXT: "{context}"
    steps:
      - uses: {checkout}
        with:
          persist-credentials: false
      - uses: {credentials}
        with:
          aws-region: ${{{{ vars.AWS_REGION }}}}
          role-to-assume: ${{{{ vars.AWS_BUILD_ROLE_{variable} }}}}
      - id: build
        shell: bash
        run: |
          # Tags of the repository are immutable, and a commit may be built more than once.
          export IMAGE_TAG="${{GITHUB_SHA:0:12}}-$GITHUB_RUN_NUMBER-$GITHUB_RUN_ATTEMPT"
{build}
          echo "digest=$(cat image-digest)" >> "$GITHUB_OUTPUT"

  deploy:
    needs: build
    runs-on: {runner}
    timeout-minutes: {timeout_min}
{environment}    permissions:
      id-token: write
    env:
      STACK: "{stack}"
      PARAMETER: {parameter}
{jobs}      REPOSITORY_URI: ${{{{ vars.REPOSITORY_URI_{variable} }}}}
      IMAGE_DIGEST: ${{{{ needs.build.outputs.digest }}}}
    steps:
      - uses: {credentials}
        with:
          aws-region: ${{{{ vars.AWS_REGION }}}}
          role-to-assume: ${{{{ vars.AWS_DEPLOY_ROLE_{variable} }}}}
          role-duration-seconds: {timeout_s}
      - shell: bash
        run: |
{deploy}"""

APPROVAL = """\
# The deployment waits for the reviewers of the environment {stack} (Settings, Environments). Allow it there for the
# branch {branch} only: whoever may deploy to the environment may take on the role.
"""


@click.group()
def ci() -> None:
    """Print workflow files that build and deploy from elsewhere."""


@ci.command()
@config_options
@one_service_option
def github(config_path: Path | None, environment: str | None, overrides: tuple[str, ...], service: str) -> None:
    """Print the GitHub Actions workflow of a service with pipeline.kind = "github".

    Keep it as .github/workflows/deploy-SERVICE.yml of the service's repository. Needs no AWS account.
    """
    click.echo(workflow(_with_pipeline(load_config(config_path, environment, overrides), service)), nl=False)


def _with_pipeline(config: Config, service: str) -> Unit:
    """The service of that name, else the only one that GitHub deploys. Raises UsageError."""
    if service and service not in config.services:
        raise UsageError(f"--service: no service is called {service}; there is {names_of(config.services)}")
    if service and (owner := config.services[service].image_of):
        raise UsageError(f"--service: {service} runs the image of {owner}; name that one")
    able = [unit for unit in units(config) if isinstance(unit.settings.pipeline, GitHubPipeline)]
    asked = [unit for unit in able if service in ("", unit.name)]
    if not asked:
        only = units(config)[0].name if len(config.services) == 1 else "NAME"
        key = f"services.{service or only}.pipeline"
        raise UsageError(
            f'{key}.kind: a workflow needs the roles that the stack makes for it; set kind = "github" and repository'
            f" under [{key}]"
        )
    if len(asked) > 1:
        names = ", ".join(unit.name for unit in asked)
        raise UsageError(f"--service: several services have a pipeline of GitHub, {names}; say which by --service NAME")
    return asked[0]


def workflow(unit: Unit) -> str:
    config, settings = unit.config, unit.settings.pipeline
    assert isinstance(settings, GitHubPipeline)
    names = {"stack": config.stack_name, "branch": settings.branch}
    timeout_min = deploy_timeout_min(unit, MOST_SESSION_MIN)
    return WORKFLOW.format(
        **names,
        service=unit.name,
        title=unit.title,
        # At the end, for no variable may begin with GITHUB_, and a service may be called so.
        variable=unit.name.upper().replace("-", "_"),
        parameter=unit.image_parameter,
        jobs=f'      JOBS: "{jobs}"\n' if (jobs := jobs_by_image(unit)) else "",
        region=config.region or "the region of the stack",
        approval=APPROVAL.format(**names) if settings.approval else "",
        environment=f'    environment: "{config.stack_name}"\n' if settings.approval else "",
        runner=RUNNERS[unit.architecture],
        platform=PLATFORMS[unit.architecture],
        context=settings.context,
        checkout=CHECKOUT,
        credentials=CREDENTIALS,
        build=indent(script("pipeline_build.sh"), " " * 10).rstrip(),
        deploy=indent(script("pipeline_deploy.sh"), " " * 10),
        timeout_min=timeout_min,
        timeout_s=timeout_min * 60,
    )

"""What a deployment needs of an account: policies says who may do what, bootstrap makes its bucket, doctor looks."""

from __future__ import annotations

from pathlib import Path

import click

from scaleout_cfn.cli.options import (
    BUCKET,
    Checked,
    bucket_option,
    composed,
    config_options,
    load_config,
    stack_option,
)
from scaleout_cfn.cli.work import Work, aws_command
from scaleout_cfn.deploy import bootstrap as bucket_maker
from scaleout_cfn.deploy import doctor as steps
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.deploy.publish import bucket_name
from scaleout_cfn.errors import Next, UsageError
from scaleout_cfn.grammars import problem_of_account, problem_of_region, problem_of_role
from scaleout_cfn.imports import arns, imported
from scaleout_cfn.local import EmulatorError
from scaleout_cfn.permissions import grants, service_role
from scaleout_cfn.permissions import policies as rendered
from scaleout_cfn.rendering import set_of


@click.command()
@config_options
@stack_option
@click.option(
    "--account-id",
    type=Checked(problem_of_account),
    default="",
    metavar="ID",
    help="The account.  [default: config, else any]",
)
@click.option(
    "--region",
    type=Checked(problem_of_region),
    default="",
    help="The region.  [default: config, else any]",
)
@bucket_option
@click.option(
    "--role-arn",
    type=Checked(problem_of_role),
    default="",
    metavar="ARN",
    help="The role that CloudFormation works with, for the deployer to pass.",
)
@click.option(
    "-o",
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("policies_out"),
    show_default=True,
    help="Where to write.",
)
def policies(
    config_path: Path | None,
    environment: str | None,
    overrides: tuple[str, ...],
    stack: str | None,
    account_id: str,
    region: str,
    bucket: str,
    role_arn: str,
    folder: Path,
) -> None:
    """Write the least-privilege policies for the set of a config. Needs no AWS account.

    deployer.json is for whoever runs scaleout-cfn, with images.json for `image push` and `deploy --build`, and
    commands.json for `exec` and `run`: whoever has that may do all that a task may. drift.json is for `drift`, which
    reads each resource, cost.json for `cost`, which reads the account's bill, move.json for `move`, import-ecs.json for
    `import ecs`, which reads any cluster, and import.json for
    `import`, where the config names something to take in. simulate.json is for who only simulates
    a deployed stack.
    cloudformation-1.json and on are for the role that CloudFormation works with, cloudformation-trust.json is who may
    take that role on. They hold what this set needs and no more: render them again when the config gets new kinds of
    resources. `bootstrap` needs more and is run once by an administrator.
    """
    config = load_config(config_path, environment, overrides)
    composition = composed(config)
    templates, wanted = set_of(composition), imported(composition, config.imports)
    account, region = account_id or config.account_id or "*", region or config.region or "*"
    scope = grants.Scope(
        stack or config.stack_name,
        bucket or config.bucket or f"scaleout-{account}-{region}",
        account,
        region,
        config.permissions_boundary,
        config.roles.path,
        config.roles.prefix,
        config.cluster.name,
        arns(wanted),
    )
    texts = {
        **grants.documents("deployer", rendered.deployer(templates, scope, role_arn)),
        **grants.documents("images", rendered.images(scope)),
        **grants.documents("commands", rendered.commands(templates, scope)),
        **grants.documents("drift", rendered.drift(templates, scope)),
        **grants.documents("cost", rendered.cost()),
        **grants.documents("import-ecs", rendered.importer()),
        **grants.documents("move", rendered.moves()),
        **grants.documents("simulate", rendered.simulation(scope)),
        **(grants.documents("import", rendered.imports(wanted, scope)) if wanted else {}),
        **grants.documents("cloudformation", service_role.service_role(templates, scope)),
        **grants.documents("cloudformation-trust", service_role.trust(scope)),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        parted = ("cloudformation", "deployer", "drift", "import")
        stale = {path for name in parted for path in folder.glob(f"{name}*.json")} - {folder / name for name in texts}
        for path in stale:
            path.unlink()
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}; give a folder that can be written to") from None
    for name, text in texts.items():
        click.echo(f"{folder / name}  {grants.characters(text)} characters of {grants.MOST_CHARACTERS}")
    for what, value, cure in (
        ("account", account, "--account-id or account_id in the config"),
        ("region", region, "--region or region in the config"),
        ("service role", role_arn or "*", "--role-arn, else the deployer needs the policies of cloudformation too"),
    ):
        if value == "*":
            click.echo(f"No {what} is named, so that the policies are wider than need be: {cure}", err=True)


@click.command()
@aws_command()
@bucket_option
def doctor(work: Work, bucket: str) -> Outcome:
    """Look at what a deployment needs: credentials, region, permissions, bucket, service-linked role, and the stack.

    Changes nothing. Permissions are asked of IAM, which needs iam:SimulatePrincipalPolicy; without it that check is
    only told. Exits with 8 when credentials or permissions are missing, with 5 when something else is.
    """
    if work.local:
        from scaleout_cfn.local.containers.engine import find

        try:
            engine = find()
            work.view.tell(Note(f"--containers would run tasks under {engine.name} {engine.version}"))
        except EmulatorError as error:
            work.view.tell(Note(str(error), "warning"))
    name = bucket or work.config.bucket or bucket_name(work.identity)
    scope = grants.Scope(work.stack_name, name, work.identity.account_id, work.identity.region)
    wanted = rendered.deployer(set_of(composed(work.config)), scope, work.aws.target.role_arn)
    return steps.doctor(work.aws, work.identity, work.stack_name, name, grants.plain(wanted), work.view.tell)


@click.command()
@aws_command()
@click.option(
    "--bucket",
    type=BUCKET,
    default="",
    metavar="NAME",
    help="Its name.  [default: bucket of the config, else scaleout-ACCOUNT-REGION]",
)
def bootstrap(work: Work, bucket: str) -> Outcome:
    """Make the bucket that templates are uploaded to: private, versioned, encrypted, TLS only. Safe to run again."""
    name = bucket or work.config.bucket or bucket_name(work.identity)
    new = bucket_maker.bootstrap(work.aws, work.identity, name)
    what = f"bucket {name} {'is made' if new else 'was there, its settings are as they should be'}"
    return Outcome("done", what, outputs={"Bucket": name}, next=Next("deploy"))

"""doctor and bootstrap: whether a deployment could work from here, and the bucket that it needs."""

from __future__ import annotations

import click

from scaleout_cfn.cli.options import BUCKET, bucket_option, composed
from scaleout_cfn.cli.work import Work, aws_command
from scaleout_cfn.deploy import bootstrap as bucket_maker
from scaleout_cfn.deploy import doctor as steps
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.deploy.publish import bucket_name
from scaleout_cfn.errors import Next
from scaleout_cfn.local import EmulatorError
from scaleout_cfn.permissions import policies
from scaleout_cfn.permissions.grants import Scope, plain
from scaleout_cfn.rendering import set_of


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
    scope = Scope(work.stack_name, name, work.identity.account_id, work.identity.region)
    wanted = policies.deployer(set_of(composed(work.config)), scope, work.aws.target.role_arn)
    return steps.doctor(work.aws, work.identity, work.stack_name, name, plain(wanted), work.view.tell)


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

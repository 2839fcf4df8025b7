"""doctor: whether a deployment could work from here."""

from __future__ import annotations

import click

from scaleout_cfn.cli.options import bucket_option, composed
from scaleout_cfn.cli.work import Work, aws_command
from scaleout_cfn.deploy import doctor as steps
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.deploy.publish import bucket_name
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

"""bootstrap: the bucket for templates."""

from __future__ import annotations

import click

from scaleout_cfn.cli.options import BUCKET
from scaleout_cfn.cli.work import Work, aws_command
from scaleout_cfn.deploy import bootstrap as bucket_maker
from scaleout_cfn.deploy.messages import Outcome
from scaleout_cfn.deploy.publish import bucket_name
from scaleout_cfn.errors import Next


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

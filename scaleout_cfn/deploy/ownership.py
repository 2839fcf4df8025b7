"""Whose a stack is. Every command that changes one asks here first, whatever `--yes` says."""

from __future__ import annotations

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.desired import ENVIRONMENT, fingerprint_in
from scaleout_cfn.deploy.live import Live, template_body
from scaleout_cfn.errors import AGAIN, Next, RefusedError, UsageError
from scaleout_cfn.rendering import MARK


def require_ours(aws: Aws, live: Live | None, environment: str, *, adopt: bool) -> None:
    """Raise RefusedError unless a stack is one of this package's, and of this environment.

    `adopt` is the consent to take over one that is not. A stack that is not there yet is nobody's.
    """
    if live is None or adopt:
        return
    if not (_is_ours_to_make(aws, live) if live.status == "REVIEW_IN_PROGRESS" else _is_marked(aws, live)):
        said = ", ".join(f"{key}: {value}" for key, value in MARK.items())
        raise RefusedError(
            f"stack {live.name} is not one of scaleout-cfn: its template's Metadata does not say {said}",
            state="nothing was changed",
            next=Next(
                words="another stack_name in the config, or another --stack",
                instead=Next(AGAIN, ("--adopt",), "it takes this one over with whatever is in it"),
            ),
        )
    theirs = live.tags.get(ENVIRONMENT, "")
    if theirs != environment and live.status != "REVIEW_IN_PROGRESS":
        move = Next(AGAIN, ("--adopt",), f"it moves the stack to {_named(environment)}")
        rename = Next(words="with another stack_name in the config", instead=move)
        raise RefusedError(
            f"stack {live.name} is of {_named(theirs)}, and this command is of {_named(environment)}",
            state="nothing was changed",
            next=Next(AGAIN, ("--env", theirs) if theirs else (), "" if theirs else "without --env", rename),
        )


def _named(environment: str) -> str:
    return f"environment {environment}" if environment else "no environment"


def _is_marked(aws: Aws, live: Live) -> bool:
    """Whether the root template says who rendered it."""
    try:
        metadata = template_body(aws, live.stack_id).get("Metadata")
    except UsageError:  # no template that we would write
        return False
    return isinstance(metadata, dict) and MARK.items() <= metadata.items()


def _is_ours_to_make(aws: Aws, live: Live) -> bool:
    """Whether a stack that is only a placeholder waits for nobody else: its change sets, if any, are all of ours."""
    pages = aws.pages("cloudformation", "list_change_sets", StackName=live.stack_id)
    return all(fingerprint_in(raw.get("ChangeSetName", "")) for page in pages for raw in page.get("Summaries", []))

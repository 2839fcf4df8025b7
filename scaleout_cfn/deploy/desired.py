"""What shall be: a published set with its parameters and tags, and the tokens that are made of it.

The fingerprint of the desired state rides on every event of an operation, so that another run, on another machine,
tells its own operation from somebody else's without a file of its own. And whose a stack is: every command that
changes one asks here first, whatever `--yes` says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config.units import IMAGE
from scaleout_cfn.deploy.live import Live, template_body
from scaleout_cfn.deploy.publish import Published
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


#: The tag of a stack that says which environment of a config it is: without it, none.
ENVIRONMENT = "scaleout:environment"
HIDDEN = "****"
#: In the token of what belongs to no desired state.
NOBODYS = "0" * 16
_TOKEN = re.compile(r"scfn-[a-z]+-(?P<fingerprint>[0-9a-f]{16})-[0-9a-f-]+")


@dataclass(frozen=True)
class Desired:
    """A stack as it shall be. `parameters` are all of the root's; None keeps the value that the stack has.

    `revert_drift` sets back, too, what was changed beside CloudFormation: only a change set tells whether anything is.
    `takes_in` has CloudFormation take in what bears a name of the templates, instead of being refused to make it.
    """

    stack_name: str
    published: Published
    parameters: Mapping[str, str | None]
    tags: Mapping[str, str] = field(default_factory=dict)
    role_arn: str = ""
    revert_drift: bool = False
    takes_in: bool = False

    @property
    def looks_inside(self) -> bool:
        """Whether the changes inside nested stacks are needed, and not only to be shown."""
        return self.revert_drift or self.takes_in

    @property
    def environment(self) -> str:
        return self.tags.get(ENVIRONMENT, "")

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that differ whenever something else is desired."""
        values = {name: self._value(name) for name in self.parameters}
        whole = [self.stack_name, self.published.root.text, values, dict(self.tags), self.role_arn]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]

    def _value(self, name: str) -> str | None:
        value = self.parameters[name]
        if value is None or name not in self.secrets:
            return value
        # The fingerprint is public. A slow hash keeps it from being a way to guess at a secret.
        return hashlib.pbkdf2_hmac("sha256", value.encode(), self.stack_name.encode(), 200_000).hex()

    @property
    def secrets(self) -> frozenset[str]:
        """The parameters whose values nobody may see."""
        return frozenset(
            name for name, raw in self.published.parameters.items() if str(raw.get("NoEcho", "")).lower() == "true"
        )

    @property
    def looked_up(self) -> dict[str, str]:
        """The parameters that stand for an SSM parameter, each with its name there."""
        types = {name: str(raw.get("Type", "")) for name, raw in self.published.parameters.items()}
        return {
            name: value
            for name, value in self.parameters.items()
            if value is not None and types[name].startswith("AWS::SSM::Parameter::Value<")
        }

    @property
    def images(self) -> dict[str, str]:
        """The parameters that are images, each with its URI; empty for one that is not given yet."""
        return {name: value or "" for name, value in self.parameters.items() if name.endswith(IMAGE)}

    def request(self) -> list[dict[str, Any]]:
        """The parameters as CreateChangeSet takes them."""
        return [
            {"ParameterKey": name, **({"UsePreviousValue": True} if value is None else {"ParameterValue": value})}
            for name, value in self.parameters.items()
        ]

    def matches(self, live: Live, template: str) -> bool:
        """Whether the stack, which has this template, is what is desired already, but for what SSM parameters hold.

        A secret cannot be compared, so that a set which is given one never matches, and neither can what is there.
        """
        if self.revert_drift or any(
            value is not None and name in self.secrets for name, value in self.parameters.items()
        ):
            return False
        values = {
            name: value for name, value in self.parameters.items() if value is not None and name not in self.looked_up
        }
        return (
            live.meaning.start == "update"
            and live.meaning.end in ("done", "rolled_back")
            and template == self.published.root.text
            and set(self.parameters) == set(live.parameters)
            and all(live.parameters[name] == value for name, value in values.items())
            and dict(live.tags) == dict(self.tags)
            and self.role_arn in ("", live.role_arn)
        )


def parameters_for(
    published: Published, live: Live | None, given: Mapping[str, str], images: Mapping[str, str]
) -> dict[str, str | None]:
    """A value for every parameter of the root.

    The config is in the template's defaults, so they win over what the stack has. Only images are kept as they are
    where none is given: a deployment of other numbers must not take a service away. A parameter without a default
    keeps the value that the stack has. Raises UsageError for one that has no value at all.
    """
    before = live.parameters if live else {}
    values: dict[str, str | None] = {}
    for name, declared in published.parameters.items():
        default = declared.get("Default")
        if name in given:
            values[name] = given[name]
        elif name in images:
            values[name] = images[name]
        elif name.endswith(IMAGE):
            values[name] = str(default or "") or before.get(name, "")
        elif default is not None:
            values[name] = str(default)
        elif name in before:
            values[name] = None if before[name] == HIDDEN else before[name]
        else:
            raise UsageError(f"parameter {name}: has no value; {declared.get('Description', 'set it in the config')}")
    if unknown := sorted({*given, *images} - set(values)):
        raise UsageError(f"parameter {unknown[0]}: the root has none of that name; it has {', '.join(values)}")
    return values


def token(verb: str, fingerprint: str, state: str) -> str:
    """A client token for one call in one state: the same again for the same, and so safe to send twice.

    At most 128 characters of [a-zA-Z0-9-].
    """
    return f"scfn-{verb}-{fingerprint or NOBODYS}-{hashlib.sha256(state.encode()).hexdigest()[:8]}"


def fingerprint_in(text: str) -> str:
    """The fingerprint that a token or a change set's description of ours carries; empty for somebody else's."""
    match = _TOKEN.search(text)
    return match["fingerprint"] if match else ""

"""Encryption: by whose keys what is at rest is encrypted."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from scaleout_cfn.config.ground import ARN
from scaleout_cfn.config.tunables import Conflict, Section, tunable
from scaleout_cfn.grammars import arn_of, problem_of_key

KEY_ARN = tunable("The ARN of a KMS key.", pattern=ARN + "kms:[a-z0-9-]+:[0-9]{12}:key/.+$", problem_of=problem_of_key)


class AwsKeys(Section, frozen=True, kw_only=True, tag_field="kind", tag="aws"):
    """The keys that AWS keeps for each of its services."""


class OwnKey(Section, frozen=True, kw_only=True, tag_field="kind", tag="own"):
    """One KMS key of the set's own, with its policy, alias and yearly rotation; it outlives the stack."""


class GivenKey(Section, frozen=True, kw_only=True, tag_field="kind", tag="given"):
    """A KMS key that is there, whose policy lets in what docs/security.md lists."""

    key_arn: Annotated[str, KEY_ARN]


def secrets_keys_conflicts(key: str, secrets: Mapping[str, str], keys: Sequence[str]) -> Iterator[Conflict]:
    """What of `secrets_keys`, of the section with the dotted key `key`, can open none of its secrets.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    """
    if keys and not secrets:
        yield Conflict(f"{key}.secrets_keys", f"{key} has no secrets that they could open; leave it out")
        return
    regions = {arn.region for text in secrets.values() if (arn := arn_of(text))}
    for number, text in enumerate(keys):
        arn = arn_of(text)
        if arn and arn.region not in regions:
            there = ", ".join(sorted(regions))
            yield Conflict(
                f"{key}.secrets_keys[{number}]",
                f"is in {arn.region}, and the secrets of {key} are in {there}; a secret's key is in its region",
            )

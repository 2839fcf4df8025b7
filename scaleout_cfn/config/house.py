"""What a company asks of every set: how roles are named and given their policies, and which tags there are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from scaleout_cfn.config.tunables import Conflict, Section, tunable
from scaleout_cfn.grammars import problem_of_path_of_roles


class Roles(Section, frozen=True, kw_only=True):
    """The IAM roles of the set."""

    path: Annotated[
        str,
        tunable(
            "The path of roles, instance profiles and policies. A change makes them anew.",
            pattern="^/([!-~]{1,510}/)?$",
            problem_of=problem_of_path_of_roles,
        ),
    ] = "/"
    prefix: Annotated[
        str,
        tunable(
            "What the names of roles begin with; empty for names that CloudFormation makes. A change makes them anew,"
            " and whoever deploys acknowledges CAPABILITY_NAMED_IAM.",
            pattern=r"^[\w+=,.@-]{0,12}$",
            allowed="up to 12 letters, digits and + = , . @ _ -, or nothing",
        ),
    ] = ""
    inline_policies: Annotated[
        bool, tunable("Whether policies are part of their roles; false for managed ones, as some auditors ask.")
    ] = True


def tag_conflicts(required: Sequence[str], tags: Mapping[str, str]) -> Iterator[Conflict]:
    """Tags that every set must have, and this one has not."""
    if missing := [key for key in required if key not in tags]:
        lacks, example = " and no ".join(missing), ", ".join(f'"{key}" = "..."' for key in missing)
        yield Conflict("tags", f"has no {lacks}, which required_tags asks for; give tags = {{{example}}}")


def names_given(cluster: str, services: Mapping[str, str]) -> list[tuple[str, str]]:
    """The names that a config gives at AWS, by key: of the cluster, and of services by theirs."""
    named = [("cluster.name", cluster), *((f"services.{name}.service_name", text) for name, text in services.items())]
    return [(key, text) for key, text in named if text]


def name_remarks(named: Sequence[tuple[str, str]]) -> Iterator[Conflict]:
    """What a name of one's own means, which one that CloudFormation makes does not."""
    for key, text in named:
        whose = "cluster of the account and region" if key == "cluster.name" else "service of a cluster"
        yield Conflict(
            key,
            f"no other {whose} may be called {text}: a second set with it collides with this one, and so does what"
            " makes this one anew; give another name then",
        )


def name_conflicts(named: Sequence[tuple[str, str]]) -> Iterator[Conflict]:
    """Services of one name."""
    first: dict[str, str] = {}
    for key, text in named:
        if key != "cluster.name" and first.setdefault(text, key) != key:
            yield Conflict(key, f"{text} is that of {first[text]}, too; a cluster has one service of a name")

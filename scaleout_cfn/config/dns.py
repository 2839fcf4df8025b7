"""Records of one name in several regions: which of them answers a client."""

from typing import Annotated, Literal

from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.grammars import or_empty, problem_of_path

HEALTH_PATH = tunable(
    "A path that Route 53 asks this region's load balancer for by HTTPS, every 30 seconds from several places: without"
    " an answer of 200 to 399 the region gets no clients. Empty: the health of its targets decides.",
    pattern=r"^(/[!-~]{0,254})?$",
    problem_of=or_empty(problem_of_path),
)


class LatencyRouting(Section, frozen=True, kw_only=True, tag_field="kind", tag="latency"):
    """Of the regions that are healthy the one with the shortest way answers."""

    health_path: Annotated[str, HEALTH_PATH] = ""


class FailoverRouting(Section, frozen=True, kw_only=True, tag_field="kind", tag="failover"):
    """One region answers while it is healthy, and another one otherwise."""

    role: Annotated[
        Literal["primary", "secondary"], tunable("primary: answers while it is healthy. secondary: answers otherwise.")
    ]
    health_path: Annotated[str, HEALTH_PATH] = ""

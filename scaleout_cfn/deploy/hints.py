"""What to do about messages of AWS that are known. Pure."""

from __future__ import annotations

import re

__all__ = ["hint"]

#: What is known of messages of AWS: a pattern, and what to do.
HINTS = (
    (
        r"CannotPull(Container|Image)|pull image|manifest unknown|not found: manifest",
        "the image is not there, or may not be pulled: check its tag or digest, the repository's region, and "
        "the way out of the nodes",
    ),
    (
        r"exec format error|no matching manifest|does not match the (specified )?platform",
        "the image is built for another CPU than the nodes have: build it for both, or change cluster.instance_types",
    ),
    (
        r"OutOfMemory|OOM|exit(ed with)?( code)?:? ?137",
        "the container used more memory than it may: raise service.memory_mib, or make the application use less",
    ),
    (
        r"unable to place a task|MemberOf placement constraint|RESOURCE:(CPU|MEMORY|PORTS|ENI)",
        "no node has room: raise cluster.max_nodes, take larger instance_types, or smaller tasks",
    ),
    (
        r"No Container Instances were found|no container instances met",
        "no node has joined the cluster: look at the Auto Scaling group's activities and the nodes' way out to ECS",
    ),
    (
        r"ResourceInitializationError|unable to (pull|retrieve|fetch) secret|secrets manager|ssm parameter",
        "a secret could not be read before the start: check its ARN and region, and that the execution role "
        "may read it",
    ),
    (
        r"[Hh]ealth checks? failed|failed [A-Za-z ]*health checks|Target\.(Failed|Response|Timeout)",
        "the application does not answer the health check: check health_check.path, the port, and how long it "
        "takes to start (service.deployment.health_check_grace_s)",
    ),
    (
        r"[Ee]ssential container",
        "the application ended by itself: its last log lines say why",
    ),
    (
        r"circuit breaker",
        "tasks of the new version failed again and again: why they stopped is what counts",
    ),
    (
        r"service.linked role",
        "this account is new to the service: set create_service_linked_role to true once",
    ),
    (
        r"LimitExceeded|quota|maximum number of|limit has been (reached|exceeded)",
        "a quota is used up: ask for more in Service Quotas, or delete what is not needed",
    ),
    (
        r"not authorized|AccessDenied|is not allowed|UnauthorizedOperation",
        "a permission is missing: scaleout-cfn policies prints what CloudFormation's role needs",
    ),
    (
        r"already exists",
        "something of that name is there already: rename it, import it, or delete the old one",
    ),
    (
        r"not empty|contains images",
        "it still holds data: scaleout-cfn destroy --empty with its path",
    ),
    (
        r"did not stabilize|failed to stabilize|Exceeded attempts to wait",
        "CloudFormation waited in vain; the reason is with the service itself: its events, tasks and targets",
    ),
    (
        r"Received \d+ (FAILURE|SUCCESS) signal|Failed to receive \d+ resource signal",
        "nodes did not report in time: see /var/log/cloud-init-output.log on one of them",
    ),
)


def hint(text: str) -> str:
    """What to do about a message of AWS; empty where nothing is known."""
    return next((cure for pattern, cure in HINTS if re.search(pattern, text)), "")

"""The emulator behind `--local`: started for one command, or kept for those that come after."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from scaleout_cfn.aws.client import Target
from scaleout_cfn.config import Config, Domain, ExistingVpc, NewLoadBalancer, Oidc, WebService
from scaleout_cfn.deploy.messages import Outcome
from scaleout_cfn.errors import Next, UsageError
from scaleout_cfn.local import GAP, Containers, Emulator, EmulatorError, attach, running, start

#: What a rehearsal without an image deploys. The emulator runs no container, so it need not exist.
PLACEHOLDER_IMAGE = "public.ecr.aws/docker/library/hello-world:latest"


def state_file() -> Path:
    """Where the address of a kept emulator is: XDG_RUNTIME_DIR, else the user's cache."""
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "scaleout-cfn" / "local.json"


def kept() -> Emulator | None:
    """The emulator that an earlier command kept, if it still answers."""
    try:
        return attach(json.loads(state_file().read_bytes())["endpoint_url"])
    except (OSError, ValueError, KeyError, EmulatorError):
        return None


@contextmanager
def emulator(*, may_start: bool, keep: bool = False, containers: Containers | None = None) -> Iterator[Emulator]:
    """The kept emulator, or one that is started here: for the length of the block, or to be kept. One that runs
    containers is found by other commands in both cases.

    Raises UsageError when there is none and none may be started, EmulatorError when it cannot be.
    """
    emulator = kept()
    if emulator is not None:
        if containers and not emulator.containers:
            what = "--containers: the emulator that is kept runs none"
            raise UsageError(what, next=Next("destroy", ("--local",), words="and this command again"))
        yield emulator
    elif not may_start:
        raise UsageError("--local: no emulator is kept", next=Next("deploy", ("--keep",)))
    elif keep:
        emulator = start(containers=containers)
        try:
            _write(emulator)
        except UsageError:
            emulator.stop()
            raise
        yield emulator
    else:
        with running(containers=containers) as emulator:
            if not containers:
                yield emulator
                return
            _write(emulator)
            try:
                yield emulator
            finally:
                state_file().unlink(missing_ok=True)


def _write(emulator: Emulator) -> None:
    path = state_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(json.dumps({"endpoint_url": emulator.endpoint_url, "pid": emulator.pid}).encode())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; set XDG_RUNTIME_DIR to a folder of yours") from None


def release_empty() -> bool:
    """Stop the kept emulator and forget it, where it holds no stack any more; whether it did."""
    emulator = kept()
    if emulator is not None and emulator.stacks():
        return False
    if emulator is not None:
        emulator.stop()
    with suppress(OSError):
        state_file().unlink()
    return True


def target(emulator: Emulator, role_arn: str = "") -> Target:
    """Where deployments to the emulator go. The account is its access key."""
    return Target(
        region=emulator.region,
        role_arn=role_arn,
        endpoint_url=emulator.endpoint_url,
        keys=(emulator.account_id, "local"),
        poll_s=0.1,
    )


def stand_in(emulator: Emulator, config: Config) -> None:
    """Make in the emulator what the config takes as given in the account: its hosted zones, its VPC and subnets, and
    secrets that CloudFormation reads."""
    balancer, network = config.load_balancer, config.network
    zones: dict[str, str] = {}
    secrets = []
    if isinstance(balancer, NewLoadBalancer) and isinstance(balancer.listener, Domain):
        zones[balancer.listener.hosted_zone_id] = balancer.listener.domain_name
    for settings in config.services.values():
        if isinstance(settings, WebService) and settings.route.hosted_zone_id and settings.route.hosts:
            zones.setdefault(settings.route.hosted_zone_id, settings.route.hosts[0])
        if isinstance(settings, WebService) and isinstance(settings.sign_in, Oidc):
            secrets.append(":".join(settings.sign_in.client_secret.split(":")[:7]))
    if isinstance(balancer, NewLoadBalancer) and balancer.cloudfront and balancer.cloudfront.hosted_zone_id:
        zones.setdefault(balancer.cloudfront.hosted_zone_id, balancer.cloudfront.aliases[0].removeprefix("*."))
    vpcs = {}
    if isinstance(network, ExistingVpc) and network.vpc_id:
        vpcs[network.vpc_id] = list(dict.fromkeys((*network.load_balancer_subnets, *network.node_subnets)))
    if zones or vpcs or secrets:
        emulator.stand_in(hosted_zones=zones, vpcs=vpcs, secrets=secrets)


def as_gap(outcome: Outcome) -> Outcome:
    """How a rehearsal ended, told as the emulator's fault where it is that."""
    words = (outcome.what, outcome.reason, outcome.cause.reason if outcome.cause else "")
    said = next((text[text.index(GAP) :] for text in words if GAP in text), "")
    if not said:
        return outcome
    return replace(
        outcome,
        end="error",
        what=f"{said}. The rehearsal ends here, and says nothing against the templates",
        cause=None,
        reason="",
        next=Next("lint", words="and a deployment without --local"),
    )

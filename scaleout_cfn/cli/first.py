"""The questions of `init`, each with an answer given, and what is looked at for these answers."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.config import AnyService, Config, Domain, NewLoadBalancer, Scaling, WebService, WorkerService
from scaleout_cfn.config.containers import NAME
from scaleout_cfn.config.ground import HOST_NAME, HOSTED_ZONE
from scaleout_cfn.config.tunables import problem_with
from scaleout_cfn.grammars import problem_of_host_name, problem_of_hosted_zone, problem_of_image, problem_of_path

#: Asks: a question, why the answer that is given is that, that answer, and what is wrong with one, empty when nothing.
Ask = Callable[[str, str, str, Callable[[str], str]], str]

#: What a task of a quarter of a vCPU is taken to answer in a second, until it is measured.
TASK_RPS = 25
NONE = "none"


class Seen(Struct, frozen=True):
    """What is in a folder: a Dockerfile its port and health check, processes, other tools' files."""

    dockerfile: bool = False
    port: int = 0
    health_path: str = ""
    processes: Mapping[str, str] = {}
    compose: str = ""
    copilot: bool = False


def look(folder: Path) -> Seen:
    """What is in a folder. What cannot be read is not there."""
    from scaleout_cfn.conversion.compose import find_file
    from scaleout_cfn.conversion.copilot import find_application

    def text(name: str) -> str:
        try:
            return (folder / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    dockerfile = text("Dockerfile").replace("\\\n", " ")
    ports = re.findall(r"^\s*EXPOSE\s+(\d{1,5})\b", dockerfile, re.M | re.I)
    checks = re.findall(r"^\s*HEALTHCHECK\s.*?https?://[^/\s\"']+(/[^\s\"'|;)\]]*)?", dockerfile, re.M | re.I)
    processes = dict(re.findall(r"^([A-Za-z0-9_-]+):\s*(\S.*?)\s*$", text("Procfile"), re.M))
    compose, place = find_file(folder), find_application(folder)
    return Seen(
        dockerfile=bool(dockerfile),
        port=int(ports[-1]) if ports and 0 < int(ports[-1]) < 65536 else 0,
        health_path=(checks[-1] or "/") if checks else "",
        processes={name: line for name, line in processes.items() if not problem_with(name, NAME)},
        compose=compose.name if compose else "",
        copilot=place is not None and place != folder and any(place.glob("*/manifest.y*ml")),
    )


def answered(
    ask: Ask,
    seen: Seen,
    kinds_of: Callable[[str], Mapping[str, type[AnyService]]],
    make: Callable[[Mapping[str, type[AnyService]], str, Scaling], Config],
    pools: Mapping[str, object],
) -> Config:
    """The config that the answers mean. `kinds_of` reads the services, and `make` makes a config of them on a pool."""

    def one_of(*choices: str) -> Callable[[str], str]:
        return lambda text: "" if text in choices else f"allowed are {', '.join(choices)}"

    def number(low: int, high: int) -> Callable[[str], str]:
        return lambda text: (
            ""
            if re.fullmatch(r"[0-9]{1,7}", text, re.ASCII) and low <= int(text) <= high
            else f"allowed is {low} to {high}"
        )

    def services_problem(text: str) -> str:
        from scaleout_cfn.errors import UsageError

        try:
            kinds_of(text)
        except UsageError as error:
            return str(error).removeprefix(f"--services {text}: ")
        return ""

    where = "there is a Dockerfile" if seen.dockerfile else "an image of your own; or name one that is somewhere"
    image = ask(
        "Image: build, or the name of one",
        where,
        "build",
        lambda text: "" if text == "build" else problem_of_image(text),
    )
    names = [name for name in seen.processes if name != "release"] or ["web"]
    listed = sorted((name if name == "web" else f"{name}:worker" for name in names), key=lambda name: name != "web")
    said = (
        "what the Procfile names" if seen.processes else "one that answers requests; internal and worker are the others"
    )
    services = ask("Services, NAME[:KIND],...", said, ",".join(listed), services_problem)
    kinds = kinds_of(services)
    webs = [name for name, kind in kinds.items() if kind is WebService]
    with_port = [name for name, kind in kinds.items() if kind is not WorkerService]
    scheme, domain, zone = "public", NONE, ""
    port, path = 8080, "/health"
    if with_port:
        because = "the Dockerfile's EXPOSE" if seen.port else "where most listen that are not root"
        port = int(ask("Port of the container", because, str(seen.port or 8080), number(1, 65535)))
    if webs:
        because = "what the Dockerfile's HEALTHCHECK asks for" if seen.health_path else "answer 200 there, and cheaply"
        path = ask("Path of the health check", because, seen.health_path or "/health", problem_of_path)
        scheme = ask(
            "Reached by: public or internal",
            "the internet; internal is the VPC's own",
            "public",
            one_of("public", "internal"),
        )
        domain = ask(
            "Domain, or none",
            "HTTP until there is one; with one HTTPS, certificate and records",
            NONE,
            lambda text: "" if text == NONE else problem_of_host_name(text) or _like(text, HOST_NAME),
        )
        if domain != NONE:
            zone = ask(
                "Id of its hosted zone in Route 53, or none",
                "without, the domain is left out: `aws route53 list-hosted-zones` shows it",
                NONE,
                lambda text: "" if text == NONE else problem_of_hosted_zone(text) or _like(text, HOSTED_ZONE),
            )
    because = f"20 tasks of {TASK_RPS} each, a guess until you measure: docs/scaling.md"
    rps = int(ask("Requests a second when it is busiest", because, "500", number(1, 100_000)))
    capacity = ask(
        "Capacity: " + ", ".join(pools), "cheapest when busy; fargate has no nodes to care for", "ec2", one_of(*pools)
    )
    scaling = Scaling(max_tasks=max(math.ceil(rps / TASK_RPS), 2))
    config = make(kinds, capacity, scaling)
    made: dict[str, AnyService] = {}
    for name, settings in config.services.items():
        command = tuple(shlex.split(seen.processes[name])) if name != "web" and name in seen.processes else ()
        if command and "web" in kinds:
            settings = replace(settings, image_of="web", command=command)
        elif image != "build":
            settings = replace(settings, image_uri=image)
        if name in with_port:
            settings = replace(settings, container_port=port)
        if isinstance(settings, WebService):
            settings = replace(settings, health_check=replace(settings.health_check, path=path))
        made[name] = settings
    balancer = NewLoadBalancer(scheme="internal" if scheme == "internal" else "internet-facing")
    if zone not in ("", NONE):
        balancer = replace(balancer, listener=Domain(domain_name=domain, hosted_zone_id=zone))
    return replace(config, services=made, load_balancer=balancer)


def _like(text: str, pattern: str) -> str:
    return "" if re.fullmatch(pattern, text) else "is no such name"

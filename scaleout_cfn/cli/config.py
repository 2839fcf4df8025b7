"""init and schema: a config file to start from, by questions on a terminal, and its schema; completion for a shell."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click
from click.core import ParameterSource
from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.capacity import demand_of, instance_type, nodes_needed
from scaleout_cfn.cli.options import DEFAULT_CONFIG, project
from scaleout_cfn.config import (
    AnyService,
    Capacity,
    Config,
    Domain,
    Ec2Capacity,
    FargateCapacity,
    InternalService,
    ManagedCapacity,
    NewLoadBalancer,
    Route,
    Scaling,
    WebService,
    WorkerService,
)
from scaleout_cfn.config.containers import NAME
from scaleout_cfn.config.ground import HOST_NAME, HOSTED_ZONE
from scaleout_cfn.config.text import json_schema, starter
from scaleout_cfn.config.tunables import problem_with
from scaleout_cfn.config.units import units
from scaleout_cfn.errors import UsageError
from scaleout_cfn.grammars import problem_of_host_name, problem_of_hosted_zone, problem_of_image, problem_of_path
from scaleout_cfn.profiles import PROFILES, Profile, hardened

BALANCED, HARDENED = "balanced", "hardened"
SERVICES: dict[str, type[AnyService]] = {"web": WebService, "internal": InternalService, "worker": WorkerService}
#: Name and kind of the pool that a config begins with.
POOLS: dict[str, tuple[str, type[Capacity]]] = {
    "ec2": ("nodes", Ec2Capacity),
    "fargate": ("fargate", FargateCapacity),
    "managed-instances": ("managed", ManagedCapacity),
}


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_CONFIG)
@click.option(
    "--profile",
    type=click.Choice([*PROFILES, HARDENED]),
    default=BALANCED,
    show_default=True,
    help="How the services scale: what they miss in a crowd, and what it costs. docs/scaling.md has the numbers."
    " hardened scales as balanced, with all that auditors ask for: docs/security.md.",
)
@click.option(
    "--services",
    default="web",
    show_default=True,
    metavar="NAME[:KIND],...",
    help="The services, each web, internal or worker: web,api:internal,mailer:worker. Without a kind the first is web,"
    " and each other a worker.",
)
@click.option(
    "--capacity",
    type=click.Choice(list(POOLS)),
    default="ec2",
    show_default=True,
    help="What their tasks run on. docs/capacity.md says which to choose.",
)
@click.option("--short", is_flag=True, help="Only what sets and services differ in, a line each.")
@click.option("--yes", is_flag=True, help="Ask nothing: the default, or what the options say.")
@click.pass_context
def init(ctx: click.Context, path: Path, profile: str, services: str, capacity: str, short: bool, yes: bool) -> None:
    """Write a config file that holds every tunable with its default, unit, bounds and meaning.

    On a terminal, without an option, it asks what runs, each question with an answer given, and looks at what is here:
    a Dockerfile, a Procfile, a Compose file, an application of Copilot's. Where a profile other than balanced has other
    numbers, they are set in the file.
    """
    apply = f"{project().program} render -c {shlex.quote(str(path))}"
    given = any(ctx.get_parameter_source(name) is not ParameterSource.DEFAULT for name in ctx.params if name != "path")
    if path.exists():
        raise UsageError(f"{path}: is there already; give another path, or move it away")
    if not os.access(path.parent, os.W_OK):  # told before anything is asked
        raise UsageError(f"{path}: its folder cannot be written to; give a path that can be written to")
    if given or not (sys.stdin.isatty() and sys.stderr.isatty()):
        config = _first_config(_kinds(services), capacity, PROFILES[BALANCED if profile == HARDENED else profile])
    else:
        seen = look(Path())
        offers: list[tuple[str, str, dict[str, Path]]] = []
        if seen.copilot:
            offers.append(("copilot", "the application of Copilot's", {}))
        if seen.compose:
            offers.append(("compose", seen.compose, {"file": Path(seen.compose)}))
        for command, what, arguments in offers:
            if click.confirm(f"Make a config of {what}, which is here?", default=True, err=True):
                from scaleout_cfn.cli.imports import import_  # here, for most have nothing to import

                ctx.invoke(import_.commands[command], **arguments, output=path)
                return
        config = answered(_ask, seen, _kinds, _made, POOLS)
        from scaleout_cfn.composing import compose  # here, for the default is known to render

        compose(config)
    if profile == HARDENED:
        config = hardened(config)
    text = starter(config, apply=apply, short=short)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path}: is there already; give another path, or move it away") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a path that can be written to") from None
    at = "everything at its default" if config == Config() else "with what differs from the defaults set in it"
    click.echo(f"{path} written, {at}. Change it, then: {apply}", err=True)
    if profile == HARDENED:
        click.echo("It speaks HTTP until load_balancer.listener has a certificate or a domain.", err=True)


def _made(kinds: Mapping[str, type[AnyService]], capacity: str, scaling: Scaling) -> Config:
    return _first_config(dict(kinds), capacity, Profile(scaling))


def _ask(question: str, why: str, default: str, problem_of: Callable[[str], str]) -> str:
    while True:
        answer = str(click.prompt(f"{question} ({why})", default=default, err=True)).strip()
        if not (problem := problem_of(answer)):
            return answer
        click.echo(f"  {answer}: {problem}", err=True)


def _kinds(text: str) -> dict[str, type[AnyService]]:
    """The services that `--services` names, each with its kind."""
    kinds: dict[str, type[AnyService]] = {}
    for entry in text.split(","):
        name, colon, kind = entry.strip().partition(":")
        if problem := problem_with(name, NAME):
            raise UsageError(f"--services {text}: got {name!r}; {problem}, as in web,api:internal,mailer:worker")
        if name in kinds:
            raise UsageError(f"--services {text}: {name} is there twice; name each service once")
        if colon and kind not in SERVICES:
            raise UsageError(f"--services {text}: got the kind {kind!r} of {name}; allowed are {', '.join(SERVICES)}")
        kinds[name] = SERVICES[kind] if colon else WorkerService if kinds else WebService
    return kinds


def _first_config(kinds: dict[str, type[AnyService]], capacity: str, profile: Profile) -> Config:
    """A config with these services on one pool, which renders as it is."""
    name, kind = POOLS[capacity]
    services: dict[str, AnyService] = {}
    for service, its_kind in kinds.items():
        settings = its_kind(scaling=profile.tasks)
        if kind is FargateCapacity:
            settings = replace(settings, memory_mib=512)  # the smallest that Fargate sells
        if isinstance(settings, WebService) and any(isinstance(other, WebService) for other in services.values()):
            settings = replace(settings, route=Route(paths=(f"/{service}/*",)))
        services[service] = settings
    if kind is not Ec2Capacity:
        return Config(services=services, capacity={name: kind()})
    pool = profile.nodes
    config = Config(services=services, capacity={name: pool})
    demands = [demand_of(unit) for unit in units(config)]
    needed = max(nodes_needed(instance_type(type), demands) or 0 for type in pool.instance_types)
    return replace(config, capacity={name: replace(pool, max_nodes=max(pool.max_nodes, needed))})


@click.command()
def schema() -> None:
    """Print the JSON Schema of the config file, for editors.

    Written to scaleout.schema.json beside the config, it is found by the first line of what `init` writes: VS Code with
    Even Better TOML, and every editor with taplo, complete and check by it.
    """
    click.echo(json.dumps(json_schema(), indent=2))


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

    dockerfile = text("Dockerfile")
    port, health_path = _last_stage(dockerfile[:50_000])
    processes = dict(re.findall(r"^([A-Za-z0-9_-]+):\s*(\S.*?)\s*$", text("Procfile"), re.M))
    compose, place = find_file(folder), find_application(folder)
    return Seen(
        dockerfile=bool(dockerfile),
        port=port,
        health_path="" if problem_of_path(health_path) else health_path,
        processes={name: line for name, line in processes.items() if _words(line) and not problem_with(name, NAME)},
        compose=compose.name if compose else "",
        copilot=place is not None and place != folder and any(place.glob("*/manifest.y*ml")),
    )


_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})")
#: A URL, or a path of this machine's: what a health check asks for.
_PATH = r"(/[^\s\"'|;)\]]*)"
_ASKED = re.compile(rf"https?://[^/\s\"'|;]+{_PATH}?|(?:localhost|127\.0\.0\.1)(?::\d+)?{_PATH}")


def _last_stage(dockerfile: str) -> tuple[int, str]:
    """The first TCP port and the path of the health check of a Dockerfile's last stage; 0 and "" for none.

    https://docs.docker.com/reference/dockerfile/
    """
    text = re.sub(r"<<-?[\"']?(\w+)[\"']?.*?^\s*\1$", "", re.sub(r"[\\`][ \t]*\n", " ", dockerfile), flags=re.M | re.S)
    known: dict[str, str] = {}
    stages: dict[str, tuple[int, str]] = {}
    stage, port, path = "", 0, ""
    for word, said in re.findall(r"^\s*(FROM|ARG|ENV|EXPOSE|HEALTHCHECK)\s+(.*)", text, re.M | re.I):
        rest = _VARIABLE.sub(lambda found: known.get(found[1] or found[2]) or found[3] or "", said)
        match word.upper():
            case "FROM":
                base, _, stage = re.sub(r"--\S+\s+", "", rest.lower()).partition(" as ")
                port, path = stages.get(base.strip(), (0, ""))
            case "EXPOSE":
                ports = re.findall(r"(?<!\S)[\"']?(\d{1,5})(?:-\d+)?(?:/tcp)?[\"']?(?!\S)", rest, re.I)
                port = port or next((int(one) for one in ports if 0 < int(one) < 65536), 0)
            case "HEALTHCHECK":
                asked = _ASKED.search(rest)
                path = (asked[1] or asked[2] or "/") if asked else ""
            case _:
                known.update(re.findall(r"(\w+)(?:=|\s+(?=\S+$))[\"']?([^\s\"']{0,99})", rest))
        stages[stage.strip()] = port, path
    return port, path


def _words(line: str) -> tuple[str, ...]:
    """The command of a process, by a shell where it needs one; none where no shell would take it."""
    try:
        words = shlex.split(line)
    except ValueError:
        return ()
    return ("sh", "-c", line) if re.search(r"[$&|;<>`*?~()]", line) else tuple(words)


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
    owner = next((name for name in kinds if name == "web" or name in seen.processes), "")
    for name, settings in config.services.items():
        if name != "web" and name in seen.processes:
            settings = replace(settings, command=_words(seen.processes[name]))
        if settings.command and name != owner:
            settings = replace(settings, image_of=owner)
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


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which a shell completes commands, options, and names.

    It is for the program as it is installed, scaleout-cfn. Services, jobs, environments and their stacks are those of
    the config file that the line names, or of scaleout.toml; nothing at AWS is asked. The next shell has it.

    \b
    Where it belongs:
      bash  ~/.local/share/bash-completion/completions/scaleout-cfn
      zsh   a folder of your $fpath, as _scaleout-cfn
      fish  ~/.config/fish/completions/scaleout-cfn.fish
    """
    from click.shell_completion import get_completion_class  # here: the others need none of it

    from scaleout_cfn.cli import cli

    script = get_completion_class(shell)
    assert script is not None  # click has all three
    try:
        click.echo(script(cli, {}, "scaleout-cfn", "_SCALEOUT_CFN_COMPLETE").source())
    except RuntimeError as error:  # a bash before 4.4 has no way to complete by
        raise UsageError(f"completion {shell}: {error}") from None

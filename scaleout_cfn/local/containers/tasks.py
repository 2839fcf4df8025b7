"""A task definition as containers: what each is started with, in which order, and what is left out.

All containers of a task share one network, as under awsvpc: that of the first one that is to stay. What others wait for
to end comes before it, in a network of its own. Definitions are those of ECS's API, in camel case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from scaleout_cfn.local import EmulatorError

_UNASKED: Final = "nothing here asks for permissions"
_PLACED: Final = "where a task runs is not placed by attributes"

LEFT_OUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "credentialSpecs": "Windows only",
        "devices": "this machine's devices are not those of a node",
        "disableNetworking": "EC2 with a network mode that is not carried",
        "dockerSecurityOptions": "this machine has its own",
        "efsVolumeConfiguration": "a volume of the engine stands in, which all tasks share",
        "enableFaultInjection": "no endpoint takes faults",
        "environmentFiles": "S3 has no such file; write the variables to the file of --secrets",
        "ephemeralStorage": "this machine's disk is the bound",
        "executionRoleArn": _UNASKED,
        "firelensConfiguration": "the router runs, but nothing is routed to it",
        "fsxWindowsFileServerVolumeConfiguration": "Windows only",
        "host": "a volume of the engine stands in for the node's folder",
        "inferenceAccelerators": "AWS has ended them",
        "ipcMode": "containers share nothing but their network",
        "links": "containers of a task reach each other on 127.0.0.1",
        "pidMode": "containers share nothing but their network",
        "placementConstraints": _PLACED,
        "proxyConfiguration": "nothing is led through a proxy",
        "repositoryCredentials": "the engine's own login is used",
        "requiresCompatibilities": _PLACED,
        "resourceRequirements": "this machine's GPUs are not handed out",
        "restartPolicy": "a container that ends is not started again by itself",
        "runtimePlatform": "an image runs on this machine's architecture",
        "s3filesVolumeConfiguration": "a volume of the engine stands in, which all tasks share",
        "startTimeout": "a container is waited for without an end",
        "swappiness": "this machine has its own",
        "systemControls": "kernel parameters are those of this machine",
        "taskRoleArn": _UNASKED,
        "versionConsistency": "an image is what the engine has by that name",
        "volumesFrom": "volumes are mounted by name alone",
    }
)
"""Members of a task definition that are not carried, each with the reason."""

_QUIET: Final = frozenset(
    {"executionRoleArn", "requiresCompatibilities", "taskRoleArn", "versionConsistency", "ephemeralStorage"}
)
"""What every definition has, and no container would notice."""


@dataclass(frozen=True)
class Health:
    """How a container's health is asked for: a command in it, and times in seconds."""

    words: tuple[str, ...]
    interval_s: int
    timeout_s: int
    retries: int
    start_s: int


@dataclass(frozen=True)
class Container:
    """A container of a task: what it is started with, and what it waits for, (name, condition) of others.

    `owner` is whose network it is in: its own name where it has one, of which `published` ports lead out.
    """

    name: str
    image: str
    options: tuple[str, ...]
    command: tuple[str, ...]
    waits: tuple[tuple[str, str], ...]
    owner: str
    published: tuple[int, ...]
    essential: bool
    health: Health | None
    stop_timeout_s: int
    raw: Mapping[str, Any]


def containers_of(
    definition: Mapping[str, Any], overrides: Mapping[str, Mapping[str, Any]], volumes: Mapping[str, str]
) -> list[Container]:
    """The containers of a definition in the order of their start. `overrides` are by container, `volumes` are names of
    the engine's by those of the definition. Raises ValueError where they wait for each other in a circle."""
    raws = _in_order([_overridden(raw, overrides.get(raw["name"], {})) for raw in definition["containerDefinitions"]])
    to_end = {
        wait["containerName"]
        for raw in raws
        for wait in raw.get("dependsOn") or ()
        if wait["condition"] in ("COMPLETE", "SUCCESS")
    }
    staying = [raw["name"] for raw in raws if raw["name"] not in to_end]
    owner, ports = staying[0] if staying else raws[0]["name"], tuple(ports_of(definition))
    on_host = definition.get("networkMode") == "host"
    started: set[str] = set()
    made = []
    for raw in raws:
        name = raw["name"]
        shared = owner in started and name != owner
        network = ("--network=host",) if on_host else ()
        own = _options(raw, definition, volumes)
        made.append(
            Container(
                name,
                raw["image"],
                (*own, *network),
                tuple(_words(raw)),
                tuple((wait["containerName"], wait["condition"]) for wait in raw.get("dependsOn") or ()),
                owner if shared and not on_host else name,
                ports if name == owner and not on_host else (),
                bool(raw.get("essential", True)),
                _health(raw.get("healthCheck")),
                int(raw.get("stopTimeout") or 30),
                raw,
            )
        )
        started.add(name)
    return made


def ports_of(definition: Mapping[str, Any]) -> list[int]:
    """The ports that the containers of a task listen on, each once."""
    mappings = [port for raw in definition["containerDefinitions"] for port in raw.get("portMappings") or ()]
    return list(dict.fromkeys(int(port["containerPort"]) for port in mappings if port.get("containerPort")))


def size_of(definition: Mapping[str, Any]) -> tuple[int, int]:
    """CPU units and MiB that a task reserves."""
    raws = definition["containerDefinitions"]
    cpu = int(definition.get("cpu") or 0) or sum(int(raw.get("cpu") or 0) for raw in raws)
    memory = int(definition.get("memory") or 0) or sum(
        int(raw.get("memoryReservation") or raw.get("memory") or 0) for raw in raws
    )
    return cpu, memory


def left_out(definition: Mapping[str, Any]) -> list[str]:
    """A sentence for each member of a definition that is not carried, and that somebody might miss. It may be one of a
    template, too, whose members begin with a capital letter."""
    reasons = {name.lower(): (name, why) for name, why in LEFT_OUT.items() if name not in _QUIET}
    found: dict[str, str] = {}

    def look(value: Any, where: str) -> None:
        if isinstance(value, Mapping):
            for name, member in value.items():
                if name.lower() in reasons and member not in (None, [], {}, ""):
                    known, why = reasons[name.lower()]
                    found.setdefault(f"{where}{known}", why)
                elif name.lower() == "logdriver" and member != "awslogs":
                    found[f"{where}log driver {member}"] = "`logs` shows what awslogs carries, and that alone"
                elif name.lower() not in ("environment", "dockerlabels", "options"):
                    look(member, where)
        elif isinstance(value, list):
            for entry in value:
                named = (entry.get("name") or entry.get("Name")) if isinstance(entry, Mapping) else None
                look(entry, f"{named}: " if isinstance(named, str) else where)

    look(definition, "")
    return [f"{what}: {why}" for what, why in found.items()]


def _overridden(raw: Mapping[str, Any], override: Mapping[str, Any]) -> Mapping[str, Any]:
    """A container as one task has it: variables come on top, all else instead."""
    if not override:
        return raw
    return {**raw, **override, "environment": [*(raw.get("environment") or ()), *(override.get("environment") or ())]}


def _in_order(raws: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    waiting = {raw["name"]: raw for raw in raws}
    ordered = []
    while waiting:
        ready = [
            name
            for name, raw in waiting.items()
            if not any(wait["containerName"] in waiting for wait in raw.get("dependsOn") or ())
        ]
        if not ready:
            raise ValueError(f"containers wait for each other: {', '.join(waiting)}")
        ordered += [waiting.pop(name) for name in ready]
    return ordered


def _options(raw: Mapping[str, Any], definition: Mapping[str, Any], volumes: Mapping[str, str]) -> list[str]:
    linux = raw.get("linuxParameters") or {}
    whole_cpu, whole_memory = (int(definition.get(size) or 0) for size in ("cpu", "memory"))
    memory = int(raw.get("memory") or 0) or whole_memory
    # What an image says of its health, ECS does not ask.
    found = ["--no-healthcheck"]
    found += ["--security-opt=no-new-privileges"] if not raw.get("privileged") else ["--privileged"]
    found += [f"--memory={memory}m"] if memory else []
    found += [f"--memory-reservation={raw['memoryReservation']}m"] if raw.get("memoryReservation") else []
    if linux.get("maxSwap") is not None and memory:
        found.append(f"--memory-swap={memory + int(linux['maxSwap'])}m")
    # A share where the node has CPU to spare; a bound only where the whole task has one.
    found += [f"--cpu-shares={max(2, int(raw['cpu']))}"] if raw.get("cpu") else []
    found += [f"--cpus={whole_cpu / 1024:g}"] if whole_cpu else []
    found += ["--read-only"] if raw.get("readonlyRootFilesystem") else []
    found += ["--init"] if linux.get("initProcessEnabled") else []
    found += [f"--shm-size={linux['sharedMemorySize']}m"] if linux.get("sharedMemorySize") else []
    capabilities = linux.get("capabilities") or {}
    found += [f"--cap-drop={name}" for name in capabilities.get("drop") or ()]
    found += [f"--cap-add={name}" for name in capabilities.get("add") or ()]
    for disk in linux.get("tmpfs") or ():
        told = ["rw", f"size={disk['size']}m", *disk.get("mountOptions", ())]
        found.append(f"--tmpfs={disk['containerPath']}:{','.join(told)}")
    for point in raw.get("mountPoints") or ():
        mode = "ro" if point.get("readOnly") else "rw"
        found.append(f"--volume={volumes[point['sourceVolume']]}:{point['containerPath']}:{mode}")
    for limit in raw.get("ulimits") or ():
        found.append(f"--ulimit={limit['name']}={limit['softLimit']}:{limit['hardLimit']}")
    found += [f"--label={name}={value}" for name, value in (raw.get("dockerLabels") or {}).items()]
    found += [f"--env={entry['name']}={entry.get('value', '')}" for entry in raw.get("environment") or ()]
    found += [f"--add-host={host['hostname']}:{host['ipAddress']}" for host in raw.get("extraHosts") or ()]
    found += [f"--dns={server}" for server in raw.get("dnsServers") or ()]
    found += [f"--dns-search={domain}" for domain in raw.get("dnsSearchDomains") or ()]
    for option, member in (("--user", "user"), ("--workdir", "workingDirectory"), ("--hostname", "hostname")):
        found += [f"{option}={raw[member]}"] if raw.get(member) else []
    found += ["--interactive"] if raw.get("interactive") else []
    found += ["--tty"] if raw.get("pseudoTerminal") else []
    found += [f"--entrypoint={raw['entryPoint'][0]}"] if raw.get("entryPoint") else []
    return found


def _words(raw: Mapping[str, Any]) -> Sequence[str]:
    return [*(raw.get("entryPoint") or ())[1:], *(raw.get("command") or ())]


def _health(check: Mapping[str, Any] | None) -> Health | None:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html, the defaults too."""
    if not check or check["command"][0] == "NONE":
        return None
    kind, *words = check["command"]
    command = ("/bin/sh", "-c", *words) if kind == "CMD-SHELL" else tuple(words) if kind == "CMD" else (kind, *words)
    numbers = {"interval": 30, "timeout": 5, "retries": 3, "startPeriod": 0}
    return Health(command, *(int(check.get(name) or default) for name, default in numbers.items()))


def read_secrets(file: Path) -> dict[str, str]:
    """The variables of a file; lines that begin with # and empty ones say nothing. Raises EmulatorError with the line
    that is none of these; the value is not repeated."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EmulatorError(f"--secrets {file}: {getattr(error, 'strerror', None) or error}") from None
    found = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals or not name.strip():
            raise EmulatorError(f"--secrets {file}: line {number} is not NAME=VALUE")
        value = value.strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        found[name.strip()] = value[1:-1] if quoted else value
    return found

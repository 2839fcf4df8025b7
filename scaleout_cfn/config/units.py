"""A service of the set, and everything that is made of its name: titles, logical ids, names of parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.config import (
    AnyService,
    Capacity,
    Config,
    Ec2Capacity,
    FargateCapacity,
    GreenHeader,
    GreenPort,
    InternalService,
    Job,
    NoPipeline,
    Queue,
    Route,
    Scaling,
    Shifting,
    TargetTracking,
    WebService,
    WorkerService,
)
from scaleout_cfn.config.attachments import AnyAttachment
from scaleout_cfn.config.containers import EFS, Container, EbsVolume, EfsOfService, EfsVolume, Task
from scaleout_cfn.config.pulse import READER, NginxPulse, ReadPulse, reader
from scaleout_cfn.config.sidecars import (
    AnySidecar,
    ContainerSidecar,
    FireLensSidecar,
    InitSidecar,
    ProxySidecar,
    expanded,
    listening,
)

#: What the name of a root parameter that is an image ends in.
IMAGE = "ImageUri"
#: A resource of one of a service's stacks, by its logical path.
_OF_SERVICE = re.compile("([A-Z][A-Za-z0-9]*)(?:Foundation|Service|Pipeline)(?:/.+)?")


@lru_cache(1_000)
def title_of(name: str) -> str:
    """What titles and parameters call a service or pool: `OrderApi` for `order-api`. No two names have the same."""
    return "".join(word.capitalize() for word in name.split("-"))


def name_of(title: str) -> str:
    """The name that a title is made of: `order-api` for `OrderApi`."""
    return re.sub("(?<!^)(?=[A-Z])", "-", title).lower()


def service_in(path: str) -> str:
    """The service that a resource belongs to, by its logical path: `order-api` for `OrderApiService/Service`.

    What lies elsewhere, as in a set of somebody else's, is called by its path.
    """
    of_service = _OF_SERVICE.fullmatch(path)
    return name_of(of_service[1]) if of_service else path


class Work(Struct, frozen=True):
    """What runs as tasks, a service or a job: its name, its section, and the config around it."""

    name: str
    settings: Task
    config: Config

    @property
    def key(self) -> str:
        """Where its section is in the config."""
        raise NotImplementedError

    @property
    def port(self) -> int | None:
        """The port that is sent to; None where nothing is."""
        return None

    @property
    def is_reached(self) -> bool:
        """Whether it answers to a name in the set's namespace."""
        return False

    @property
    def sidecars(self) -> Mapping[str, AnySidecar]:
        """The containers beside its own, by name, as the config has them."""
        return {}

    @property
    def proxy(self) -> tuple[str, ProxySidecar] | None:
        """The sidecar in front of its own container, by its name."""
        return None

    @property
    def beside(self) -> dict[str, ContainerSidecar | InitSidecar]:
        """The same, ready-made ones as what they stand for."""
        return {}

    @property
    def title(self) -> str:
        return title_of(self.name)

    @property
    def pool_name(self) -> str:
        """The pool that it names, else the only one."""
        return self.settings.capacity or next(iter(self.config.capacity))

    @property
    def pool(self) -> Capacity:
        return self.config.capacity[self.pool_name]

    @property
    def network_mode(self) -> Literal["bridge", "awsvpc"]:
        if self.settings.network_mode != "auto":
            return self.settings.network_mode
        return "awsvpc" if self._is_apart or not isinstance(self.pool, Ec2Capacity) else "bridge"

    @property
    def _is_apart(self) -> bool:
        """Whether its tasks need a security group of their own, wherever they run."""
        return self.lets_itself_in

    @property
    def attachments(self) -> dict[str, AnyAttachment]:
        """What lies beside it and is used by it, by name."""
        named = sorted(self.config.attachments.items())
        return {name: section for name, section in named if self.container in section.used_by}

    @property
    def lets_itself_in(self) -> bool:
        """Whether it makes rules that let it in to others, and so needs a security group of its own."""
        return any(section.has_group for section in self.attachments.values())

    @property
    def architecture(self) -> Literal["x86_64", "arm64"]:
        if not isinstance(self.pool, FargateCapacity):
            return self.pool.architecture
        return "x86_64" if self.settings.architecture == "auto" else self.settings.architecture

    @property
    def image_owner(self) -> str:
        """The service whose image it runs: itself, or another."""
        return self.settings.image_of or self.name

    @property
    def image_parameter(self) -> str:
        """The root parameter that its image is."""
        return f"{title_of(self.image_owner)}{IMAGE}"

    @property
    def of_image(self) -> Task:
        """The section of whose image it runs."""
        return self.config.services[self.settings.image_of] if self.settings.image_of else self.settings

    @property
    def registry_secret(self) -> str:
        """The secret that its image is pulled with; empty where there is none."""
        return self.of_image.registry_secret

    @property
    def managed_policies(self) -> tuple[str, ...]:
        """What is attached to its task role."""
        return self.settings.permissions.managed_policies if self.settings.permissions else ()

    @property
    def container(self) -> str:
        """What the rest of its section calls its own container."""
        return self.name

    @property
    def containers(self) -> dict[str, Container]:
        """All containers of a task, by the key of their section."""
        beside = {self.key_of_sidecar(name): sidecar for name, sidecar in self.beside.items()}
        return {self.key: self.settings, **beside}

    def key_of_sidecar(self, name: str) -> str:
        """Where the section of a container beside its own is in the config."""
        return f"{self.key}.sidecars.{name}"

    @property
    def secrets(self) -> dict[str, str]:
        """What the ECS agent reads for the containers and their images, by key: ARNs of parameters and secrets."""
        found = {
            f"{key}.{table}.{name}": arn
            for key, container in self.containers.items()
            for table in ("secrets", "log_secret_options")
            for name, arn in getattr(container, table).items()
        }
        of_image = f"services.{self.settings.image_of}" if self.settings.image_of else self.key
        found[f"{of_image}.registry_secret"] = self.registry_secret
        for name, sidecar in sorted(self.sidecars.items()):
            key = self.key_of_sidecar(name)
            found[f"{key}.registry_secret"] = sidecar.registry_secret
            if isinstance(sidecar, FireLensSidecar):
                found |= {f"{key}.secret_options.{entry}": arn for entry, arn in sidecar.secret_options.items()}
        return {key: arn for key, arn in found.items() if arn}

    @property
    def environment_files(self) -> dict[str, str]:
        """What the ECS agent reads of S3, by key: ARNs of objects."""
        return {
            f"{key}.environment_files[{number}]": arn
            for key, container in self.containers.items()
            for number, arn in enumerate(container.environment_files)
        }

    @property
    def log_destinations(self) -> dict[str, str]:
        """What FireLens brings logs to, by key: ARNs."""
        return {
            f"{self.key}.sidecars.{name}.destination_arn": sidecar.destination_arn
            for name, sidecar in self.sidecars.items()
            if isinstance(sidecar, FireLensSidecar) and sidecar.destination_arn
        }

    @property
    def own_cpu_units(self) -> int:
        """What its sidecars leave of the task's CPU to the service's container."""
        return self.settings.cpu_units - sum(sidecar.cpu_units for sidecar in self.sidecars.values())

    @property
    def own_memory_mib(self) -> int:
        """What its sidecars leave of the task's memory to the service's container."""
        return self.settings.memory_mib - sum(sidecar.memory_mib for sidecar in self.sidecars.values())


class JobUnit(Work, frozen=True):
    """A job by its name, its section, and the config around it."""

    settings: Job

    @property
    def job(self) -> str:
        """Title of its stack, which changes with each image."""
        return f"{self.title}Job"

    @property
    def key(self) -> str:
        return f"jobs.{self.name}"

    @property
    def has_own_image(self) -> bool:
        """Whether its image is a parameter of its own: one that is given, or one that comes before a service has it."""
        return bool(self.settings.before) or not self.settings.image_of

    @property
    def image_parameter(self) -> str:
        return f"{title_of(self.name if self.has_own_image else self.image_owner)}{IMAGE}"


class Unit(Work, frozen=True):
    """A service by its name, its section, and the config around it."""

    settings: AnyService
    #: Of a stand-in, the service whose place it takes.
    stands_in_for: str = ""

    @property
    def foundation(self) -> str:
        """Title of the stack with what outlives a version."""
        return f"{self.title}Foundation"

    @property
    def service(self) -> str:
        """Title of the stack that changes with each image."""
        return f"{self.title}Service"

    @property
    def pipeline(self) -> str:
        return f"{self.title}Pipeline"

    @property
    def key(self) -> str:
        """Where the service's section is in the config."""
        return f"services.{self.stands_in_for or self.name}"

    @property
    def is_web(self) -> bool:
        return isinstance(self.settings, WebService)

    @property
    def port(self) -> int | None:
        """The port that is sent to: the proxy's where there is one, else the container's; None where nothing is."""
        if self.proxy:
            return self.proxy[1].port
        return self.settings.container_port if isinstance(self.settings, (WebService, InternalService)) else None

    @property
    def container(self) -> str:
        return self.stands_in_for or self.name

    @property
    def sidecars(self) -> Mapping[str, AnySidecar]:
        settings, pulse = self.settings, self.scaling.pulse
        if not isinstance(pulse, ReadPulse) or not isinstance(settings, (WebService, InternalService)):
            return settings.sidecars
        port = settings.container_port
        if isinstance(pulse, NginxPulse) and self.proxy and self.proxy[1].engine == "nginx":
            port = self.proxy[1].port
        return {**settings.sidecars, READER: reader(pulse, port)}

    def key_of_sidecar(self, name: str) -> str:
        return f"{self.key}.scaling.pulse" if name not in self.settings.sidecars else super().key_of_sidecar(name)

    @property
    def proxy(self) -> tuple[str, ProxySidecar] | None:
        sidecars = self.settings.sidecars.items()
        return next(((name, sidecar) for name, sidecar in sidecars if isinstance(sidecar, ProxySidecar)), None)

    @property
    def beside(self) -> dict[str, ContainerSidecar | InitSidecar]:
        """The containers beside the service's, by name, ready-made ones as what they stand for."""
        settings = self.settings
        port = settings.container_port if isinstance(settings, (WebService, InternalService)) else None
        protocol = settings.protocol if isinstance(settings, WebService) else "http1"
        pulse = self.scaling.pulse
        status = pulse.path if isinstance(pulse, NginxPulse) else ""
        return {
            name: expanded(sidecar, to_port=port, protocol=protocol, status=status)
            for name, sidecar in sorted(self.sidecars.items())
            if port or not isinstance(sidecar, ProxySidecar)
        }

    @property
    def storage(self) -> str:
        """Title of the stack with the file systems of its own."""
        return f"{title_of(self.container)}Storage"

    @property
    def file_systems(self) -> dict[str, EfsVolume]:
        """Its volumes that are file systems of the set's own, by name."""
        return {name: volume for name, volume in sorted(self.settings.volumes.items()) if isinstance(volume, EfsVolume)}

    @property
    def mounted(self) -> dict[str, str]:
        """The services whose file systems its volumes are, by the name of the volume."""
        volumes = sorted(self.settings.volumes.items())
        own = dict.fromkeys(self.file_systems, self.container)
        return own | {name: volume.service for name, volume in volumes if isinstance(volume, EfsOfService)}

    @property
    def has_disk(self) -> bool:
        """Whether ECS makes a volume for each of its tasks."""
        return any(isinstance(volume, EbsVolume) for volume in self.settings.volumes.values())

    @property
    def on_efs(self) -> list[str]:
        """Its volumes that are reached over the network, by name."""
        return [name for name, volume in sorted(self.settings.volumes.items()) if isinstance(volume, EFS)]

    @property
    def _is_apart(self) -> bool:
        # A node's security group is that of all its tasks: who reaches one service only needs one of his own.
        # Containers reach each other at 127.0.0.1 where they share a network interface.
        settings = self.settings
        apart = (
            isinstance(settings, InternalService)
            or self.lets_itself_in
            or listening(settings.sidecars)
            or self.on_efs
            or isinstance(settings.scaling.pulse, ReadPulse)
        )
        return bool(apart)

    @property
    def image_key(self) -> str:
        """The tunable that names the image, and so the root parameter."""
        return f"services.{self.image_owner}.image_uri"

    @property
    def has_repository(self) -> bool:
        """Whether a repository is made for its image: for one of its own that is not given."""
        return not self.settings.image_of and not self.settings.image_uri

    @property
    def has_pipeline(self) -> bool:
        return not isinstance(self.settings.pipeline, NoPipeline)

    @property
    def lets_itself_in(self) -> bool:
        return bool(self.settings.reaches) or super().lets_itself_in

    @property
    def is_reached(self) -> bool:
        """Whether it answers to a name in the set's namespace."""
        return isinstance(self.settings, InternalService)

    @property
    def queue(self) -> Queue | None:
        """The queue that its tasks receive from."""
        return self.settings.queue if isinstance(self.settings, WorkerService) else None

    @property
    def scaling(self) -> Scaling:
        """What moves its tasks. With a queue that is its backlog, and CPU only where somebody has said how.

        Its tasks are then counted by their samples of a minute, of which metrics of every 20 s have another number.
        """
        scaling = self.settings.scaling
        if self.queue is None:
            return scaling
        cpu = TargetTracking() if scaling.cpu == Scaling().cpu else scaling.cpu
        return replace(scaling, cpu=cpu, high_resolution=False)

    @property
    def fast_metrics(self) -> list[str]:
        """Its metrics that come every 20 s, each of which is billed: those that something scales by."""
        scaling = self.scaling
        if not scaling.high_resolution or self.stands_in_for:
            return []
        watched = {policy.metric for policy in scaling.step_policies}
        tracked = (("CPUUtilization", "cpu", scaling.cpu), ("MemoryUtilization", "memory", scaling.memory))
        return [metric for metric, name, policy in tracked if policy.enabled or name in watched]

    @property
    def shifting(self) -> Shifting | None:
        """How requests leave its old tasks for new ones beside them; None where new ones take the place of old."""
        return self.settings.deployment if isinstance(self.settings.deployment, Shifting) else None

    @property
    def has_alternate(self) -> bool:
        """Whether it has a second target group, and a rule over both whose weights ECS moves."""
        deployment = self.settings.deployment
        return self.is_web and (self.shifting is not None or getattr(deployment, "alternate_target_group", False))

    @property
    def has_deployment_role(self) -> bool:
        """Whether ECS acts by a role of its own on the way to a new version."""
        return self.has_alternate or bool(self.shifting and self.shifting.hooks)

    @property
    def test(self) -> GreenPort | GreenHeader | None:
        """How its new version is reached before requests move to it."""
        return getattr(self.settings.deployment, "test", None)

    @property
    def stand_in(self) -> Unit | None:
        """What takes its place for a while: a service as this one, on another pool or in another network mode."""
        settings = self.settings
        if not isinstance(settings, WebService) or settings.stand_in is None or self.stands_in_for:
            return None
        section = settings.stand_in
        pool = self.config.capacity[section.capacity or self.pool_name]
        tasks = section.tasks or settings.scaling.max_tasks
        changed = replace(
            settings,
            capacity=section.capacity or settings.capacity,
            network_mode=section.network_mode,
            placement=settings.placement if isinstance(pool, Ec2Capacity) else "spread",
            cpu_is=settings.cpu_is if isinstance(pool, Ec2Capacity) else "auto",
            image_of=self.image_owner,
            image_uri="",
            route=Route(),
            stand_in=None,
            scaling=Scaling(min_tasks=tasks, max_tasks=tasks),
            pipeline=NoPipeline(),
            service_name="",
        )
        return Unit(f"{self.name}-stand-in", changed, self.config, self.name)

    def comes_after(self, other: str) -> bool:
        """Whether it is made after another service, which it names. Of those that name each other in a circle, neither
        is."""
        return other in self.settings.reaches and self.name not in _reached_from(other, self.config)


def _reached_from(name: str, config: Config) -> set[str]:
    """All that a service reaches, and all that those reach."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for reached in config.services[waiting.pop()].reaches:
            if reached not in found:
                found.add(reached)
                waiting.append(reached)
    return found


def units(config: Config) -> list[Unit]:
    """The services of a config, in the order of their names: where one is written changes no template."""
    return [Unit(name, config.services[name], config) for name in sorted(config.services)]


def owners_of_images(config: Config) -> list[str]:
    """The services that run an image of their own, by name."""
    return [name for name, settings in sorted(config.services.items()) if not settings.image_of]


def jobs_of(config: Config) -> list[JobUnit]:
    """The jobs of a config, in the order of their names.

    One before a service has the service's image; another that names none that of the only service with one of its own.
    """
    found = []
    for name, settings in sorted(config.jobs.items()):
        if settings.before:
            service = config.services[settings.before]
            settings = replace(settings, image_of=service.image_of or settings.before)
        elif not settings.image_of and not settings.image_uri:
            settings = replace(settings, image_of=owners_of_images(config)[0])
        found.append(JobUnit(name, settings, config))
    return found


def jobs_of_image(unit: Unit) -> list[JobUnit]:
    """The jobs that run the image of a service, which brings its own."""
    return [job for job in jobs_of(unit.config) if job.settings.image_of == unit.name]


def with_stand_ins(services: Iterable[Unit]) -> list[Unit]:
    """Services, and before each that has one what stands in for it."""
    return [each for unit in services for each in (unit.stand_in, unit) if each is not None]


def with_queue(config: Config) -> dict[str, Queue]:
    """The queues of a config, by the service that receives from each."""
    return {unit.name: unit.queue for unit in units(config) if unit.queue is not None}


def queue_variable(name: str) -> str:
    """The environment variable that tells others where to send for a service: `ORDER_MAILER_QUEUE_URL`."""
    return f"{name.replace('-', '_').upper()}_QUEUE_URL"


def names_of(sections: Mapping[str, object]) -> str:
    """The names that a config has, for a message."""
    return ", ".join(sorted(sections)) or "none"

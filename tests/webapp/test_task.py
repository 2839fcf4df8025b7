"""A whole task run by podman from its rendered definition: sidecar, init container, shared volume, read-only roots.

What ECS does with a definition is done by `Task` here: its containers share a network, as under awsvpc, start in the
order that they depend on each other, and are stopped in the other.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import scaleout_cfn as sc

from .helpers import ask, eventually, free_port, serves
from .test_container import IMAGE, Engine, engine, image  # noqa: F401 (fixtures)


@dataclass
class Task:
    """The containers of a task definition, by name."""

    engine: Engine
    definition: dict[str, Any]
    folder: Path
    run: str
    started: list[str] = field(default_factory=list)

    def podman(self, *words: str) -> str:
        return self.engine("podman", *words)

    def named(self, container: str) -> str:
        return f"{container}-{self.run}"

    def start(self) -> None:
        """Starts each container once those that it depends on have come to what it waits for."""
        waiting = {container["Name"]: container for container in self.definition["ContainerDefinitions"]}
        while waiting:
            ready = [
                name
                for name, container in waiting.items()
                if not any(entry["ContainerName"] in waiting for entry in container.get("DependsOn", []))
            ]
            assert ready, "a circle"
            for name in ready:
                container = waiting.pop(name)
                for entry in container.get("DependsOn", []):
                    self.wait(entry["ContainerName"], entry["Condition"])
                self.podman("run", "--detach", "--name", self.named(name), *self.options(container))
                self.started.append(name)

    def wait(self, container: str, condition: str) -> None:
        if condition == "SUCCESS":
            assert self.podman("wait", self.named(container)).strip() == "0", self.log(container)
        elif condition == "HEALTHY":
            (check,) = [
                one["HealthCheck"] for one in self.definition["ContainerDefinitions"] if one["Name"] == container
            ]
            assert check["Command"][0] == "CMD"

            def healthy() -> bool:
                try:
                    self.podman("exec", self.named(container), *check["Command"][1:])
                except AssertionError:
                    return False
                return True

            eventually(healthy, f"{container} is healthy", 40)
        else:
            assert condition == "START"

    def options(self, container: dict[str, Any]) -> list[str]:
        linux = container["LinuxParameters"]
        given = ["--memory", f"{container['Memory']}m", "--security-opt", "no-new-privileges"]
        if linux["InitProcessEnabled"] and self.has_init:
            given.append("--init")
        if container["ReadonlyRootFilesystem"]:
            given.append("--read-only")
        given += [f"--cap-drop={name.lower()}" for name in linux.get("Capabilities", {}).get("Drop", [])]
        for disk in linux.get("Tmpfs", []):
            told = ",".join(["rw", f"size={disk['Size']}m", *disk["MountOptions"]])
            given.append(f"--tmpfs={disk['ContainerPath']}:{told}")
        for point in container.get("MountPoints", []):
            there = self.folder / point["SourceVolume"]
            there.mkdir(exist_ok=True)
            given.append(f"--volume={there}:{point['ContainerPath']}:{'ro' if point['ReadOnly'] else 'rw'}")
        given += [f"--env={entry['Name']}={entry['Value']}" for entry in container.get("Environment", [])]
        if "User" in container:
            given += ["--user", container["User"]]
        first, *rest = container.get("EntryPoint", [""])
        if first:
            given += ["--entrypoint", first]
        reference = container["Image"]
        named = reference if isinstance(reference, str) else IMAGE
        return [*given, named, *rest, *container.get("Command", [])]

    @property
    def has_init(self) -> bool:
        return Path("/usr/libexec/podman/catatonit").exists()

    def log(self, container: str) -> str:
        return self.podman("logs", self.named(container))

    def stop(self) -> dict[str, int]:
        """Stops what runs in the other order, and gives the exit codes."""
        codes = {}
        for name in reversed(self.started):
            self.podman("stop", "--time", "30", self.named(name))
            codes[name] = int(self.podman("inspect", "--format", "{{.State.ExitCode}}", self.named(name)))
        return codes

    def remove(self) -> None:
        for name in self.started:
            self.podman("rm", "--force", "--ignore", "--time", "0", self.named(name))


def config(port: int, front: int) -> sc.Config:
    health = ("/srv/venv/bin/python", "/srv/web/entry.py", "health")
    web = sc.WebService(
        container_port=port,
        memory_mib=1024,
        cpu_units=512,
        environment={"LISTEN": f"127.0.0.1:{port}", "DRAIN_S": "0"},
        health_command=health,
        sidecars={
            "setup": sc.InitSidecar(
                entrypoint=("/bin/sh", "-c"), command=("echo made > /pages/index && ! touch /x",), user="0"
            ),
            "front": sc.ProxySidecar(image_uri=IMAGE, port=front),
            "reader": sc.ContainerSidecar(
                image_uri=IMAGE,
                entrypoint=("/bin/sh", "-c"),
                command=("cat /in/index; touch /in/more; exec sleep 600",),
                stop_timeout_s=2,
                after={"setup": "SUCCESS", "web": "HEALTHY"},
            ),
        },
        volumes={
            "pages": sc.BindVolume(
                mounts={"web": "/srv/pages", "setup": "/pages", "reader": "/in"}, read_only_for=("web", "reader")
            )
        },
        scaling=sc.Scaling(max_tasks=3),
    )
    return sc.Config(capacity={"air": sc.FargateCapacity()}, services={"web": web})


@pytest.fixture
def task(engine: Engine, image: str, tmp_path: Path) -> Iterator[tuple[Task, int, int]]:  # noqa: F811
    port, front = free_port(), free_port()
    rendered = sc.set_of(sc.compose(config(port, front)))
    definition = rendered["web-service.yaml"]["Resources"]["TaskDefinition"]["Properties"]
    whole = Task(engine, definition, tmp_path, str(time.monotonic_ns()))
    try:
        whole.start()
        yield whole, port, front
    finally:
        whole.remove()


def test_a_task_s_containers_start_in_order_share_a_folder_and_answer_through_the_proxy(
    task: tuple[Task, int, int],
) -> None:
    whole, port, front = task
    # What has to have ended comes before the service's container, what is in front of it after.
    assert whole.started.index("setup") < whole.started.index("web") < whole.started.index("front")
    eventually(lambda: serves(front), "an answer through the proxy")
    assert ask(front, "/").status == 200
    assert len(ask(front, "/api").json()) == len(ask(port, "/api").json()) == 52
    assert ask(front, "/none").status == 404
    web = whole.named("web")
    assert whole.podman("exec", web, "cat", "/srv/pages/index") == "made\n"
    for place in ("/srv/pages/x", "/x"):
        assert "Read-only" in whole.podman("exec", web, "sh", "-c", f"touch {place} 2>&1; true")
    eventually(lambda: "made" in whole.log("reader"), "what another container wrote")
    for name in ("web", "front"):
        status = whole.podman("exec", whole.named(name), "cat", "/proc/1/status")
        assert re.search(r"CapEff:\s+0+$", status, re.M), name
    codes = whole.stop()
    assert (codes["web"], codes["front"], codes["setup"]) == (0, 0, 0)

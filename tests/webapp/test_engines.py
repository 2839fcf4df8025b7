"""`deploy --local --containers` under docker and under podman: what a task definition says is so in its containers."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from dockerd import DOCKER, bridged_engine

from .helpers import eventually, free_port, missing, need
from .rehearsal import Rehearsal, under_podman
from .test_container import CONTAINERS_CONF, Engine

TINY = "tiny:1"
#: `told` says how things are inside of the container that serves it. Its health is good at the third look.
CONFIG = """
stack_name = "engine"
[capacity.air]
kind = "fargate"
[services.web]
cpu_units = 256
memory_mib = 512
user = "65534:65534"
entrypoint = ["/bin/sh", "-c"]
command = ["exec httpd -f -p 8080 -h /pages"]
environment = {MODE = "loud"}
health_command = ["/bin/sh", "-c", "echo >>/tmp/looks; test $(wc -l </tmp/looks) -gt 2"]
tmpfs_mib = {"/tmp" = 8}
reaches = ["stock"]
[services.web.deployment]
strategy = "canary"
[services.web.deployment.pauses.look]
stages = ["PRE_PRODUCTION_TRAFFIC_SHIFT"]
timeout_minutes = 1
[services.web.secrets]
WORD = "arn:aws:secretsmanager:us-east-1:123456789012:secret:word-AbCdEf"
[services.web.scaling]
min_tasks = 1
max_tasks = 2
[services.web.sidecars.pages]
kind = "init"
entrypoint = ["/bin/sh", "-c"]
command = ['''
mkdir /p/cgi-bin && cd /p/cgi-bin && echo well >/p/health && printf "Content-Type: text/plain\\r\\n\\r\\n" >head
cat >told <<'END'
#!/bin/sh
cat head
echo mode $MODE, word $WORD, user $(id -u):$(id -g)
echo root: $(touch /x 2>&1)
echo pages: $(touch /pages/x 2>&1)
echo tmp: $(df -m /tmp | tail -1)
echo by name: $(wget -qO- http://stock:{stock}/)
echo AWS: $(wget -qO- $AWS_ENDPOINT_URL/_scaleout/health | cut -c 2-15)
cd /sys/fs/cgroup
echo memory: $(cat memory/memory.limit_in_bytes memory.max 2>/dev/null)
echo CPU: $(cat cpu/cpu.cfs_quota_us cpu.max 2>/dev/null)
END
cat >looks <<'END'
#!/bin/sh
cat head; wc -l </tmp/looks
END
chmod +x told looks
''']
[services.web.sidecars.reader]
kind = "container"
image_uri = "{image}"
after = {web = "HEALTHY"}
command = ["/bin/sh", "-c", "echo looks: $(wget -qO- http://127.0.0.1:8080/cgi-bin/looks); exec sleep 1000"]
[services.web.volumes.pages]
kind = "bind"
mounts = {web = "/pages", pages = "/p"}
read_only_for = ["web"]
[services.stock]
kind = "internal"
memory_mib = 512
image_of = "web"
container_port = {stock}
exec = true
read_only = false
entrypoint = ["/bin/sh", "-c"]
command = ["echo in stock >/tmp/index.html; exec httpd -f -p {stock} -h /tmp"]
[services.stock.scaling]
min_tasks = 1
max_tasks = 2
"""

Ask = Callable[..., str]


def tiny(file: Path) -> Path:
    """A file system with busybox alone, as an archive."""
    need("busybox")
    program = Path(shutil.which("busybox") or "").read_bytes()
    names = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(file, "w") as archive:

        def add(name: str, kind: bytes, mode: int, link: str = "", content: bytes = b"") -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(content)
            archive.addfile(entry, io.BytesIO(content))

        add("bin", tarfile.DIRTYPE, 0o755)
        add("tmp", tarfile.DIRTYPE, 0o1777)
        add("bin/busybox", tarfile.REGTYPE, 0o755, content=program)
        for name in names:
            if name != "busybox":
                add(f"bin/{name}", tarfile.SYMTYPE, 0o777, "busybox")
    return file


@contextmanager
def docker(folder: Path) -> Iterator[tuple[Rehearsal, Ask]]:
    need("dockerd", "nsenter")
    with bridged_engine() as (host, process):
        # Debian's client before any other.
        (folder / "bin").mkdir()
        (folder / "bin" / "docker").symlink_to(DOCKER)
        path = f"{folder}/bin{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"DOCKER_HOST": host, "XDG_RUNTIME_DIR": str(folder), "PATH": path}

        def ask(*words: str) -> str:
            done = subprocess.run([DOCKER, *words], env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{words}: {done.stderr}"
            return done.stdout

        ask("import", str(tiny(folder / "tiny.tar")), TINY)
        yield Rehearsal(folder, environment, ("nsenter", "--target", str(process), "--net")), ask


@contextmanager
def podman(folder: Path) -> Iterator[tuple[Rehearsal, Ask]]:
    need("podman", "runc", "slirp4netns", "catatonit")
    # A storage of its own, for an image needs none that was built.
    home = Path(tempfile.mkdtemp(prefix="tiny-", dir="/tmp"))
    (home / "containers.conf").write_text(CONTAINERS_CONF)
    engine = Engine(home, os.environ | {"CONTAINERS_CONF": f"{home}/containers.conf"}, driver="vfs")
    try:
        engine("podman", "import", tiny(folder / "tiny.tar"), f"localhost/{TINY}")
        yield under_podman(engine, folder), lambda *words: engine("podman", *words)
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("engine", [docker, podman])
def test_a_task_is_what_its_definition_says(
    engine: Callable[[Path], AbstractContextManager[tuple[Rehearsal, Ask]]], tmp_path: Path
) -> None:
    need("curl")
    if os.geteuid() != 0:
        missing("containers are run by root here")
    with engine(tmp_path) as (user, ask):
        image, port = ask("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").strip(), free_port()
        config = CONFIG.replace("{image}", image).replace("{stock}", str(port))
        (tmp_path / "scaleout.toml").write_text(config)
        (tmp_path / "secrets").write_text("WORD=seventeen\n")
        try:
            rehearse(user, ask, image)
        finally:
            user.stop()


def rehearse(user: Rehearsal, ask: Ask, image: str) -> None:
    deploy = ["deploy", "--containers", "--keep", "--pace", "60", "--secrets", "secrets", "--yes"]
    url = user(*deploy, "--image", f"web={image}")[-1]["outputs"]["WebUrl"]
    *told, processor = user.curl(f"{url}/cgi-bin/told").splitlines()
    assert told == [
        "mode loud, word seventeen, user 65534:65534",
        "root: touch: /x: Read-only file system",
        "pages: touch: /pages/x: Read-only file system",
        "tmp: tmpfs 8 0 8 0% /tmp",
        "by name: in stock",
        'AWS: "endpoint_url"',
        f"memory: {(512 - 2 * 64) * 2**20}",  # beside the sidecars
    ]
    assert re.fullmatch(r"CPU: 25000( 100000)?", processor)
    looks: list[str] = []

    def sidecar_tells() -> bool:
        looks[:] = re.findall(r"looks: (\d+)", str(user("logs")))
        return bool(looks)

    eventually(sidecar_tells, "the sidecar's line")
    assert int(looks[0]) >= 3, "it waits for health"
    assert user.typed("exec", "--local", "--service", "stock", "--", "cat", "/tmp/index.html") == "in stock\n"
    assert "seventeen" in [line.get("text") for line in user("run", "--service", "web", "--", "echo $WORD")]

    # Nobody answers to the new version's pause.
    user(*deploy, "--set", "services.web.environment.MODE=new", code=4)
    assert user.curl(f"{url}/cgi-bin/told").startswith("mode loud")
    past = [line for line in user("rollout", "history") if line["type"] == "deployment"]
    versions = [each["definition"].rpartition(":")[2] for each in past]
    assert [(each["name"], each["state"], each["ended_by"]) for each in past] == [
        ("stock", "SUCCESSFUL", ""),
        ("web", "ROLLBACK_SUCCESSFUL", "pause without an answer in its time"),
        ("web", "SUCCESSFUL", ""),
    ]
    assert versions == ["1", "2", "1"]

    user("destroy", "--yes")
    assert (ask("ps", "--all", "--quiet"), ask("volume", "ls", "--quiet")) == ("", "")

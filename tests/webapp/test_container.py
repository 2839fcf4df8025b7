"""The image, built from webapp/Dockerfile and run as the task definition runs it, without its network and AWS.

Container engines want the host's network here, so everything listens on a free port of 127.0.0.1. All the tests, also
those of several processes of pytest-xdist, share one image, which the first of them builds.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from debian import BASE, make_base

from scaleout_cfn.config import WebService
from scaleout_cfn.deploy.messages import Message
from scaleout_cfn.image import delivery
from scaleout_cfn.image.builder import Builder
from scaleout_cfn.image.delivery import Source

from .helpers import WEBAPP, ask, eventually, free_port, missing, need, serves

IMAGE = "localhost/web"
SETTINGS = WebService()
NO_DRAIN = "--env=DRAIN_S=0"
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=4096:4096"]
netns = "host"
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def command(*words: str | Path, timeout_s: float = 120, **options: Any) -> str:
    """What a command prints; its failure is the test's, with all that it said."""
    done = subprocess.run(list(map(str, words)), text=True, timeout=timeout_s, capture_output=True, **options)
    assert done.returncode == 0, f"{words} gave {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return str(done.stdout)


@dataclass
class Engine:
    """buildah and podman with a storage of their own, which goes when they go."""

    folder: Path
    environment: dict[str, str]
    driver: str = "overlay"
    names: list[str] = field(default_factory=list)

    def __call__(self, program: str, *words: str | Path, timeout_s: float = 120, **options: Any) -> str:
        folder = self.folder
        storage = ["--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", self.driver]
        return command(program, *storage, *words, timeout_s=timeout_s, env=self.environment, **options)

    def run(self, image: str, port: int, *options: str) -> str:
        """Starts a container as the task definition does, and gives its name."""
        name = f"web-{port}-{time.monotonic_ns()}"
        self.names.append(name)
        tmpfs = [f"--tmpfs={path}:rw,size={size}m,noexec,nosuid,nodev" for path, size in SETTINGS.tmpfs_mib.items()]
        self(
            "podman", "run", "--detach", "--name", name, "--read-only", "--cap-drop", "all", "--security-opt",
            "no-new-privileges", "--memory", f"{SETTINGS.memory_mib}m", "--pids-limit", "64", *tmpfs,
            "--env", f"LISTEN=127.0.0.1:{port}", *options, image,
        )  # fmt: skip
        return name

    def stop(self, name: str) -> int:
        """Stops it within the stop timeout, or by force, and gives its exit code."""
        self("podman", "stop", "--time", str(SETTINGS.stop_timeout_s), name)
        state = json.loads(self("podman", "inspect", name))[0]["State"]
        assert not state["OOMKilled"]
        return int(state["ExitCode"])


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    need("buildah", "podman", "runc")
    if os.geteuid() != 0:
        missing("containers are run by root here")
    # One folder for all processes of a test run, and short: podman takes no path of more than 50 characters.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"web-{run[:12]}"
    user = folder / "users" / str(os.getpid())
    user.parent.mkdir(parents=True, exist_ok=True)
    user.touch()
    (folder / "containers.conf").write_text(CONTAINERS_CONF)
    environment = os.environ | {"CONTAINERS_CONF": str(folder / "containers.conf"), "BUILDAH_FORMAT": "docker"}
    yield Engine(folder, environment)
    user.unlink(missing_ok=True)  # modules that share this fixture have one each, in one process
    with contextlib.suppress(OSError):  # there are other users
        user.parent.rmdir()
        subprocess.run(["umount", "--lazy", folder / "root" / "overlay"], capture_output=True, check=False)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The image from the Dockerfile, on the public base, or on one like it from Debian's packages."""
    with (engine.folder / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if driver := lock.read():
            engine.driver = driver
        else:
            build(engine)
            lock.write(engine.driver)
    return IMAGE


def build(engine: Engine) -> None:
    try:
        engine("buildah", "pull", "--quiet", BASE)
    except AssertionError:
        import_base(engine)
    engine(
        "buildah", "bud", "--isolation", "chroot", "--pull=never", "--layers=false", *secrets(engine), "--build-arg",
        "VERSION=1.2", "--build-arg", "REVISION=abc", "--tag", IMAGE, "--file", WEBAPP / "Dockerfile", WEBAPP,
        timeout_s=400,
    )  # fmt: skip


def secrets(engine: Engine) -> list[str]:
    """An authority of this network's own, for pip alone."""
    if not (authority := os.environ.get("PIP_CERT")):
        return []
    (engine.folder / "pip.conf").write_text("[global]\ncert = /run/extra-ca.crt\n")
    return ["--secret", f"id=pip_conf,src={engine.folder}/pip.conf", "--secret", f"id=extra_ca,src={authority}"]


def import_base(engine: Engine) -> None:
    need("mmdebstrap")
    tar = engine.folder / "debian.tar"
    make_base(tar)
    try:
        engine("podman", "import", "--change", 'CMD ["bash"]', tar, BASE)
    except AssertionError:  # a machine whose own root is an overlay
        engine.driver = "vfs"
        engine("podman", "import", "--change", 'CMD ["bash"]', tar, BASE)
    tar.unlink()


@pytest.fixture
def container(engine: Engine, image: str) -> Iterator[Callable[..., tuple[str, int]]]:
    """Starts containers, ready to be asked: a name and a port each."""

    def one(*options: str) -> tuple[str, int]:
        port = free_port()
        name = engine.run(image, port, *options)
        eventually(lambda: serves(port), "a healthy container", 30)
        return name, port

    yield one
    while engine.names:
        engine("podman", "rm", "--force", "--ignore", "--time", "0", engine.names.pop())


def test_the_image_is_small_and_says_what_it_is(engine: Engine, image: str) -> None:
    details = json.loads(engine("podman", "image", "inspect", image))[0]
    base = json.loads(engine("podman", "image", "inspect", BASE))[0]
    added = (details["Size"] - base["Size"]) / 1e6
    print(f"\nthe image: {details['Size'] / 1e6:.1f} MB, of which the base {base['Size'] / 1e6:.1f} MB")
    inside = ["du", "-sk", "/srv/venv", "/srv/web", "/usr/lib/python3.13"]
    for line in engine("podman", "run", "--rm", "--entrypoint", inside[0], image, *inside[1:]).splitlines():
        size, path = line.split()
        print(f"  {path}: {int(size) / 1000:.1f} MB")
    print(f"  added: {added:.1f} MB")
    assert added < 60
    assert details["User"] == "10001:10001"
    assert details["Config"]["ExposedPorts"] == {f"{SETTINGS.container_port}/tcp": {}}
    assert details["Config"]["StopSignal"] == "SIGTERM"
    assert details["Labels"]["org.opencontainers.image.version"] == "1.2"
    assert details["Labels"]["org.opencontainers.image.revision"] == "abc"
    assert details["Healthcheck"]["Test"][-1] == "health"


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_image_build_makes_an_image_that_serves(
    name: str, engine: Engine, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `scaleout-cfn image build` calls; docker's turn is in tests/local/test_buildspec.py."""
    root, run = engine.folder / "root", engine.folder / "run"
    storage = f'[storage]\ndriver = "{engine.driver}"\ngraphroot = "{root}"\nrunroot = "{run}"\n'
    (engine.folder / "storage.conf").write_text(storage)
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", f"{engine.folder}/storage.conf")
    monkeypatch.setenv("CONTAINERS_CONF", engine.environment["CONTAINERS_CONF"])
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    source = Source(WEBAPP, "linux/amd64", ("--pull=never", *secrets(engine)))
    said: list[Message] = []
    built = delivery.build(source, "web", name, said.append, lambda: Builder(name, shutil.which(name) or ""))
    assert built.new and not delivery.build(source, "web", name, said.append, lambda: built.builder).new
    port = free_port()
    container = engine.run(f"localhost/{built.name}", port, NO_DRAIN)
    try:
        eventually(lambda: serves(port), "a healthy container", 30)
        assert engine.stop(container) == 0
    finally:
        engine("podman", "rm", "--force", "--ignore", "--time", "0", container)


def test_there_is_no_compiler_no_pip_and_no_secret_of_the_build_in_it(engine: Engine, image: str) -> None:
    look = "for tool in cc gcc g++ ld make pip pip3 curl wget; do command -v $tool; done; ls -d /run/extra-ca.crt"
    found = engine("podman", "run", "--rm", "--entrypoint", "bash", image, "-c", f"{look} /etc/pip.conf; true")
    assert found == ""
    assert "GET" not in engine("podman", "run", "--rm", "--entrypoint", "env", image)


def test_it_serves_without_rights_on_a_read_only_root(engine: Engine, container: Any) -> None:
    name, port = container(NO_DRAIN)
    assert ask(port, "/").status == 200 and len(ask(port, "/api").json()) == 52
    assert ask(port, "/api?count=x").status == 400 and ask(port, "/none").status == 404
    assert engine("podman", "exec", name, "id", "-u").strip() == "10001"
    assert "Read-only" in engine("podman", "exec", name, "sh", "-c", "touch /srv/x /etc/x 2>&1; true")
    status = engine("podman", "exec", name, "cat", "/proc/1/status")
    assert re.search(r"CapEff:\s+0+$", status, re.M) and re.search(r"NoNewPrivs:\s+1$", status, re.M)
    engine("podman", "exec", name, "/srv/venv/bin/python", "/srv/web/entry.py", "health")
    assert engine.stop(name) == 0


def test_a_command_runs_in_the_place_of_the_server_with_its_packages(engine: Engine, image: str) -> None:
    words = ["python", "-c", "import flask, os; print(os.getcwd())"]
    assert engine("podman", "run", "--rm", "--read-only", "--tmpfs=/tmp", image, *words) == "/srv/web\n"


def test_its_log_is_json_on_stdout(engine: Engine, container: Any) -> None:
    name, port = container(NO_DRAIN)
    ask(port, "/api", headers={"X-Amzn-Trace-Id": "Root=1-a"})
    assert engine.stop(name) == 0
    lines = [line for line in engine("podman", "logs", name).splitlines() if line.startswith("{")]
    assert [json.loads(line)["trace"] for line in lines] == ["Root=1-a"]


def test_it_reaps_what_others_leave_behind(engine: Engine, container: Any) -> None:
    name, _ = container()
    engine("podman", "exec", name, "sh", "-c", "(sh -c 'exit 3' &)")

    def zombies() -> str:
        return engine("podman", "exec", name, "sh", "-c", "grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null; true")

    eventually(lambda: zombies() == "", "no dead process left", 5)


def test_workers_follow_the_cpu_quota_and_their_memory_is_stated(engine: Engine, container: Any) -> None:
    name, port = container("--cpus", "0.5")
    for _ in range(200):
        ask(port, "/api")
    found = engine("podman", "exec", name, "sh", "-c", "cat /proc/[0-9]*/comm").split()
    assert found.count("nginx") == 2 and found.count("python") == 1 + 1 + 2  # entry point, master, workers
    resident = engine("podman", "exec", name, "sh", "-c", "grep -H VmRSS /proc/[0-9]*/status")
    print("\nresident memory, KiB:", " ".join(re.findall(r"(\d+) kB", resident)))


def test_started_again_after_a_forced_end_it_serves(engine: Engine, container: Any) -> None:
    name, port = container(NO_DRAIN)
    engine("podman", "kill", "--signal", "KILL", name)
    engine("podman", "wait", name)
    engine("podman", "start", name)
    eventually(lambda: serves(port), "a healthy container", 30)
    assert engine.stop(name) == 0


BALANCER = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    keepalive_requests 10000000;
    upstream a {{ server 127.0.0.1:{a}; keepalive 32; keepalive_requests 10000000; }}
    upstream b {{ server 127.0.0.1:{b}; keepalive 32; keepalive_requests 10000000; }}
    split_clients $request_id $first {{ 50% a; * b; }}
    map $first $second {{ a b; b a; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            set $target $first;
            if (!-f {folder}/up-$target) {{ set $target $second; }}
            proxy_pass http://$target; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_next_upstream off;
        }}
    }}
}}
"""


class HealthChecks(threading.Thread):
    """Marks a target up after two good answers in a row and down after two bad ones, as the load balancer does."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.folder, self.ports, self.over = folder, ports, threading.Event()
        self.seen = {target: [False, False] for target in ports}

    def run(self) -> None:
        while not self.over.wait(0.5):
            for target, port in self.ports.items():
                self.seen[target] = [self.seen[target][1], serves(port)]
                if all(self.seen[target]):
                    (self.folder / f"up-{target}").touch()
                elif not any(self.seen[target]):
                    (self.folder / f"up-{target}").unlink(missing_ok=True)


def test_no_request_fails_while_containers_are_replaced_one_by_one(
    engine: Engine, image: str, container: Any, tmp_path: Path
) -> None:
    """The balancer does not try again elsewhere: what a target loses is lost."""
    need("nginx", "wrk")
    names, ports = {}, {}
    for target in ("a", "b"):
        names[target], ports[target] = container()
    port = free_port()
    (tmp_path / "nginx.conf").write_text(
        BALANCER.format(folder=tmp_path, port=port, user="user root;" if os.geteuid() == 0 else "", **ports)
    )
    checks = HealthChecks(tmp_path, ports)
    checks.start()
    balancer = subprocess.Popen(["nginx", "-e", "stderr", "-c", tmp_path / "nginx.conf"])
    try:
        eventually(lambda: all((tmp_path / f"up-{target}").exists() for target in ports), "two healthy targets")
        load = subprocess.Popen(
            ["wrk", "-t1", "-c16", "-d90s", "--timeout", "10s", f"http://127.0.0.1:{port}/api"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for target in ports:
            assert engine.stop(names[target]) == 0
            assert not (tmp_path / f"up-{target}").exists()
            names[target] = engine.run(image, ports[target])
            eventually((tmp_path / f"up-{target}").exists, "the new one healthy", 30)
        load.send_signal(signal.SIGINT)
        printed = load.communicate(timeout=30)[0]
    finally:
        checks.over.set()
        checks.join()
        balancer.terminate()
        balancer.wait()
    answers = int(re.search(r"(\d+) requests in", printed)[1])  # type: ignore[index]
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    cut = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", printed)
    failed = (int(refused[1]) if refused else 0) + (sum(map(int, cut.groups())) if cut else 0)
    print(f"\nreplaced both containers: {failed} of {answers} requests failed")
    assert answers > 1000 and failed == 0, printed


def test_the_image_goes_to_a_registry_with_a_password_and_comes_back_by_digest(
    engine: Engine, image: str, tmp_path: Path
) -> None:
    need("docker-registry", "htpasswd")
    port, folder = free_port(), tmp_path
    secret = "0123-token"
    users = command("htpasswd", "-Bin", "AWS", input=secret)
    (folder / "users").write_text(users)
    (folder / "config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
        f"auth: {{htpasswd: {{realm: local, path: {folder}/users}}}}\nlog: {{level: error}}\n"
    )
    registry = subprocess.Popen(
        ["docker-registry", "serve", folder / "config.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: answers(port), "a registry")
        login = ["login", "--tls-verify=false", "--authfile", f"{folder}/auth.json", "--username", "AWS"]
        with pytest.raises(AssertionError, match=r"invalid username/password|unauthorized"):
            engine("podman", *login, "--password-stdin", f"127.0.0.1:{port}", input="wrong")
        engine("podman", *login, "--password-stdin", f"127.0.0.1:{port}", input=secret)
        there = f"127.0.0.1:{port}/web"
        with_login = ["--tls-verify=false", "--authfile", f"{folder}/auth.json"]
        engine("podman", "push", *with_login, "--digestfile", folder / "digest", image, f"{there}:1")
        digest = (folder / "digest").read_text().strip()
        assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
        first = json.loads(engine("podman", "image", "inspect", image))[0]["Id"]
        engine("podman", "pull", "--quiet", *with_login, f"{there}@{digest}")
        assert json.loads(engine("podman", "image", "inspect", f"{there}@{digest}"))[0]["Id"] == first
    finally:
        registry.terminate()
        registry.wait()


def answers(port: int) -> bool:
    try:
        return ask(port, "/v2/").status == 401
    except OSError:
        return False

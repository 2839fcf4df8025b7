"""A real builder and a real registry on 127.0.0.1 that asks for a password, as ECR does. Skipped where they are not
installed: `apt-get install buildah podman docker.io docker-registry apache2-utils`."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from dockerd import DOCKER, docker_engine

from scaleout_cfn.image.builder import Builder, BuilderError

from .helpers import folder, need

PASSWORD = "a-token-of-ecr"


@dataclass(frozen=True)
class Place:
    """A registry and a builder. `config` is the user's own file with passwords."""

    host: str
    builder: Builder
    home: Path

    def get(self, path: str, password: str = PASSWORD) -> tuple[bytes, str]:
        """What the registry answers, and the digest that it says it has."""
        accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
        entry = base64.b64encode(f"AWS:{password}".encode()).decode()
        request = urllib.request.Request(
            f"http://{self.host}/v2/{path}", headers={"Authorization": f"Basic {entry}", "Accept": accept}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return answer.read(), answer.headers.get("Docker-Content-Digest", "")


@pytest.fixture(scope="module", params=["buildah", "podman", "docker"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    need("dockerd" if request.param == "docker" else request.param, "docker-registry", "htpasswd")
    if os.geteuid() != 0:
        pytest.skip("storage of its own wants root here")
    home = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        path = shutil.which(request.param) or ""
        if request.param == "docker":
            path = DOCKER
            patch.setenv("DOCKER_HOST", stack.enter_context(docker_engine()))
        storage = f'[storage]\ndriver = "vfs"\ngraphroot = "{home}/root"\nrunroot = "{home}/run"\n'
        (home / "storage.conf").write_text(storage)
        patch.setenv("CONTAINERS_STORAGE_CONF", str(home / "storage.conf"))
        patch.setenv("XDG_RUNTIME_DIR", str(home))
        patch.setenv("HOME", str(home))
        patch.setattr("tempfile.tempdir", str(home))
        words = subprocess.run(["htpasswd", "-Bbn", "AWS", PASSWORD], capture_output=True, check=True, text=True)
        (home / "htpasswd").write_text(words.stdout)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{listener.getsockname()[1]}"
        config = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": f"{home}/registry"}},
            "http": {"addr": host},
            "auth": {"htpasswd": {"realm": "here", "path": f"{home}/htpasswd"}},
        }
        (home / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        process = subprocess.Popen(
            ["docker-registry", "serve", str(home / "config.yml")],
            stdout=subprocess.DEVNULL,
            stderr=(home / "log").open("w"),
        )
        try:
            made = Place(host, Builder(request.param, path), home)
            _await(made)
            yield made
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(home / "root", ignore_errors=True)


def _await(place: Place) -> None:
    for _ in range(200):
        try:
            place.get("")
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail("the registry does not start: " + (place.home / "log").read_text())


def build(place: Place, tag: str, platform: str = "linux/amd64") -> str:
    name = f"web:{tag}"
    app = folder(place.home, {"word": tag}, f"app-{tag}")
    place.builder.build(app, name, platform, ("--no-cache",), lambda _: None)
    assert place.builder.platform_of(name) == platform
    return name


def test_an_image_is_pushed_with_a_password_and_can_be_pulled_by_its_digest(place: Place) -> None:
    name, said = build(place, "one"), list[str]()
    place.builder.push(name, f"{place.host}/some/web:one", PASSWORD, said.append, plain=True)
    manifest, digest = place.get("some/web/manifests/one")
    assert place.get(f"some/web/manifests/{digest}")[0] == manifest
    details = json.loads(manifest)
    config = json.loads(place.get(f"some/web/blobs/{details['config']['digest']}")[0])
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    for layer in details["layers"]:
        assert place.get(f"some/web/blobs/{layer['digest']}")[0]
    assert not any(PASSWORD in line for line in said)


def test_the_same_again_is_harmless_and_the_digest_stays(place: Place) -> None:
    name = build(place, "again")
    digests = set()
    for _ in range(2):
        place.builder.push(name, f"{place.host}/some/web:again", PASSWORD, lambda _: None, plain=True)
        digests.add(place.get("some/web/manifests/again")[1])
    assert len(digests) == 1


def test_an_image_for_the_other_architecture_says_so(place: Place) -> None:
    build(place, "arm", "linux/arm64")


def test_a_wrong_password_is_refused_with_a_reason(place: Place) -> None:
    name = build(place, "refused")
    with pytest.raises(BuilderError, match="cannot log in"):
        place.builder.push(name, f"{place.host}/some/web:refused", "wrong", lambda _: None, plain=True)
    with pytest.raises(urllib.error.HTTPError):
        place.get("some/web/manifests/refused")


def test_nothing_of_the_password_is_left_on_the_disk(place: Place) -> None:
    name = build(place, "traces")
    place.builder.push(name, f"{place.host}/some/web:traces", PASSWORD, lambda _: None, plain=True)
    entry = base64.b64encode(f"AWS:{PASSWORD}".encode())
    kept = [path for path in place.home.rglob("*") if path.is_file() and "registry" not in path.parts]
    for path in kept:
        assert not any(trace in path.read_bytes() for trace in (PASSWORD.encode(), entry)), path
    assert not list(place.home.glob("scaleout-cfn-*"))


def test_an_image_that_is_not_here_is_of_no_platform(place: Place) -> None:
    assert place.builder.platform_of("web:none") == ""

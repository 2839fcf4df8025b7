"""The pipeline's buildspecs, run for real as far as they go without AWS.

CodeBuild's part is played by bash, with the environment that the projects have in the emulator, the real AWS command
line and a real Docker engine. It builds the sample, pushes it to the emulator's registry under its real name and behind
a password, and deploys it through CloudFormation. Skipped where something is missing, with the reason.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from debian import make_base
from dockerd import DOCKER, docker_engine
from image.helpers import need
from webapp.helpers import WEBAPP, eventually, free_port, serves

import scaleout_cfn
from scaleout_cfn.config import SourcePipeline
from scaleout_cfn.local import Emulator

from . import helpers
from .helpers import Account
from .test_pipeline import AWS, KINDS, config, created
from .test_service_set import running_image

#: What the emulator's GetAuthorizationToken gives.
PASSWORD = "ministack-auth-token"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GATE = """
daemon off; pid {folder}/pid; error_log stderr; {user}
events {{ }}
http {{
    access_log off; client_max_body_size 0; proxy_request_buffering off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen {address}:443 ssl; ssl_certificate {folder}/certificate; ssl_certificate_key {folder}/key;
        auth_basic ECR; auth_basic_user_file {folder}/users;
        location / {{ proxy_pass {endpoint_url}; proxy_set_header Host $host; proxy_http_version 1.1; }}
    }}
}}
"""


@dataclass
class CodeBuild:
    """An account with a set in it, and what CodeBuild's container has: sources, docker and aws."""

    account: Account
    docker_host: str
    home: Path

    @property
    def registry(self) -> str:
        return f"{self.account.number}.dkr.ecr.{self.account.emulator.region}.amazonaws.com"

    @property
    def environment(self) -> dict[str, str]:
        assert AWS is not None
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DOCKER"))},
            **self.account.environment(),
            "PATH": os.pathsep.join((str(self.home / "bin"), str(Path(AWS).parent), os.environ["PATH"])),
            "HOME": str(self.home),
            "DOCKER_HOST": self.docker_host,
        }

    def docker(self, *words: str | Path, **options: Any) -> str:
        command = ["docker", *map(str, words)]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=300, check=False, **options
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return str(done.stdout)

    def run(self, title: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A project's build: all commands of the phase in one shell, until one fails."""
        client = self.account.client("codebuild")
        projects = client.batch_get_projects(names=client.list_projects()["projects"])["projects"]
        (project,) = [one for one in projects if f"-{title}-" in one["name"] or one["name"].endswith(title)]
        given = {one["name"]: one["value"] for one in project["environment"]["environmentVariables"]}
        buildspec = yaml.safe_load(project["source"]["buildspec"])
        steps = [f"{command}\n[[ $? == 0 ]] || exit 1\n" for command in buildspec["phases"]["build"]["commands"]]
        exports = [f'echo "exported {name}=${name}"\n' for name in buildspec["env"].get("exported-variables", [])]
        return subprocess.run(
            # The emulator takes milliseconds for what the scripts wait ten seconds for.
            ["bash", "-c", "".join(["sleep() { :; }\n", *steps, *exports])],
            env={**self.environment, **given, **variables},
            cwd=self.home / "source",
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def let_in(self, password: str) -> None:
        """The password that the registry takes from now on."""
        words = subprocess.run(["htpasswd", "-Bbn", "AWS", password], capture_output=True, check=True, text=True)
        (self.home / "users").write_text(words.stdout)

    def tags(self) -> list[str]:
        details = self.account.client("ecr").describe_images(repositoryName=self.repository)["imageDetails"]
        return sorted(tag for one in details for tag in one["imageTags"])

    @property
    def repository(self) -> str:
        return helpers.outputs(helpers.described(self.account, "web"))["WebRepositoryUri"].partition("/")[2]


@pytest.fixture(scope="module")
def codebuild(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeBuild]:
    need("dockerd", "nginx", "htpasswd", "mmdebstrap", "openssl", "unshare")
    if os.geteuid() != 0 or AWS is None:
        pytest.skip("needs root, and the AWS command line")
    home = tmp_path_factory.mktemp("codebuild")
    account = Account(emulator)
    # An address of the loopback network that is ours alone, for a registry's port is 443.
    address = f"127.77.{os.getpid() % 250 + 1}.1"
    build = CodeBuild(account, "", home)
    build.let_in(PASSWORD)
    subject = ["-subj", "/CN=here", "-addext", f"subjectAltName=DNS:{build.registry}"]
    files = ["-keyout", str(home / "key"), "-out", str(home / "certificate")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files]
    subprocess.run(command, capture_output=True, check=True)
    (home / "nginx.conf").write_text(
        GATE.format(folder=home, address=address, user="user root;", endpoint_url=emulator.endpoint_url)
    )
    gate = subprocess.Popen(["nginx", "-e", "stderr", "-c", str(home / "nginx.conf")], stderr=(home / "log").open("w"))
    try:
        eventually(lambda: gate_is_shut(address), "a registry that asks for a password")
        with docker_engine({build.registry: address}, home / "certificate") as build.docker_host:
            put_docker(home)
            put_sources(build)
            yield build
    finally:
        gate.terminate()
        gate.wait()


def gate_is_shut(address: str) -> bool:
    with suppress(urllib.error.URLError):
        try:
            urllib.request.urlopen(f"https://{address}/v2/", timeout=5, context=ssl._create_unverified_context())
        except urllib.error.HTTPError as error:
            return error.code == 401
    return False


def put_docker(home: Path) -> None:
    """Debian's docker, which here builds on the host's network, and with the authority that this network may have."""
    options = ["--network", "host"]
    if authority := os.environ.get("PIP_CERT"):
        (home / "pip.conf").write_text("[global]\ncert = /run/extra-ca.crt\n")
        options += ["--secret", f"id=pip_conf,src={home}/pip.conf", "--secret", f"id=extra_ca,src={authority}"]
    (home / "bin").mkdir()
    path = home / "bin" / "docker"
    path.write_text(
        f'#!/bin/sh\n[ "$1" != build ] || {{ shift; set -- build {" ".join(options)} "$@"; }}\nexec {DOCKER} "$@"\n'
    )
    path.chmod(0o755)


def put_sources(build: CodeBuild) -> None:
    """The set, and the sample on a base that is in the account's registry."""
    source = KINDS["source"]
    assert isinstance(source, SourcePipeline)
    created(build.account, config(msgspec.structs.replace(source, context="app")))
    base = f"{build.registry}/base:trixie"
    tar = build.home / "debian.tar"
    make_base(tar)
    build.account.client("ecr").create_repository(repositoryName="base")
    build.docker("import", "--change", 'CMD ["bash"]', tar, base)
    tar.unlink()
    build.docker("login", "--username", "AWS", "--password-stdin", build.registry, input=PASSWORD)
    build.docker("push", base)
    build.docker("logout", build.registry)
    shutil.copytree(WEBAPP, build.home / "source" / "app")
    dockerfile = build.home / "source" / "app" / "Dockerfile"
    dockerfile.write_text(re.sub("^ARG BASE_IMAGE=.*$", f"ARG BASE_IMAGE={base}", dockerfile.read_text(), flags=re.M))


def test_the_sample_is_built_pushed_and_deployed_by_its_digest(codebuild: CodeBuild) -> None:
    built = codebuild.run("Build", COMMIT=COMMIT, CODEBUILD_BUILD_NUMBER="7")
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    assert PASSWORD not in built.stdout + built.stderr
    assert codebuild.tags() == ["0123456789ab-7"]
    found = re.search(r"^exported IMAGE_DIGEST=(sha256:[0-9a-f]{64})$", built.stdout, re.M)
    assert found, built.stdout
    uri = f"{codebuild.registry}/{codebuild.repository}@{found[1]}"

    deployed = codebuild.run("Deploy", IMAGE_DIGEST=found[1])
    assert deployed.returncode == 0, deployed.stdout[-3000:] + deployed.stderr[-3000:]
    assert running_image(codebuild.account) == uri

    # What is deployed is what comes back from the registry, and it serves.
    codebuild.docker("pull", "--quiet", uri)
    ecr = codebuild.account.client("ecr")
    assert len(ecr.list_images(repositoryName=codebuild.repository)["imageIds"]) == 1
    details = json.loads(codebuild.docker("image", "inspect", uri))[0]
    assert (details["Os"], details["Architecture"]) == ("linux", "amd64")
    port = free_port()
    options = ["--network=host", "--read-only", "--tmpfs=/tmp", f"--env=LISTEN=127.0.0.1:{port}", "--cap-drop=all"]
    name = codebuild.docker("run", "--detach", *options, uri).strip()
    try:
        eventually(lambda: serves(port), "a healthy container")
        codebuild.docker("stop", name)
        assert codebuild.docker("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    finally:
        codebuild.docker("rm", "--force", name)


def test_image_build_takes_docker_and_makes_the_sample(codebuild: CodeBuild) -> None:
    command = [sys.executable, "-m", "scaleout_cfn", "image", "build", "app", "--tag", "1", "--json"]
    environment = {**codebuild.environment, "PYTHONPATH": str(Path(scaleout_cfn.__file__).parents[1])}
    # Debian's docker, and no other builder behind it.
    environment["PATH"] = str(codebuild.home / "bin")
    codebuild.docker("login", "--username", "AWS", "--password-stdin", codebuild.registry, input=PASSWORD)
    done = subprocess.run(
        command,
        env=environment,
        cwd=codebuild.home / "source",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["outputs"] == {"LocalImage": "web:1"}
    assert json.loads(codebuild.docker("image", "inspect", "web:1"))[0]["Config"]["User"] == "10001:10001"
    print(codebuild.docker("history", "web:1"))


def test_a_build_whose_password_is_refused_pushes_nothing(codebuild: CodeBuild) -> None:
    before = codebuild.tags()
    codebuild.let_in("another")
    try:
        done = codebuild.run("Build", COMMIT=COMMIT, CODEBUILD_BUILD_NUMBER="8")
    finally:
        codebuild.let_in(PASSWORD)
    assert done.returncode == 1
    assert "Login Succeeded" not in done.stdout and "load build definition" not in done.stderr
    assert "exported" not in done.stdout and codebuild.tags() == before


def test_a_dockerfile_that_does_not_build_pushes_nothing(codebuild: CodeBuild) -> None:
    before = codebuild.tags()
    (codebuild.home / "source" / "broken").mkdir()
    (codebuild.home / "source" / "broken" / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
    done = codebuild.run("Build", COMMIT=COMMIT, CODEBUILD_BUILD_NUMBER="9", CONTEXT="broken")
    assert done.returncode == 1
    assert "nothing" in done.stderr
    assert "exported" not in done.stdout and codebuild.tags() == before

"""The program that builds and pushes: docker, podman, buildah or finch, whichever works first.

Its output goes to `say`, line by line. A password goes to its standard input, and is in no argument, no output, and no
file that outlives the push.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from scaleout_cfn.errors import DeployError, Next, UsageError
from scaleout_cfn.local.containers.engine import first_that_answers

Say: TypeAlias = Callable[[str], None]

NAMES = ("docker", "podman", "buildah", "finch")
#: They share code and options; docker and finch share others.
OF_PODMAN = ("podman", "buildah")
#: https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
USER = "AWS"
LAST_LINES = 20
#: A Dockerfile may mount secrets, which docker's old builder cannot. Attestations hold times: without them the same
#: image has the same digest, and is one manifest.
ENVIRONMENT = {"DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


class BuilderError(DeployError):
    """A builder that ended with an error. `lines` are the last that it wrote."""

    exit_code = 2

    def __init__(self, what: str, lines: Sequence[str], *, state: str = "", next: Next | None = None) -> None:
        self.lines = tuple(lines)
        last = ([line.strip() for line in lines if line.strip()] or ["it wrote nothing"])[-1]
        super().__init__(f"{what}: {last}", state=state, next=next)


def find() -> Builder:
    """The first builder on PATH that works. Raises UsageError with what is wrong with each."""
    name, path, _, tried = first_that_answers(dict.fromkeys(NAMES, ("version",)))
    if not path:
        raise UsageError("nothing here builds images; install or start one of these\n  " + "\n  ".join(tried))
    return Builder(name, path)


@dataclass(frozen=True)
class Builder:
    """A builder by name and path."""

    name: str
    path: str

    def build(self, folder: Path, name: str, platform: str, arguments: Sequence[str], say: Say) -> None:
        """Build the Dockerfile of a folder. Raises BuilderError."""
        command = ["build", "--platform", platform, "--tag", name, *arguments, str(folder)]
        self._run(command, f"{self.name} cannot build {folder}", say)

    def platform_of(self, name: str) -> str:
        """`linux/amd64` of an image that is here; empty where there is none of that name."""
        command = ["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", name]
        if self.name == "buildah":
            command = ["inspect", "--type", "image", "--format", "{{.OCIv1.OS}}/{{.OCIv1.Architecture}}", name]
        done = subprocess.run(
            [self.path, *command], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    def push(self, name: str, remote: str, password: str, say: Say, *, plain: bool = False) -> None:
        """Push an image that is here to `HOST/REPOSITORY:TAG`. `plain` speaks HTTP. Raises BuilderError."""
        host = remote.partition("/")[0]
        insecure = ["--tls-verify=false"] if plain and self.name in OF_PODMAN else []
        # As it is, and as HTTP carries it.
        secrets = (password, base64.b64encode(f"{USER}:{password}".encode()).decode())
        with _own_config(host) as environment:
            try:
                login = ["login", "--username", USER, "--password-stdin", *insecure, host]
                self._run(login, f"{self.name} cannot log in to {host}", _unsaid, environment, secrets, given=password)
                self._run(["tag", name, remote], f"{self.name} cannot tag {name}", say, environment, secrets)
                self._run(["push", *insecure, remote], f"{self.name} cannot push", say, environment, secrets)
            finally:
                # The file goes with its folder. This is for a builder that kept the password elsewhere: in a key chain,
                # or in the machine that it runs in.
                with suppress(OSError, subprocess.SubprocessError):
                    subprocess.run(
                        [self.path, "logout", host],
                        stdin=subprocess.DEVNULL,
                        capture_output=True,
                        env=environment,
                        timeout=1,
                        check=False,
                    )

    def _run(
        self,
        command: Sequence[str],
        what: str,
        say: Say,
        environment: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        *,
        given: str = "",
    ) -> None:
        """Run it to its end, and take it along when we are ended. Secrets are hidden in all that it writes."""
        process = subprocess.Popen(
            [self.path, *command],
            stdin=subprocess.PIPE if given else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment or ENVIRONMENT | os.environ,
            encoding="utf-8",
            errors="replace",
        )
        last: deque[str] = deque(maxlen=LAST_LINES)
        try:
            if process.stdin:
                with suppress(BrokenPipeError):  # then it has ended, and says why
                    process.stdin.write(given)
                    process.stdin.close()
            assert process.stdout is not None
            for line in process.stdout:
                for secret in secrets:
                    line = line.replace(secret, "****")
                last.append(line.rstrip())
                say(last[-1])
            code = process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
        if code:
            raise BuilderError(f"{what} (exit code {code})", last)


def _unsaid(line: str) -> None:
    """What a login writes is of no interest, unless it fails."""


@contextmanager
def _own_config(host: str) -> Iterator[dict[str, str]]:
    """An environment in which a builder keeps its passwords in a file of ours, and then the file is gone.

    Docker's other settings stay the user's: without contexts and plug-ins it might not find its engine.
    """
    users = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    with tempfile.TemporaryDirectory(prefix="scaleout-cfn-") as folder:
        own = Path(folder)
        settings = {}
        with suppress(OSError, ValueError):
            settings = json.loads((users / "config.json").read_bytes())
        for name in ("auths", "credsStore", "credHelpers"):
            settings.pop(name, None)
        # With no entry at all docker would turn to the key chain of the system.
        (own / "config.json").write_bytes(json.dumps({**settings, "auths": {host: {}}}).encode())
        (own / "config.json").chmod(0o600)
        for name in ("contexts", "cli-plugins"):
            if (users / name).is_dir():
                try:
                    (own / name).symlink_to(users / name)
                except OSError:  # Windows lets not everybody make links
                    shutil.copytree(users / name, own / name)
        places = {"DOCKER_CONFIG": folder, "REGISTRY_AUTH_FILE": str(own / "config.json")}
        yield {**ENVIRONMENT, **os.environ, **places}

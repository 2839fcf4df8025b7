"""Which builder is taken, how it is called, and that a password is nowhere but in its standard input."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from scaleout_cfn.errors import UsageError
from scaleout_cfn.image.builder import NAMES, BuilderError, find

from .helpers import Fakes, fakes, folder

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
REMOTE = f"{HOST}/web:1"
PASSWORD = "eyJ-a-password-of-the-registry"


def test_the_first_that_works_is_taken_and_a_client_without_an_engine_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fakes(tmp_path, monkeypatch, "docker", "podman", "finch")
    assert find().name == "docker"
    made.plan(fail={"docker version": "Cannot connect to the Docker daemon"})
    assert find().name == "podman"


def test_where_nothing_builds_each_builder_is_named_with_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fakes(tmp_path, monkeypatch, "docker")
    made.plan(fail={"version": "Cannot connect to the Docker daemon"})
    with pytest.raises(UsageError) as error:
        find()
    said = str(error.value)
    assert "\n  docker: Cannot connect" in said and "install or start" in said
    assert all(f"\n  {name}: not installed" in said for name in NAMES if name != "docker")


@pytest.mark.parametrize("name", NAMES)
def test_it_builds_for_the_platform_and_says_which_it_got(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fakes(tmp_path, monkeypatch, name)
    app, said = folder(tmp_path), list[str]()
    builder = find()
    assert builder.platform_of("web:1") == ""
    builder.build(app, "web:1", "linux/arm64", ("--build-arg", "A=1"), said.append)
    wanted = ["build", "--platform", "linux/arm64", "--tag", "web:1", "--build-arg", "A=1", str(app)]
    assert made.argvs("build") == [wanted]
    assert said == ["step 1 of 1"]
    assert builder.platform_of("web:1") == "linux/arm64"


def pushed(made: Fakes, name: str) -> list[str]:
    builder, said = find(), list[str]()
    builder.build(folder(made.home), "web:1", "linux/amd64", (), said.append)
    made.forget()
    builder.push("web:1", REMOTE, PASSWORD, said.append)
    return said


@pytest.mark.parametrize("name", NAMES)
def test_the_password_is_in_its_standard_input_and_nowhere_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fakes(tmp_path, monkeypatch, name)
    made.plan(echo=True)
    said = pushed(made, name)
    verbs = [call["argv"][0] for call in made.calls]
    assert verbs == ["login", "tag", "push", "logout"]
    login, _, push, _ = made.calls
    assert login["stdin"] == PASSWORD
    assert login["argv"] == ["login", "--username", "AWS", "--password-stdin", HOST]
    assert push["argv"] == ["push", REMOTE]
    for call in made.calls:
        assert PASSWORD not in json.dumps([call["argv"], call["environment"]])
    assert login["mode"] == "0o600"
    # Nothing that the builder writes shows it, as it is or as HTTP carries it, and no file with it is left.
    carried = base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
    assert any("****" in line for line in said)
    assert not any(secret in line for line in said for secret in (PASSWORD, carried))
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "calls.jsonl"]
    assert not any(PASSWORD.encode() in path.read_bytes() for path in left)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_users_own_passwords_are_neither_seen_nor_changed_and_docker_finds_its_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fakes(tmp_path, monkeypatch, "docker")
    own = tmp_path / "user" / ".docker"
    (own / "contexts").mkdir(parents=True)
    text = json.dumps({"currentContext": "desktop", "credsStore": "keychain", "auths": {"elsewhere": {"auth": "mine"}}})
    (own / "config.json").write_text(text)
    pushed(made, "docker")
    login = made.calls[0]
    assert login["config"] == {"currentContext": "desktop", "auths": {HOST: {}}}
    assert "contexts" in login["folder"]
    assert (own / "config.json").read_text() == text
    assert login["environment"]["DOCKER_CONFIG"] == made.calls[2]["environment"]["DOCKER_CONFIG"]


@pytest.mark.parametrize("verb", ["login", "tag", "push"])
def test_a_push_that_fails_says_why_logs_out_and_leaves_nothing(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fakes(tmp_path, monkeypatch, "podman")
    made.plan(fail={verb: f"denied: {PASSWORD} has expired"})
    with pytest.raises(BuilderError) as error:
        pushed(made, "podman")
    assert "exit code 1" in str(error.value)
    assert PASSWORD not in str(error.value)
    assert made.argvs()[-1] == ["logout", HOST]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_plain_http_is_asked_for_only_where_it_has_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fakes(tmp_path, monkeypatch, "docker", "buildah")
    for name, insecure in (("docker", []), ("buildah", ["--tls-verify=false"])):
        made.plan(fail={} if name == "docker" else {"docker version": "no engine"})
        made.forget()
        builder = find()
        builder.build(folder(tmp_path, name=name), "web:1", "linux/amd64", (), print)
        builder.push("web:1", "127.0.0.1:5000/web:1", PASSWORD, print, plain=True)
        assert made.argvs("push") == [["push", *insecure, "127.0.0.1:5000/web:1"]]


def test_a_build_that_fails_is_told_with_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fakes(tmp_path, monkeypatch, "podman")
    made.plan(fail={"build": "Error: no such package: flsk"})
    with pytest.raises(BuilderError, match=r"podman cannot build .*app \(exit code 1\): Error: no such package"):
        find().build(folder(tmp_path), "web:1", "linux/amd64", (), print)

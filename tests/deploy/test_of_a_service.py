"""Commands of one service of three, against the emulator: named, left out, and called wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from scaleout_cfn.local import running

from .test_local import THREE, Shell


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user whose set of three services runs."""
    home = tmp_path_factory.mktemp("home")
    (home / "scaleout.toml").write_text(THREE)
    with running() as emulator:
        (home / "scaleout-cfn").mkdir()
        (home / "scaleout-cfn" / "local.json").write_text(json.dumps({"endpoint_url": emulator.endpoint_url}))
        shell = Shell(home)
        done = shell.run("deploy", "--local", "--yes")
        assert done.code == 0, done.err
        yield shell


@pytest.mark.parametrize("command", ["alarms", "diagnose", "events", "logs", "outputs", "rollout", "status"])
def test_a_service_that_is_not_there_is_refused_with_those_that_are_and_nothing_is_shown(
    three: Shell, command: str
) -> None:
    done = three.run(command, "--local", "--service", "blog")
    assert (done.code, done.out) == (2, "")
    assert "--service blog" in done.err
    assert "api, mailer, web" in done.err


@pytest.mark.parametrize("command", ["diagnose", "events", "rollout", "status"])
def test_a_command_shows_the_service_that_is_named_or_all(three: Shell, command: str) -> None:
    titles = {"api": "Api", "mailer": "Mailer", "web": "Web"}

    def shown(*options: str) -> set[str]:
        done = three.run(command, "--local", *options)
        assert done.code == 0, done.err
        said = done.out + done.err
        return {name for name, title in titles.items() if f"{name}  ECS" in said or f"{title}Service" in said}

    assert shown() == {*titles}
    assert shown("--service", "mailer") == {"mailer"}


def test_the_next_command_is_of_the_same_service(three: Shell) -> None:
    assert "rollout --local --service mailer" in three.run("logs", "--local", "--service", "mailer").err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--build",), "--build: several services have an image of their own, api, web; say which by --build NAME=..."),
        (("--build", "blog="), "--build: no service is called blog; there is api, mailer, web"),
        (("--build", "mailer"), "--build: mailer runs the image of web; name that one"),
        (("--build", "web", "--build", "web=there"), "--build web=there: web is built already"),
        (("--build", "web", "--image", "web=v1"), "--image web=v1: web is built, too; give one of the two"),
        (("--image", "blog=v1"), "--image: no service is called blog; there is api, mailer, web"),
        (("--image", "v1"), "say which by --image NAME=..."),
    ],
)
def test_of_several_services_it_is_said_whose_image_is_meant(three: Shell, options: tuple[str, ...], said: str) -> None:
    done = three.run("deploy", "--local", "--yes", *options)
    assert done.code == 2
    assert said in done.err

"""What is there already is not built and not pushed again, and what an image stands for is its digest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from deploy.cloudformation import Refused
from deploy.world import World

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.live import Live
from scaleout_cfn.deploy.messages import Message
from scaleout_cfn.errors import DeployError, UsageError
from scaleout_cfn.image import delivery
from scaleout_cfn.image.delivery import Repository, Source

from .helpers import Fakes, fakes, folder, told

URI = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web"
PLACE = Repository(URI, URI.partition("/")[0])
DIGEST = "sha256:" + "1" * 64
#: base64 of AWS:fresh-password
TOKEN = "QVdTOmZyZXNoLXBhc3N3b3Jk"


@dataclass
class Registry(World):
    """An account with one repository: tag to digest. A push of the fake shows after `late` reads."""

    tags: dict[str, str] = field(default_factory=dict)
    home: Path = Path()
    late: int = 0
    gone: bool = False
    silent: bool = False

    def ecr_GetAuthorizationToken(self) -> dict[str, Any]:
        return {"authorizationData": [{"authorizationToken": TOKEN, "expiresAt": self.now}]}

    def ecr_DescribeImages(
        self, repositoryName: str, registryId: str, imageIds: list[dict[str, str]] | None = None, nextToken: str = "0"
    ) -> dict[str, Any]:
        assert (registryId, repositoryName) == ("123456789012", "web")
        if self.gone:
            raise Refused("RepositoryNotFoundException", "The repository with name 'web' does not exist")
        shown = dict(self.tags)
        for argv in Fakes(self.home).argvs("push"):
            if self.late:
                self.late -= 1
            else:
                shown.setdefault(argv[-1].rpartition(":")[2], DIGEST)
        details: list[dict[str, Any]] = [
            {"imageDigest": digest, "imageTags": [tag], "imageSizeInBytes": 7, "imagePushedAt": self.now}
            for tag, digest in sorted(shown.items())
        ]
        if imageIds is None:  # one a page
            number = int(nextToken)
            more = {"nextToken": str(number + 1)} if number + 1 < len(details) else {}
            return {"imageDetails": details[number : number + 1], **more}
        (wanted,) = imageIds
        found = [
            one
            for one in details
            if wanted.get("imageTag") in one["imageTags"] or wanted.get("imageDigest") == one["imageDigest"]
        ]
        if not found and not self.silent:
            raise Refused("ImageNotFoundException", "The image requested does not exist")
        return {"imageDetails": found}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    return fakes(tmp_path, monkeypatch, "podman")


def source(made: Fakes, platform: str = "linux/amd64") -> Source:
    return Source(folder(made.home), platform)


def built(made: Fakes, said: list[Message]) -> delivery.Built:
    one = source(made)
    return delivery.build(one, "Web", one.tag, said.append)


def test_a_folder_is_built_once_under_the_stacks_name(made: Fakes) -> None:
    said: list[Message] = []
    first, second = built(made, said), built(made, said)
    assert (first.new, second.new) == (True, False)
    assert first.name == f"web:{first.tag}" == second.name  # a name of an image is in small letters
    assert len(made.argvs("build")) == 1
    assert "is built already" in told(said)


def test_an_image_of_another_platform_is_refused_with_the_cure(made: Fakes) -> None:
    made.plan(platform=["linux/arm64"])
    with pytest.raises(UsageError, match=r"it is for linux/arm64, and the service runs on linux/amd64.*--platform"):
        built(made, [])
    assert [argv[-2:-1] == ["--no-cache"] for argv in made.argvs("build")] == [False, True]


def test_a_layer_of_another_platform_from_the_cache_is_made_anew(made: Fakes) -> None:
    made.plan(platform=["linux/arm64", "linux/amd64"])
    said: list[Message] = []
    assert built(made, said).new
    assert "without the builder's cache" in told(said)


def test_what_is_pushed_is_known_by_the_digest_that_the_repository_shows(made: Fakes) -> None:
    world, said = Registry(home=made.home, late=2), list[Message]()
    one = built(made, said)
    image = delivery.push(world.aws(), PLACE, one, said.append)
    assert image.digest == DIGEST
    assert made.argvs("push") == [["push", f"{URI}:{one.tag}"]]
    assert made.calls[-4]["stdin"] == "fresh-password"
    assert "fresh-password" not in told(said) and TOKEN not in told(said)


def test_a_tag_that_is_there_is_not_pushed_again_and_needs_no_password(made: Fakes) -> None:
    said: list[Message] = []
    one = built(made, said)
    world = Registry(home=made.home, tags={one.tag: "sha256:" + "2" * 64})
    assert delivery.push(world.aws(), PLACE, one, said.append).digest.endswith("2")
    assert made.argvs("login") == []
    assert world.sent("GetAuthorizationToken") == []


def test_a_push_that_somebody_else_won_is_settled_by_reading(made: Fakes) -> None:
    made.plan(fail={"push": "tag invalid: the image tag already exists and cannot be overwritten"})
    said: list[Message] = []
    assert delivery.push(Registry(home=made.home).aws(), PLACE, built(made, said), said.append).digest == DIGEST
    assert "is there" in told(said)


def test_a_push_that_fails_says_what_runs_and_what_to_do(made: Fakes) -> None:
    made.plan(fail={"push": "connection reset by peer"})
    world = Registry(home=made.home, late=99)
    with pytest.raises(DeployError, match="connection reset by peer") as error:
        delivery.push(world.aws(), PLACE, built(made, []), lambda _: None)
    assert error.value.exit_code == 1
    assert "what runs is as it was" in error.value.state and "same command again" in command_line(error.value.next)


def test_an_image_that_ecr_never_shows_is_not_waited_for_without_end(made: Fakes) -> None:
    with pytest.raises(DeployError, match="ECR does not show it"):
        delivery.push(Registry(home=made.home, late=99).aws(), PLACE, built(made, []), lambda _: None)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("v1", True),
        ("0123456789abcdef", True),
        (DIGEST, True),
        ("sha256:12", True),
        ("nginx:1.29", False),
        ("docker.io/library/nginx", False),
        (f"{URI}@{DIGEST}", False),
    ],
)
def test_a_tag_or_digest_alone_is_of_the_stacks_repository(text: str, short: bool) -> None:
    assert delivery.is_short(text) == short


@pytest.mark.parametrize("silent", [False, True])
def test_a_tag_and_a_digest_become_a_pinned_uri_or_are_told_to_be_missing(silent: bool) -> None:
    aws = Registry(tags={"v1": DIGEST}, silent=silent).aws()
    assert delivery.pinned_uri(aws, PLACE, "v1") == f"{URI}@{DIGEST}"
    assert delivery.pinned_uri(aws, PLACE, DIGEST) == f"{URI}@{DIGEST}"
    for missing in ("v2", "sha256:" + "3" * 64):
        with pytest.raises(UsageError, match="there is none in ") as refusal:
            delivery.pinned_uri(aws, PLACE, missing)
        assert command_line(refusal.value.next).startswith("scaleout-cfn image list")


def test_a_cut_off_digest_is_told_without_asking(made: Fakes) -> None:
    world = Registry()
    with pytest.raises(UsageError, match="64 hex digits"):
        delivery.pinned_uri(world.aws(), PLACE, "sha256:1234")
    assert world.calls == []


def test_all_pages_are_listed_and_a_repository_that_is_gone_is_told() -> None:
    world = Registry(tags={"v1": DIGEST, "v2": "sha256:" + "2" * 64, "v3": "sha256:" + "3" * 64})
    assert {one.tags for one in delivery.images(world.aws(), PLACE)} == {("v1",), ("v2",), ("v3",)}
    world.gone = True
    with pytest.raises(UsageError, match="it is gone, though the stack names it"):
        delivery.images(world.aws(), PLACE)


def test_a_throttled_look_is_repeated_and_decides_nothing(made: Fakes) -> None:
    from deploy.world import Fault

    world = Registry(tags={"v1": DIGEST}, faults=[Fault("DescribeImages", "ThrottlingException", times=2)])
    assert delivery.pinned_uri(world.aws(), PLACE, "v1").endswith(DIGEST)


def test_a_stack_without_the_output_has_no_repository() -> None:
    live = Live("arn", "web", "CREATE_COMPLETE", "", {}, {}, {}, {}, "", False, "")
    assert delivery.repository_of(None, "web") is None
    assert delivery.repository_of(live, "web") is None


def test_with_an_emulator_it_is_the_emulator_that_takes_pushes() -> None:
    live = Live("arn", "web", "CREATE_COMPLETE", "", {}, {}, {}, {"OrderApiRepositoryUri": URI}, "", False, "")
    assert delivery.repository_of(live, "order-api") == PLACE
    assert delivery.repository_of(live, "order-api", "http://127.0.0.1:4566") == Repository(
        URI, "127.0.0.1:4566", plain=True
    )

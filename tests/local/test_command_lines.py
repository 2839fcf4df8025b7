"""The command lines of the documents that need AWS: typed one after the other against the emulator."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_docs import ELSEWHERE, PAGES, called, typed_in

from scaleout_cfn.cli import cli

from .helpers import Account

DIGEST = f"nginx@sha256:{'0' * 64}"
#: What a reader has in the place of these.
MEANT = {"REPOSITORY_URI@sha256:...": DIGEST, "$IMAGE": DIGEST, "$(jq -r .change_set plan.json)": "arn:x"}
CONFIG = """
[tags]
team = "shop"
[services.web]
capacity = "nodes"
[capacity.fargate]
kind = "fargate"
[capacity.nodes]
max_nodes = 9
[jobs.nightly]
capacity = "fargate"
image_uri = "nginx:1"
memory_mib = 512
at = "cron(0 3 * * ? *)"
[environments.prod]
stack_name = "web-prod"
[environments.staging]
stack_name = "web-staging"
"""
#: What begins so is not typed here, and where else it is, or why nowhere.
NOT_TYPED = {
    **dict.fromkeys(ELSEWHERE, "tests of their own"),
    "image push": "an engine: tests/image",
    "exec": "an engine, or the plug-in: tests/webapp/test_engines.py",
    "run": "a task that ends, and so an engine: tests/webapp/test_rehearsal.py",
    "jobs run": "a task that ends, and so an engine: tests/webapp/test_rehearsal.py",
    "move": "a set of two stacks of one's own: tests/local/test_moving.py",
    "cost": "Cost Explorer, which no emulator has: tests/deploy/test_cost.py",
}
#: An option by which a line starts an emulator, an engine, or never ends: tests/deploy/test_local.py, tests/webapp.
NOT_WITH = {"--local", "--build", "--follow", "--watch"}
#: What a line ends with here, where nothing has happened that it is for: exit code and words.
ENDS = {
    "deploy --image web=REPOSITORY_URI@sha256:... --image api=1.4": (2, "no service is called api"),
    "apply": (7, "is gone: another one was executed since"),
    "deploy --image TAG": (2, "image TAG: there is none"),
    "deploy --image 2026-11-23": (2, "image 2026-11-23: there is none"),
    "rollout back": (6, "nothing is being deployed"),
    "rollback --skip": (2, "only a stack in UPDATE_ROLLBACK_FAILED can skip"),
}


def lines() -> Iterator[str]:
    """What the pages call, as it stands there, of the commands that ask AWS."""
    for page in PAGES:
        for line in typed_in(page.read_text(encoding="utf-8")):
            words = line.partition("#")[0].partition(">")[0].strip()
            if words and any("--endpoint-url" in parameter.opts for parameter in called(words)[1].params):
                yield words


def beginning(table: dict[str, object], words: str) -> str:
    """The key of a table that the words begin with; empty where none is."""
    return max((key for key in table if f"{words} ".startswith(f"{key} ")), key=len, default="")


def test_each_line_that_needs_aws_does_what_its_page_says(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)
    account.client("s3").create_bucket(Bucket=account.bucket)
    Path("scaleout.toml").write_text(CONFIG, encoding="utf-8")

    def type_in(words: str) -> tuple[int, str]:
        for placeholder, meant in MEANT.items():
            words = words.replace(placeholder, meant)
        _, command, _ = called(words)
        taken = {name for parameter in command.params for name in parameter.opts}
        more = ["--yes"] if "--yes" in taken and not words.startswith("rollout") and "--yes" not in words else []
        more += ["--bucket", account.bucket] if "--bucket" in taken else []
        ended = CliRunner().invoke(cli, [*shlex.split(words), *more])
        return ended.exit_code, ended.output

    assert type_in(f"deploy --image {DIGEST}")[0] == 0
    assert type_in(f"deploy --env staging --image {DIGEST}")[0] == 0
    left = set(ENDS)
    for words in lines():
        if beginning({**NOT_TYPED}, words) or NOT_WITH.intersection(words.split()):
            continue
        expected = beginning({**ENDS}, words)
        code, said = type_in(words)
        wanted, part = ENDS.get(expected, (0, ""))
        assert code == wanted and part in said, (words, code, said)
        left.discard(expected)
    assert not left, "no page has them"


#: Programs of others that the pages call: `aws` is given each line of its own, and why the rest are given none.
OTHERS = {
    "aws": "",
    "curl": "what answers is a rehearsal: tests/webapp/test_rehearsal.py",
    "docker": "an engine and a registry: tests/webapp/test_engines.py, tests/image/test_registry.py",
    "pip": "the index: .ci/run types the README's, word for word",
}


def lines_of_others() -> Iterator[str]:
    """What the pages' blocks call of other programs."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.M | re.S)
        fenced = "".join(block for language, block in blocks if language in ("", "sh"))
        indented = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S)
        known = "|".join(OTHERS)
        yield from re.findall(rf"^(?:(?:{known}) .*)", fenced, re.M)
        yield from re.findall(rf"^ {{4}}((?:{known}) .*)", indented, re.M)


def test_each_line_for_the_aws_cli_has_options_that_it_takes(tmp_path: Path) -> None:
    """It gets as far as the wire, where nobody answers."""
    (tmp_path / "policies_out").mkdir()
    for name in ("cloudformation-trust", "cloudformation-1"):
        (tmp_path / "policies_out" / f"{name}.json").write_text("{}")
    (tmp_path / "templates_out").mkdir()
    (tmp_path / "templates_out" / "root.yaml").write_text("{}")
    environment = os.environ | {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_ACCESS_KEY_ID": "111122223333",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }
    resource = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/web/0123456789abcdef"
    given = [line.replace(" ARN ", f" {resource} ").replace("YOUR-", "your-") for line in lines_of_others()]
    asked = [line for line in given if line.startswith("aws ")]
    assert len(asked) >= 8
    for line in asked:
        words = [sys.executable, "-m", "awscli", *shlex.split(line, comments=True)[1:]]
        told = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False).stderr
        assert "Could not connect to the endpoint URL" in told, (line, told)

"""`init` on a terminal: what it asks, what it looks at, and that what it writes renders."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.cli.config import POOLS, Seen, _kinds, _made, answered, look
from scaleout_cfn.composing import compose
from scaleout_cfn.config import Config, WebService, WorkerService
from scaleout_cfn.config.file import load


def test_what_is_here_is_seen(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM x\nEXPOSE 3000/tcp\nHEALTHCHECK --interval=5s \\\n  CMD curl -f http://localhost:3000/up || exit 1\n",
        encoding="utf-8",
    )
    (tmp_path / "Procfile").write_text("web: serve\nmailer: python -m mailer\nBad_Name: x\n", encoding="utf-8")
    (tmp_path / "compose.yml").write_text("services: {}\n", encoding="utf-8")
    assert look(tmp_path) == Seen(
        dockerfile=True,
        port=3000,
        health_path="/up",
        processes={"web": "serve", "mailer": "python -m mailer"},
        compose="compose.yml",
    )
    assert look(tmp_path / "nowhere") == Seen()


@pytest.mark.parametrize(
    ("dockerfile", "port", "path"),
    [
        ("FROM a AS b\nEXPOSE 1\nHEALTHCHECK CMD curl localhost:1/b\nFROM c\nEXPOSE 2\n", 2, ""),
        ("FROM a AS b\nEXPOSE 1\nHEALTHCHECK CMD curl localhost:1/b\nFROM --platform=x b AS c\nCMD x\n", 1, "/b"),
        ("ARG PORT=9090\nFROM a\nARG PORT\nEXPOSE $PORT/tcp\n", 9090, ""),
        ("FROM a\nENV PORT 9090\nEXPOSE ${PORT}\nHEALTHCHECK CMD wget http://[::1]:$PORT/up|cat", 9090, "/up"),
        ("FROM a\nENV A=1 PORT='70'\nEXPOSE ${NOTHING:-80} $PORT\n", 80, ""),
        ("FROM a\nEXPOSE $PORT\nHEALTHCHECK CMD curl http://localhost:$PORT/${WHAT}\n", 0, "/"),
        ("FROM a\nEXPOSE 8080/udp 5000-5005\nEXPOSE 443\n", 5000, ""),
        ("FROM a\nEXPOSE abc 99999 0\nHEALTHCHECK --interval=x\n", 0, ""),
        ('FROM a\nHEALTHCHECK CMD ["CMD-SHELL", "curl -f https://127.0.0.1/ || exit 1"]\n', 0, "/"),
        ("FROM a\nHEALTHCHECK CMD pg_isready -h localhost\n", 0, ""),
        ("FROM a\nHEALTHCHECK CMD curl http://localhost/a\nHEALTHCHECK NONE\n", 0, ""),
        ("FROM a\nRUN cat <<-'END'\nEXPOSE 1\n\tEND\nexpose 2\n", 2, ""),
        ("FROM a\nEXPOSE 3000 `  \n  3001\n", 3000, ""),
        ("FROM a\nENV A=1\n" + "ENV A=$A$A\n" * 99 + "EXPOSE 7\n", 7, ""),  # of a bounded size
    ],
)
def test_the_last_stage_of_a_dockerfile_says_port_and_health_check(
    tmp_path: Path, dockerfile: str, port: int, path: str
) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    seen = look(tmp_path)
    assert (seen.port, seen.health_path) == (port, path)


def answers(seen: Seen, **given: str) -> Config:
    """The config of answers by the first word of their question; of others the answer that is given."""

    def ask(question: str, why: str, default: str, problem_of: Callable[[str], str]) -> str:
        answer = given.get(question.split()[0].strip(":,").lower(), default)
        assert why and not problem_of(default), question
        return default if problem_of(answer) else answer

    return answered(ask, seen, _kinds, _made, POOLS)


def test_the_answers_that_are_given_are_the_default_config() -> None:
    assert answers(Seen()) == Config()


def test_processes_of_a_procfile_run_the_image_of_web() -> None:
    config = answers(Seen(processes={"web": "serve", "mailer": "python -m mailer", "release": "x"}))
    web, mailer = config.services["web"], config.services["mailer"]
    assert isinstance(web, WebService) and isinstance(mailer, WorkerService) and len(config.services) == 2
    assert (mailer.image_of, mailer.command) == ("web", ("python", "-m", "mailer"))


def test_processes_of_a_procfile_without_web_run_one_image_and_keep_their_commands(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("clock: tick\njobs: work -q $QUEUE\nbroken: say 'x\n", encoding="utf-8")
    config = answers(look(tmp_path))
    clock, jobs = config.services.values()
    assert (clock.command, clock.image_of) == (("tick",), "")
    assert (jobs.command, jobs.image_of) == (("sh", "-c", "work -q $QUEUE"), "clock")
    assert compose(config)


@settings(max_examples=12, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "image": st.sampled_from(["build", "public.ecr.aws/nginx/nginx:1.28", "not an image"]),
            "services": st.sampled_from(["web", "web,api:internal,mailer", "front,back:web", "job:worker", "Bad"]),
            "port": st.sampled_from(["80", "65535", "0", "x"]),
            "path": st.sampled_from(["/", "/up?x=1", "up"]),
            "reached": st.sampled_from(["public", "internal", "nobody"]),
            "domain": st.sampled_from(["none", "shop.example.com", "shop"]),
            "id": st.sampled_from(["none", "Z0123456789ABCDEFGHIJ", "example.com"]),
            "requests": st.sampled_from(["1", "500", "4000", "0", "-1"]),
            "capacity": st.sampled_from([*POOLS, "lambda"]),
        },
    )
)
def test_whatever_is_answered_the_config_composes(given: dict[str, str]) -> None:
    assert compose(answers(Seen(dockerfile=True, port=3000), **given))


def test_a_folder_that_is_not_there_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "scaleout_cfn", "init", "nowhere/mine.toml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "its folder cannot be written to" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such terminal")
def test_on_a_terminal_it_asks_and_asks_again_where_an_answer_cannot_be(tmp_path: Path) -> None:
    import pty  # not on Windows

    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "scaleout_cfn", "init", "mine.toml"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, b"\n\n99999\n3000\n\n\n\n\n\n")
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    assert program.wait() == 0, shown.decode()
    assert b"99999: allowed is 1 to 65535" in shown and b"mine.toml written" in shown
    web = load(tmp_path / "mine.toml").services["web"]
    assert isinstance(web, WebService) and web.container_port == 3000
    os.close(ours)

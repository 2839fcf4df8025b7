"""`rollout` at a real terminal: a pseudo-terminal, a process of its own, and an account whose clock is virtual."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
#: The command line, in an account in which a deployment of `web` waits at a pause.
PROGRAM = """
import sys
from scaleout_cfn.cli import main, work
from deploy.test_promote import at_pause
world = at_pause()
work.Aws = lambda target: world.aws()
main(sys.argv[1:])
"""


def on_a_terminal(*arguments: str, answer: str = "", columns: int = 120) -> tuple[str, int]:
    """Run a command, answer its question, and return what it showed and its exit code."""
    leader, follower = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "GITHUB_ACTIONS")}
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**kept, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns), "PYTHONPATH": paths},
        cwd=TESTS,
        start_new_session=True,
    )
    os.close(follower)
    shown = b""
    for _ in range(120):  # a bound against hanging, not a timeout
        ready, _, _ = select.select([leader], [], [], 1)
        try:
            shown += os.read(leader, 4096) if ready else b""
        except OSError:  # the other end is closed
            break
        if answer and b"Go on? [y/N]" in shown:
            os.write(leader, answer.encode())
            answer = ""
    else:
        process.kill()
    os.close(leader)
    return shown.decode().replace("\r\n", "\n"), process.wait(60)


@pytest.mark.parametrize(
    ("answer", "code", "last"), [("y\n", 0, "✓ web: the deployment is complete"), ("n\n", 6, "next   the same command")]
)
def test_who_sits_there_is_asked_before_a_deployment_goes_on(answer: str, code: int, last: str) -> None:
    shown, exit_code = on_a_terminal("rollout", "continue", answer=answer)
    assert "web waits at POST_TEST_TRAFFIC_SHIFT: the deployment goes on from there. Go on? [y/N]" in shown
    assert (exit_code, last in shown) == (code, True), shown
    assert ("BAKE_TIME" in shown) is (code == 0)


@pytest.mark.parametrize("columns", [80, 200])
def test_what_it_waits_for_and_both_answers_are_shown_whatever_the_width(columns: int) -> None:
    shown, exit_code = on_a_terminal("rollout", "--timeout", "0", columns=columns)
    assert exit_code == 9
    assert "  waits for an answer, until " in shown and "then it goes back" in shown
    assert "  a request with port 8443 and the header x-test: green gets the new version" in shown
    assert "    scaleout-cfn rollout continue --service web, or scaleout-cfn rollout back --service web" in shown


def test_status_shows_stage_share_and_both_answers() -> None:
    shown, exit_code = on_a_terminal("status")
    assert exit_code == 0
    assert "web  ECS IN_PROGRESS  POST_TEST_TRAFFIC_SHIFT  0 % of traffic on the new version  waits for an" in shown
    assert "web  waits for an answer, until " in shown
    assert "    scaleout-cfn rollout continue --service web, or scaleout-cfn rollout back --service web" in shown


@pytest.mark.parametrize("option", ["--yes", "--adopt"])
def test_consent_to_what_changes_nothing_is_refused(option: str) -> None:
    for what in ([], ["history"]):
        shown, exit_code = on_a_terminal("rollout", *what, option)
        assert exit_code == 2
        assert f"{option}: goes with `rollout continue` and `rollout back`" in shown

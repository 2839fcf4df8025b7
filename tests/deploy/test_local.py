"""The commands as a user gives them: subprocesses, against the emulator over HTTP."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import scaleout_cfn
from scaleout_cfn.local import GAP, NOT_SHOWN, running

HERE = Path(scaleout_cfn.__file__).parents[1]
EXAMPLES = Path(__file__).parents[2] / "examples"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web"
#: A service of each kind, of which two share an image.
THREE = """\
[services.web]
kind = "web"

[services.api]
kind = "internal"

[services.mailer]
kind = "worker"
image_of = "web"

[capacity.nodes]
kind = "ec2"
max_nodes = 40
"""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Shell:
    """A user with an emulator of their own, which is kept from test to test."""

    home: Path
    program: tuple[str, ...] = ("-m", "scaleout_cfn")

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GITHUB_"))}
        return {**kept, "XDG_RUNTIME_DIR": str(self.home), "PYTHONPATH": str(HERE), "CI": "true"}

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, *self.program, *arguments]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(command, env=self.environment, cwd=self.home, text=True, **streams)

    def run(self, *arguments: str) -> Done:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        return Done(process.returncode, out, err)

    def faults(self, **plan: Any) -> None:
        (self.home / "faults.json").write_text(json.dumps(plan))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    home = tmp_path_factory.mktemp("home")
    with running(faults=home / "faults.json") as emulator:
        (home / "scaleout-cfn").mkdir()
        (home / "scaleout-cfn" / "local.json").write_text(json.dumps({"endpoint_url": emulator.endpoint_url}))
        yield Shell(home)


@pytest.fixture(autouse=True)
def no_faults(shell: Shell) -> Iterator[None]:
    yield
    (shell.home / "faults.json").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def web(shell: Shell) -> str:
    """A stack that is there for all tests of this module."""
    done = shell.run("deploy", "--local", "--yes", "--stack", "web", "--image", f"{IMAGE}:1")
    assert done.code == 0, done.err
    return "web"


def test_a_first_deployment_shows_the_whole_way(shell: Shell) -> None:
    done = shell.run("deploy", "--local", "--yes", "--stack", "first")
    assert done.code == 0, done.err
    for said in (
        "phase 1 of 2",
        "phase 2 of 2",
        "Network/",
        "CREATE_COMPLETE",
        "not on AWS",
        "✓ first: created",
        "✓ first: updated",
    ):
        assert said in done.err
    assert re.search(r"^WebUrl +http://", done.out, re.MULTILINE)


def test_a_rehearsal_says_first_what_it_does_not_show_and_needs_no_emulator_to_be_there(tmp_path: Path) -> None:
    done = Shell(tmp_path).run("deploy", "--local")
    assert done.code == 6  # nobody is there to confirm
    assert all(sentence in done.err for sentence in NOT_SHOWN)


def test_a_later_command_says_it_again(shell: Shell, web: str) -> None:
    done = shell.run("diff", "--local", "--stack", web)
    assert "the emulator that an earlier command kept, not on AWS" in done.err
    assert all(sentence in done.err for sentence in NOT_SHOWN)


OWN = """
import scaleout_cfn as sc
from troposphere import GetAtt, Output, {module}

def compose(config):
    stack = sc.compose(config)
    it = stack.template.add_resource({resource})
    {output}
    return stack

sc.main(compose=compose)
"""
DATABASE = (
    'rds.DBInstance("Db", DBInstanceClass="db.t4g.micro", Engine="postgres", AllocatedStorage="20",'
    ' MasterUsername="web", ManageMasterUserPassword=True, StorageEncrypted=True)'
)


@pytest.mark.parametrize(
    ("resource", "attribute", "said"),
    [
        ('cloudwatch.CompositeAlarm("Both", AlarmRule="FALSE")', "", "AWS::CloudWatch::CompositeAlarm; AWS does"),
        (DATABASE, "CertificateDetails.CAIdentifier", "the attribute CertificateDetails.CAIdentifier of AWS::RDS"),
    ],
)
def test_what_the_emulator_does_not_know_is_its_own_fault(
    shell: Shell, tmp_path: Path, resource: str, attribute: str, said: str
) -> None:
    output = f"stack.template.add_output(Output('It', Value=GetAtt(it, '{attribute}')))" if attribute else ""
    module = resource.partition(".")[0]
    (tmp_path / "own.py").write_text(OWN.format(module=module, resource=resource, output=output))
    own = replace(shell, program=(str(tmp_path / "own.py"),))
    done = own.run("deploy", "--local", "--yes", "--json", "--stack", "gap")
    result = done.lines[-1]
    assert (done.code, result["outcome"]) == (1, "error")
    assert result["what"].startswith(f"{GAP} {said}")
    assert "says nothing against the templates" in result["what"]
    assert "lint" in result["next_command"]


GIVEN = """
stack_name = "given"
[load_balancer]
deletion_protection = true
[load_balancer.listener]
kind = "domain"
domain_name = "shop.example.com"
hosted_zone_id = "Z0123456789ABCDEFGHIJ"
[network]
kind = "existing"
vpc_id = "vpc-0a0a0a0a"
load_balancer_subnets = ["subnet-0a0a0a0a", "subnet-0b0b0b0b"]
node_subnets = ["subnet-0a0a0a0a", "subnet-0b0b0b0b"]
"""


def test_what_the_config_names_is_there_and_a_protected_balancer_stays(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "scaleout.toml"
    path.write_text(GIVEN)
    done = shell.run("deploy", "--local", "--yes", "-c", str(path), "--image", f"{IMAGE}:1")
    assert done.code == 0, done.err
    assert "running 2/2" in done.err
    assert "https://shop.example.com" in done.out
    refused = shell.run("destroy", "--local", "--yes", "-c", str(path))
    assert refused.code == 6
    assert "LoadBalancer/LoadBalancer is not to be deleted: deletion_protection.enabled is on" in refused.err


def test_nothing_to_do_is_said_and_costs_no_change_set(shell: Shell, web: str) -> None:
    done = shell.run("deploy", "--local", "--yes", "--stack", web)
    assert done.code == 0
    assert "nothing to do" in done.err
    assert "change set ready" not in done.err
    assert "WebUrl" in done.out


def test_a_new_image_shows_the_image_before_and_after(shell: Shell, web: str) -> None:
    done = shell.run("deploy", "--local", "--yes", "--stack", web, "--image", f"{IMAGE}:2")
    assert done.code == 0, done.err
    assert re.search(r"ContainerDefinitions\.0\.Image +.*web:1 -> .*web:2", done.err)


def test_a_failing_update_is_rolled_back_with_exit_code_4_and_its_cause(shell: Shell, web: str) -> None:
    failure = {"stack": "-WebService-", "resource": "Service", "operation": "update", "message": "no room"}
    shell.faults(fail=[{**failure, "times": 1}])
    done = shell.run("deploy", "--local", "--yes", "--stack", web, "--image", f"{IMAGE}:3", "--json")
    assert done.code == 4, done.err
    result = done.lines[-1]
    assert (result["type"], result["exit"], result["status"]) == ("result", 4, "UPDATE_ROLLBACK_COMPLETE")
    assert result["cause"] == {"path": "WebService/Service", "reason": "no room", "status": "UPDATE_FAILED"}
    assert result["next_command"]


def test_diff_says_by_its_code_whether_there_are_changes(shell: Shell, web: str) -> None:
    changed = shell.run("diff", "--local", "--stack", web, "--image", f"{IMAGE}:9", "--exit-code")
    assert (changed.code, "TaskDefinition" in changed.out) == (3, True)
    assert shell.run("diff", "--local", "--stack", web, "--exit-code").code == 0


def test_without_a_nested_plan_data_in_a_changed_nested_stack_needs_consent_by_its_path(shell: Shell) -> None:
    command = ["deploy", "--local", "--yes", "--stack", "flat", "--image", f"{IMAGE}:1"]
    assert shell.run(*command).code == 0
    command += ["--no-nested-plan", "--set", "observability.log_retention_days=60"]
    refused = shell.run(*command)
    assert refused.code == 6, refused.err
    assert "not shown: the changes inside" in refused.err
    assert "BLOCKED WebFoundation/Logs might be replaced" in refused.err
    agreed = shell.run(*command, "--allow-replace", "WebFoundation/Logs", "--allow-replace", "WebFoundation/Repository")
    assert agreed.code == 0, agreed.err


def test_plan_and_apply_are_bound_by_the_arn(shell: Shell, web: str) -> None:
    planned = shell.run("plan", "--local", "--stack", web, "--image", f"{IMAGE}:10", "--json")
    arn = planned.lines[-1]["change_set"]
    assert planned.code == 0
    assert shell.run("apply", arn, "--local").code == 0
    assert "nothing to do" in shell.run("deploy", "--local", "--yes", "--stack", web, "--image", f"{IMAGE}:10").err


def test_a_program_of_ones_own_has_all_commands_for_its_own_set(shell: Shell) -> None:
    own = replace(shell, program=(str(EXAMPLES / "own_stack.py"),))
    there = ["--local", "--stack", "shop"]
    assert own.run("deploy", *there, "--yes").code == 0
    assert "nothing to do" in own.run("deploy", *there, "--yes").err

    # Without its stacks the set is another one, whose deployment would take the cache away.
    done = shell.run("deploy", *there, "--yes")
    assert (done.code, "BLOCKED Cache/Cache would be deleted" in done.err) == (6, True)


def test_the_next_command_can_be_typed_as_it_stands(shell: Shell, web: str) -> None:
    done = shell.run("diff", "--local", "--stack", web, "--set", "tags={a='b c'}", "--json")
    assert (
        done.lines[-1]["next_command"]
        == f"scaleout-cfn deploy --set 'tags={{a='\"'\"'b c'\"'\"'}}' --stack {web} --local"
    )
    done = shell.run("rollback", "--local", "--stack", web, "--yes")
    assert f"next   scaleout-cfn deploy --stack {web} --local, with the image" in done.err

    own = replace(shell, program=(str(EXAMPLES / "one_property.py"),))
    planned = own.run("plan", "--local", "--stack", web, "--json").lines[-1]
    assert planned["next_command"].startswith(f"python {own.program[0]} apply --stack {web} --local arn:aws:cloud")


def test_nobody_to_ask_is_a_refusal_that_leaves_nothing(shell: Shell) -> None:
    done = shell.run("deploy", "--local", "--stack", "asked")
    assert done.code == 6
    assert "--yes" in done.err
    assert shell.run("outputs", "--local", "--stack", "asked").code == 2


@pytest.mark.parametrize("command", [["status"], ["events"], ["events", "--failed"], ["outputs"]])
def test_what_is_there_can_be_looked_at(shell: Shell, web: str, command: Sequence[str]) -> None:
    done = shell.run(*command, "--local", "--stack", web, "--json")
    assert done.code == 0, done.err
    assert done.lines[-1]["type"] == "result"


def test_publish_prints_the_url_and_the_link_with_the_parameters(shell: Shell, web: str) -> None:
    done = shell.run("publish", "--local", "--image", f"{IMAGE}:1")
    assert done.code == 0, done.err
    assert "#/stacks/create/review?templateURL=" in done.out
    assert "param_WebImageUri=" in done.out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_it_runs_only_stops_watching(shell: Shell, number: int, code: int) -> None:
    shell.faults(delay_s=0.2)
    name = f"signal{code}"
    process = shell.start("deploy", "--local", "--yes", "--stack", name)
    assert process.stderr is not None
    wait_for(process, lambda line: f"{name}  CREATE_IN_PROGRESS" in line)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "goes on" in err and "nothing is left" not in err
    assert f"scaleout-cfn events --stack {name} --local --follow" in err
    shell.faults()
    again = shell.run("deploy", "--local", "--yes", "--stack", name)
    assert again.code == 0, again.err


def test_on_a_terminal_it_asks_and_ctrl_c_at_the_question_leaves_nothing(shell: Shell) -> None:
    shown, code = on_a_terminal(shell, ["deploy", "--local", "--stack", "tty"], b"Apply this to tty", b"\x03")
    assert code == 130
    assert "nothing was changed and nothing is left" in shown
    assert shell.run("outputs", "--local", "--stack", "tty").code == 2


def test_on_a_terminal_a_yes_is_enough(shell: Shell) -> None:
    shown, code = on_a_terminal(shell, ["diff", "--local", "--stack", "tty2"], b"", b"")
    assert (code, "new nested stack" in shown) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "--stack", "web"], "no emulator is kept"),
        (["deploy", "--keep"], "--keep goes with --local"),
        (["apply", "nonsense", "--local"], "no ARN of a change set"),
    ],
)
def test_a_wrong_use_is_told_with_exit_code_2(shell: Shell, tmp_path: Path, arguments: list[str], said: str) -> None:
    alone = Shell(tmp_path)
    done = alone.run(*arguments, *(["--local"] if arguments[0] == "status" else []))
    assert done.code == 2
    assert said in done.err


def test_a_wrong_use_ends_with_a_result_in_json_too(shell: Shell) -> None:
    for arguments in (["deploy", "--json", "--bogus"], ["run", "--local", "--json", "--", "true"]):
        done = shell.run(*arguments)
        assert (done.code, done.lines[-1]["type"], done.lines[-1]["exit"]) == (2, "result", 2)


@pytest.mark.parametrize("given", [["--region", "eu-west-1"], ["--profile", "other"], ["--endpoint-url", "http://x"]])
def test_where_to_is_not_passed_over_in_silence(shell: Shell, given: list[str]) -> None:
    done = shell.run("status", "--local", *given)
    assert (done.code, f"{given[0]} {given[1]}: goes without --local" in done.err) == (2, True)


def test_a_name_that_the_config_would_refuse_is_refused_as_an_option(shell: Shell) -> None:
    done = shell.run("deploy", "--local", "--yes", "--stack", "aws-web")
    assert (done.code, "--stack: got 'aws-web'" in done.err, "uploaded" in done.err) == (2, True, False)


def test_without_credentials_the_code_is_8_and_json_still_ends_with_a_result(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    process = subprocess.run(
        [sys.executable, "-m", "scaleout_cfn", "outputs", "--region", "eu-west-1", "--json"],
        env={**shell.environment, "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert process.returncode == 8
    assert json.loads(process.stdout.splitlines()[-1])["exit"] == 8


@pytest.mark.parametrize("pin", ['account_id="999999999999"', "region=eu-west-1"])
def test_another_account_or_region_than_the_configs_is_refused_before_anything_is_written(
    shell: Shell, tmp_path: Path, pin: str
) -> None:
    where = json.loads((shell.home / "scaleout-cfn" / "local.json").read_text())["endpoint_url"]
    keys = {"AWS_ACCESS_KEY_ID": "777777777777", "AWS_SECRET_ACCESS_KEY": "x"}
    command = ["deploy", "--yes", "--endpoint-url", where, "--region", "us-east-1", "--set", pin, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "scaleout_cfn", *command],
        env={**shell.environment, **keys},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    (result,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, result["outcome"], result["reason"]) == (6, "refused", "nothing was written")
    assert pin.partition("=")[2].strip('"') in result["what"]


def wait_for(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if wanted(line):
            return
    raise AssertionError("it never said so")


def on_a_terminal(shell: Shell, arguments: list[str], question: bytes, answer: bytes) -> tuple[str, int]:
    """Run a command on a pseudo-terminal, answer its question, and return what it showed."""
    leader, follower = pty.openpty()
    environment = {name: value for name, value in shell.environment.items() if name != "CI"}
    process = subprocess.Popen(
        [sys.executable, "-m", "scaleout_cfn", *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**environment, "TERM": "xterm", "NO_COLOR": "1"},
        cwd=shell.home,
        start_new_session=True,
        preexec_fn=lambda: _controlling(follower),
    )
    os.close(follower)
    shown, asked = b"", 0
    for _ in range(120):  # a bound against hanging, not a timeout
        ready, _, _ = select.select([leader], [], [], 1)
        try:
            shown += os.read(leader, 4096) if ready else b""
        except OSError:  # the other end is closed
            break
        # Python notices a signal that comes right before it waits for input only with the next one.
        if question and question in shown and (not ready or not asked) and asked < 5:
            os.write(leader, answer)
            asked += 1
    else:
        process.kill()
    os.close(leader)
    return shown.decode(), process.wait(60)


def _controlling(terminal: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

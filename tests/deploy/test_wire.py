"""Faults on the wire, per HTTP attempt: the deployer, botocore's retries, a proxy that misbehaves, and the emulator.

What the fake in `world` cannot show: which attempts botocore repeats by itself, what a cut body looks like to its
parser, and what a connection that ends without an answer raises. `botocore.Stubber` sits above the retries.
"""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from troposphere import Equals, Not, ssm

from scaleout_cfn.aws.client import Aws, Target
from scaleout_cfn.composing import compose
from scaleout_cfn.config import Config
from scaleout_cfn.deploy import deployment
from scaleout_cfn.deploy.bootstrap import bootstrap
from scaleout_cfn.deploy.live import find
from scaleout_cfn.deploy.messages import Message, Note, Outcome
from scaleout_cfn.deploy.publish import bucket_at, prepare
from scaleout_cfn.deploy.start import Wish
from scaleout_cfn.errors import AccessError, BusyError
from scaleout_cfn.local import Emulator, running
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import Text

from .helpers import patient
from .test_local import IMAGE, Shell

#: `throttled`, `500` and `503` answer in the emulator's place, so nothing is carried out, and so does `expired`.
#: `lost` and `cut` carry the request out; then the connection ends without an answer, or with half of its body.
#: `hangs` does nothing at all, for longer than any test.
Fault = Literal["throttled", "500", "503", "expired", "lost", "cut", "hangs"]
ANSWERS = {
    "throttled": (400, "Throttling", "Rate exceeded"),
    "500": (500, "InternalFailure", "An internal error occurred."),
    "503": (503, "ServiceUnavailable", "Service is unable to handle request."),
    "expired": (403, "ExpiredToken", "The security token included in the request is expired"),
}
ACCOUNTS = itertools.count(300_000_000_000)


@dataclass
class Wire:
    """The proxy: what it does to which call, and what came by. Lists hold one fault for each attempt to come.

    A call is the action of a query, the last word of X-Amz-Target, or the method of a request to S3. `first` meets
    the first attempt of every call. `after` holds the faults that begin once a call was carried out.
    """

    upstream: str
    endpoint_url: str = ""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    after: dict[str, dict[str, list[Fault]]] = field(default_factory=dict)
    first: Fault | None = None
    attempts: Counter[str] = field(default_factory=Counter)
    carried_out: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    hung: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def fault(self, call: str) -> Fault | None:
        """What this attempt of a call meets."""
        with self.lock:
            self.attempts[call] += 1
            if planned := self.faults.get(call):
                return planned.pop(0)
            return self.first if self.attempts[call] == 1 else None

    def answered(self, call: str, status: int) -> None:
        with self.lock:
            if status == 200:
                self.carried_out[call] += 1
                self.faults.update(self.after.pop(call, {}))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wire: Wire

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        action = parse_qs(body.decode("latin-1")).get("Action", [""])[0] if self.command == "POST" else ""
        call = target or action or self.command
        fault = self.wire.fault(call)
        if fault in ANSWERS:
            status, code, message = ANSWERS[fault]
            self.answer(status, {"Content-Type": "text/xml"}, self.error(code, message, as_json=bool(target)))
            return
        if fault == "hangs":
            self.wire.hung.set()
            self.wire.over.wait()
            self.close_connection = True
            return
        answer, content = self.upstream(body)
        self.wire.answered(call, answer.status)
        if fault == "lost":
            self.close_connection = True
            return
        if fault == "cut":
            content = content[: len(content) // 2]
        kept = ("transfer-encoding", "content-length", "connection", "date", "server")
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in kept}
        self.answer(answer.status, headers, content)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = forward

    def upstream(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection(urlsplit(self.wire.upstream).netloc, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    @staticmethod
    def error(code: str, message: str, *, as_json: bool) -> bytes:
        if as_json:
            return json.dumps({"__type": code, "message": message}).encode()
        inner = f"<Code>{code}</Code><Message>{message}</Message>"
        return f"<ErrorResponse><Error>{inner}</Error>{inner}</ErrorResponse>".encode()  # query's place, and S3's

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def proxy(upstream: str) -> Iterator[Wire]:
    wire = Wire(upstream)
    handler = type("Handler", (_Handler,), {"wire": wire})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    wire.endpoint_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield wire
    finally:
        wire.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class ServiceOutputs:
    name: Text


@dataclass(frozen=True)
class Outputs:
    service_name: Text | None


def small(stack: Stack, config: Config) -> Outputs:
    """A small set: what there is to make takes no time, so that the time goes into what is tested."""
    image_uri = stack.ask("services.web.image_uri", Text)

    def service(stack: Stack, config: Config, *, image_uri: Text) -> ServiceOutputs:
        """What runs the image."""
        return ServiceOutputs(Text(stack.add(ssm.Parameter("Image", Type="String", Value=image_uri)).ref()))

    stack.add(ssm.Parameter("Word", Type="String", Value="one"))
    has_image = stack.condition("HasImage", Not(Equals(image_uri, "")))
    made = stack.nest_if(has_image, "Service", service, config, image_uri=image_uri)
    return Outputs(made.name)


class Deployer:
    """Somebody with an account of their own, who sees AWS through the proxy. `direct` looks past it."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.account = str(next(ACCOUNTS))
        self.said: list[Message] = []
        self.direct = self.aws(wire.upstream)
        self.identity = self.direct.identity()
        bucket = f"artifacts-{self.account}"
        bootstrap(self.direct, self.identity, bucket)
        self.published = prepare(compose(Config(), small), bucket_at(self.direct, self.identity, bucket))

    def aws(self, endpoint_url: str) -> Aws:
        return Aws(Target(region="us-east-1", endpoint_url=endpoint_url, keys=(self.account, "local"), poll_s=0.02))

    def deploy(self, image: str = "", **options: Any) -> Outcome:
        """One command, from the beginning. Without an image it is the first phase alone."""
        self.said = []
        aws, wish = (
            self.aws(self.wire.endpoint_url),
            Wish("web", self.published, **patient({"image": image, **options})),
        )
        return deployment.deploy(aws, aws.identity(), wish, self.said.append, lambda plan: True)

    def state(self) -> tuple[str, str]:
        """The status of the root, and the image that it has."""
        live = find(self.direct, "web")
        return (live.status, live.parameters.get("WebImageUri", "")) if live else ("none", "")

    def executions(self) -> int:
        """Counted by the root's own events: what the emulator did, not what was asked of it."""
        live = find(self.direct, "web")
        assert live is not None
        return sum(
            event["PhysicalResourceId"] == live.stack_id
            and event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
            for page in self.direct.pages("cloudformation", "describe_stack_events", StackName=live.stack_id)
            for event in page["StackEvents"]
        )

    def change_sets(self) -> list[str]:
        """What is left of change sets that nobody executed."""
        answer = self.direct.read("cloudformation", "list_change_sets", StackName="web")
        return [one["ChangeSetName"] for one in answer["Summaries"] if one["ExecutionStatus"] == "AVAILABLE"]

    @property
    def notes(self) -> str:
        return "\n".join(one.text for one in self.said if isinstance(one, Note))


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running() as found:
        yield found


@pytest.fixture
def wire(emulator: Emulator) -> Iterator[Wire]:
    with proxy(emulator.endpoint_url) as found:
        yield found


@pytest.fixture
def deployer(wire: Wire) -> Deployer:
    return Deployer(wire)


def test_a_quiet_wire_carries_a_deployment(deployer: Deployer) -> None:
    assert deployer.deploy().exit_code == 0
    assert deployer.state() == ("CREATE_COMPLETE", "")
    assert deployer.executions() == deployer.wire.carried_out["ExecuteChangeSet"] == 1
    assert deployer.wire.attempts["CreateChangeSet"] == 1


@pytest.mark.parametrize("fault", ["throttled", "503", "lost", "cut"])
def test_a_fault_at_the_first_attempt_of_every_call_changes_nothing_in_the_end(
    deployer: Deployer, fault: Fault
) -> None:
    deployer.wire.first = fault
    assert deployer.deploy().exit_code == 0
    assert deployer.state() == ("CREATE_COMPLETE", "")
    assert deployer.executions() == deployer.wire.carried_out["ExecuteChangeSet"] == 1
    assert deployer.change_sets() == []
    assert {"CreateChangeSet", "ExecuteChangeSet", "DescribeStacks", "DescribeStackEvents", "PUT"} <= set(
        deployer.wire.attempts
    )


@pytest.mark.parametrize("call", ["CreateChangeSet", "ExecuteChangeSet"])
@pytest.mark.parametrize("fault", ["lost", "cut"])
def test_a_call_whose_answer_is_lost_is_settled_by_reading_and_not_sent_again(
    deployer: Deployer, call: str, fault: Fault
) -> None:
    deployer.wire.faults[call] = [fault]
    assert deployer.deploy().exit_code == 0
    assert deployer.wire.attempts[call] == deployer.wire.carried_out[call] == 1
    assert (deployer.state(), deployer.executions()) == (("CREATE_COMPLETE", ""), 1)


@pytest.mark.parametrize("call", ["CreateChangeSet", "ExecuteChangeSet"])
def test_a_call_that_is_not_carried_out_is_sent_until_it_is(deployer: Deployer, call: str) -> None:
    deployer.wire.faults[call] = ["throttled", "500", "lost"]
    assert deployer.deploy().exit_code == 0
    assert (deployer.wire.attempts[call], deployer.wire.carried_out[call]) == (3, 1)
    assert (deployer.state(), deployer.executions()) == (("CREATE_COMPLETE", ""), 1)


def test_a_call_that_is_never_answered_ends_with_what_is_true_and_the_same_command_finishes(
    deployer: Deployer,
) -> None:
    deployer.wire.faults["ExecuteChangeSet"] = ["503"] * 5
    with pytest.raises(BusyError) as busy:
        deployer.deploy()
    assert busy.value.state == "the change set is there and was not executed"
    assert deployer.state()[0] == "REVIEW_IN_PROGRESS"
    assert deployer.deploy().exit_code == 0
    assert (deployer.state(), deployer.executions()) == (("CREATE_COMPLETE", ""), 1)
    assert deployer.wire.carried_out["CreateChangeSet"] == 1


def test_events_that_cannot_be_read_do_not_decide(deployer: Deployer) -> None:
    deployer.wire.faults["DescribeStackEvents"] = ["cut"] * 500
    assert deployer.deploy().exit_code == 0
    assert (deployer.state(), deployer.executions()) == (("CREATE_COMPLETE", ""), 1)


@pytest.mark.parametrize("call", ["CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet"])
def test_credentials_that_expire_before_the_execution_are_exit_code_8_and_the_same_command_finishes(
    deployer: Deployer, call: str
) -> None:
    deployer.wire.faults[call] = ["expired"]
    with pytest.raises(AccessError) as access:
        deployer.deploy()
    assert (access.value.exit_code, access.value.kind) == (8, "expired")
    assert deployer.wire.carried_out["ExecuteChangeSet"] == 0
    assert deployer.deploy().exit_code == 0
    assert (deployer.state(), deployer.executions(), deployer.change_sets()) == (("CREATE_COMPLETE", ""), 1, [])


def test_credentials_that_expire_while_it_runs_are_waited_for(deployer: Deployer) -> None:
    deployer.wire.after["ExecuteChangeSet"] = {"DescribeStacks": ["expired"] * 3}
    assert deployer.deploy().exit_code == 0
    assert "the credentials work again" in deployer.notes
    assert (deployer.state(), deployer.executions()) == (("CREATE_COMPLETE", ""), 1)


def test_credentials_that_stay_expired_are_exit_code_8_and_the_same_command_goes_on_watching(
    deployer: Deployer,
) -> None:
    deployer.wire.after["ExecuteChangeSet"] = {"DescribeStacks": ["expired"]}
    outcome = deployer.deploy(access_s=0.0)
    assert (outcome.exit_code, outcome.reason) == (8, "the operation goes on in AWS")
    assert deployer.deploy().exit_code == 0
    assert (deployer.state(), deployer.executions()) == (("CREATE_COMPLETE", ""), 1)


@pytest.mark.parametrize("fault", ["lost", "cut"])
def test_two_phases_and_an_update_survive_lost_answers_with_one_execution_each(
    deployer: Deployer, fault: Fault
) -> None:
    deployer.wire.faults = {"CreateChangeSet": [fault] * 2, "ExecuteChangeSet": [fault] * 2}
    assert deployer.deploy("web:1").exit_code == 0
    assert (deployer.state(), deployer.executions()) == (("UPDATE_COMPLETE", "web:1"), 2)
    deployer.wire.faults = {"CreateChangeSet": [fault], "ExecuteChangeSet": [fault]}
    assert deployer.deploy("web:2").exit_code == 0
    assert (deployer.state(), deployer.executions()) == (("UPDATE_COMPLETE", "web:2"), 3)
    assert deployer.wire.attempts["ExecuteChangeSet"] == deployer.wire.carried_out["ExecuteChangeSet"] == 3


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]], ids=["SIGTERM", "Ctrl-C twice"])
def test_a_signal_ends_the_command_also_while_cleaning_up_gets_no_answer(
    wire: Wire, tmp_path: Path, signals: list[signal.Signals]
) -> None:
    """Read timeouts of botocore's are far longer than the two seconds that are promised, and than this test waits."""
    (tmp_path / "scaleout-cfn").mkdir()
    (tmp_path / "scaleout-cfn" / "local.json").write_text(json.dumps({"endpoint_url": wire.endpoint_url}))
    wire.faults = {"DescribeChangeSet": ["hangs"] * 9}
    name, code = f"ended{len(signals)}", 128 + signals[0]
    process = Shell(tmp_path).start("deploy", "--local", "--yes", "--stack", name, "--json")
    try:
        for number in signals:
            assert wire.hung.wait(60)  # at first the deployment itself, then its clean-up
            wire.hung.clear()
            process.send_signal(number)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == code, err
    result = json.loads(out.splitlines()[-1])
    assert (result["type"], result["exit"], result["next_command"]) == ("result", code, "the same command again")
    assert "ended at once, before all was cleaned up" in result["what"] and "AWS" not in result["what"]
    assert wire.carried_out["ExecuteChangeSet"] == 0
    wire.faults.clear()
    assert Shell(tmp_path).run("deploy", "--local", "--yes", "--stack", name).code == 0


def test_where_nothing_answers_the_first_call_it_is_told_soon_and_with_what_to_do(tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "1", "AWS_SECRET_ACCESS_KEY": "2"}
    command = [sys.executable, "-m", "scaleout_cfn", "outputs", "--region", "eu-west-1", "--json"]
    done = subprocess.run(
        [*command, "--endpoint-url", "http://127.0.0.1:9"],
        env={**Shell(tmp_path).environment, **keys},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, result["exit"], result["next_command"]) == (1, 1, "the same command again")
    assert "Could not connect" in result["what"]


def test_the_command_says_8_by_its_exit_code_and_the_same_command_finishes_over_a_bad_wire(
    wire: Wire, tmp_path: Path
) -> None:
    (tmp_path / "scaleout-cfn").mkdir()
    (tmp_path / "scaleout-cfn" / "local.json").write_text(json.dumps({"endpoint_url": wire.endpoint_url}))
    command = ("deploy", "--local", "--yes", "--stack", "wire", "--image", f"{IMAGE}:1", "--json")
    shell = Shell(tmp_path)
    wire.faults = {"CreateChangeSet": ["lost"], "ExecuteChangeSet": ["expired"]}
    done = shell.run(*command)
    assert done.code == 8, done.err
    result = done.lines[-1]
    following = "scaleout-cfn doctor --stack wire --local"
    assert (result["type"], result["exit"], result["next_command"]) == ("result", 8, following)
    assert wire.carried_out["ExecuteChangeSet"] == 0
    wire.faults = {"ExecuteChangeSet": ["throttled", "lost", "cut"], "DescribeStackEvents": ["500", "cut", "lost"]}
    done = shell.run(*command)
    assert done.code == 0, done.err
    assert done.lines[-1]["status"] == "UPDATE_COMPLETE"
    assert wire.carried_out["ExecuteChangeSet"] == 2  # the two phases
    assert wire.carried_out["CreateChangeSet"] == 2

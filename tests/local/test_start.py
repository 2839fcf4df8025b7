"""Starting, finding and ending the emulator's process."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from scaleout_cfn import local
from scaleout_cfn.local import Emulator, EmulatorError, attach, is_alive, running, start

from .helpers import Account

HERE = Path(local.__file__).resolve().parents[2]


def port(emulator: Emulator) -> int:
    found = urlsplit(emulator.endpoint_url).port
    assert found is not None
    return found


def answers(emulator: Emulator) -> bool:
    try:
        return attach(emulator.endpoint_url).pid == emulator.pid
    except EmulatorError:
        return False


def eventually(condition: Callable[[], bool]) -> bool:
    """Ask often, each time through a process that is started for it: a bound without a clock."""
    for _ in range(200):
        if condition():
            return True
        subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    return False


@contextmanager
def in_a_parent(code: str) -> Iterator[tuple[subprocess.Popen[str], Emulator]]:
    """Run code in a process of its own that prints `endpoint_url pid` and then waits to be ended."""
    parent = subprocess.Popen(
        [sys.executable, "-c", f"from scaleout_cfn.local import running, start\n{code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE,
    )
    assert parent.stdout is not None
    endpoint_url, pid = parent.stdout.readline().split()
    emulator = Emulator(endpoint_url, int(pid))
    try:
        yield parent, emulator
    finally:
        parent.kill()
        parent.communicate()
        emulator.stop()


SHOW = "print(e.endpoint_url, e.pid, flush=True); input()"


def test_it_listens_on_the_loopback_address_only(emulator: Emulator) -> None:
    assert urlsplit(emulator.endpoint_url).hostname == "127.0.0.1"
    with socket.socket() as other:  # another loopback address: bound to 0.0.0.0 it would answer here, too
        assert other.connect_ex(("127.0.0.2", port(emulator))) != 0


def test_its_environment_is_all_that_a_client_needs(emulator: Emulator) -> None:
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    environment = {"PATH": os.environ["PATH"], **emulator.environment()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == emulator.account_id


def test_a_stopped_emulator_is_gone_and_can_be_stopped_again() -> None:
    emulator = start()
    try:
        assert answers(emulator)
    finally:
        emulator.stop()
    assert not answers(emulator)
    assert emulator.process is not None
    assert emulator.process.poll() is not None
    emulator.stop()


def test_a_signal_for_the_callers_group_does_not_reach_it(emulator: Emulator) -> None:
    assert os.getsid(emulator.pid) == emulator.pid != os.getsid(0)


def test_running_ends_with_the_process_that_it_ran_in() -> None:
    with in_a_parent(f"with running() as e: {SHOW}") as (parent, emulator):
        parent.kill()
        parent.wait()
        assert eventually(lambda: not answers(emulator))


def test_started_it_outlives_its_parent_and_is_found_by_its_address() -> None:
    with in_a_parent(f"e = start(); {SHOW}") as (parent, emulator):
        parent.communicate("\n")
        found = attach(emulator.endpoint_url)
        assert found == emulator
        found.stop()
        assert not answers(emulator)


def test_sigterm_ends_it() -> None:
    with running() as emulator:
        os.kill(emulator.pid, signal.SIGTERM)
        assert emulator.process is not None
        assert emulator.process.wait(10) == 0


def test_whether_a_process_runs_is_asked_on_windows_without_a_ctrl_c_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_alive(os.getpid()) and is_alive(1)
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not is_alive(ended.pid)

    said = iter([(7, 0x102), (7, 0), (0, -1)])  # a process that runs, one that has ended, none

    class Kernel:
        def OpenProcess(self, access: int, inherit: bool, pid: int) -> int:
            handle, self.waited = next(said)
            return handle

        def WaitForSingleObject(self, handle: int, milliseconds: int) -> int:
            return self.waited

        def CloseHandle(self, handle: int) -> None: ...

    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=Kernel()), raising=False)
    monkeypatch.setattr(os, "kill", None)
    monkeypatch.setattr(sys, "platform", "win32")
    assert [is_alive(1) for _ in range(3)] == [True, False, False]


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(EmulatorError, match=rf"port {number} on 127\.0\.0\.1 cannot be used"):
            start(number)


def test_a_free_port_can_be_chosen() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    with running(number) as emulator:
        assert port(emulator) == number


def test_what_is_no_emulator_is_not_attached_to() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(EmulatorError, match="No local emulator answers at http://127"):
            attach(url)


@pytest.mark.parametrize(
    ("found", "message"),
    [(None, r"needs ministack 1\.5\.33, which is missing"), ("1.5.34", r"needs ministack 1\.5\.33, found 1\.5\.34")],
)
def test_a_missing_extra_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, found: str | None, message: str
) -> None:
    def version(name: str) -> str:
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(EmulatorError, match=message) as refusal:
        start()
    assert "pip install '.[local]'" in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_an_unknown_patch_cannot_be_left_out() -> None:
    with pytest.raises(EmulatorError, match="no patch 'nonsense'"), running(without=["nonsense"]):
        pass


def test_the_public_part_imports_neither_ministack_nor_boto3() -> None:
    code = "import sys, scaleout_cfn.local; print({'ministack', 'boto3', 'hypercorn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE)
    assert done.stdout.strip() == "set()"


def test_accounts_do_not_see_each_other(emulator: Emulator) -> None:
    def queues(account: str) -> int:
        ssm = boto3.client(
            "ssm",
            endpoint_url=emulator.endpoint_url,
            region_name=emulator.region,
            aws_access_key_id=account,
            aws_secret_access_key="local",
        )
        ssm.put_parameter(Name="one", Value="x", Type="String")
        return len(ssm.describe_parameters()["Parameters"])

    assert [queues("111111111111"), queues("222222222222")] == [1, 1]


def test_what_a_set_takes_as_given_is_made_once_and_stays(emulator: Emulator) -> None:
    account = Account(emulator, emulator.account_id)
    for _ in range(2):
        emulator.stand_in(hosted_zones={"Z0GIVEN": "example.com"}, vpcs={"vpc-0a": ["subnet-0a", "subnet-0b"]})
    zone = account.client("route53").get_hosted_zone(Id="Z0GIVEN")["HostedZone"]
    assert zone["Name"] == "example.com."
    ec2 = account.client("ec2")
    (vpc,) = ec2.describe_vpcs(VpcIds=["vpc-0a"])["Vpcs"]
    assert not vpc["IsDefault"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": ["vpc-0a"]}])["Subnets"]
    assert [subnet["SubnetId"] for subnet in subnets] == ["subnet-0a", "subnet-0b"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 2
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": ["vpc-0a"]}])["SecurityGroups"]
    assert [group["GroupName"] for group in groups] == ["default"]


def test_what_is_taken_as_given_in_a_region_is_there_and_stacks_of_all_regions_are_counted() -> None:
    with running() as emulator:
        abroad = replace(emulator, region="eu-west-1")
        abroad.stand_in(vpcs={"vpc-0b": ["subnet-0c", "subnet-0d"]})
        keys = {"aws_access_key_id": emulator.account_id, "aws_secret_access_key": "local"}

        def client(service: str, region: str) -> Any:
            return boto3.client(service, endpoint_url=emulator.endpoint_url, region_name=region, **keys)

        found = client("ec2", "eu-west-1").describe_subnets(SubnetIds=["subnet-0c"])["Subnets"]
        assert found[0]["AvailabilityZone"] == "eu-west-1a"
        assert not [vpc for vpc in client("ec2", emulator.region).describe_vpcs()["Vpcs"] if vpc["VpcId"] == "vpc-0b"]
        body = '{"Resources": {"It": {"Type": "AWS::SNS::Topic"}}}'
        for region in ("eu-west-1", "us-east-1"):
            client("cloudformation", region).create_stack(StackName="one", TemplateBody=body)
        assert emulator.stacks() == 2
        client("cloudformation", "us-east-1").delete_stack(StackName="one")
        assert eventually(lambda: emulator.stacks() == 1)


def test_what_is_no_list_of_stand_ins_is_refused_and_the_emulator_lives_on(emulator: Emulator) -> None:
    with pytest.raises(EmulatorError, match="does not answer"):
        emulator.stand_in(hosted_zones={"Z0": "x"}, vpcs={"vpc-0": 7})  # type: ignore[dict-item]
    assert attach(emulator.endpoint_url).pid == emulator.pid

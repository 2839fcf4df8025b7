"""The emulator behind `--local`: started for one command, or kept for those that come after."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scaleout_cfn.aws.client import Target
from scaleout_cfn.errors import Next, UsageError
from scaleout_cfn.local import Emulator, EmulatorError, attach, running, start

__all__ = ["PLACEHOLDER_IMAGE", "emulator", "release", "target"]

#: What a rehearsal without an image deploys. The emulator runs no container, so it need not exist.
PLACEHOLDER_IMAGE = "public.ecr.aws/docker/library/hello-world:latest"


def state_file() -> Path:
    """Where the address of a kept emulator is: XDG_RUNTIME_DIR, else the user's cache."""
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "scaleout-cfn" / "local.json"


def kept() -> Emulator | None:
    """The emulator that an earlier command kept, if it still answers."""
    try:
        return attach(json.loads(state_file().read_text())["endpoint_url"])
    except (OSError, ValueError, KeyError, EmulatorError):
        return None


@contextmanager
def emulator(*, may_start: bool, keep: bool = False) -> Iterator[Emulator]:
    """The kept emulator, or one that is started here: for the length of the block, or to be kept.

    Raises UsageError when there is none and none may be started, EmulatorError when it cannot be.
    """
    found = kept()
    if found is not None:
        yield found
    elif not may_start:
        raise UsageError("--local: no emulator is kept", next=Next("deploy", ("--keep",)))
    elif keep:
        found = start()
        path = state_file()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"endpoint_url": found.endpoint_url, "pid": found.pid}))
        except OSError as error:
            found.stop()
            raise UsageError(f"{path}: {error.strerror or error}; set XDG_RUNTIME_DIR to a folder of yours") from None
        yield found
    else:
        with running() as found:
            yield found


def release() -> None:
    """Stop the kept emulator and forget it."""
    found = kept()
    if found is not None:
        found.stop()
    with suppress(OSError):
        state_file().unlink()


def target(emulator: Emulator, role_arn: str = "") -> Target:
    """Where deployments to the emulator go. The account is its access key."""
    return Target(
        region=emulator.region,
        role_arn=role_arn,
        endpoint_url=emulator.endpoint_url,
        keys=(emulator.account_id, "local"),
        poll_s=0.1,
    )

"""cfn-lint on one template after another, in a process of its own.

There are templates on which cfn-lint crashes, and some on which it does not end: a pattern that backtracks, a loop of
loops. In its own process it can be given a bound of time and memory, and what happens to it happens to one template.
"""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock, Timer

import msgspec
from msgspec import Struct

from scaleout_cfn.templates.values import Severity

# Of CPU time, so that a machine with other work finds the same. The largest templates of real sets take a few seconds.
TIME_S = 60.0
# How much longer that may last on a machine that is busy, and everywhere where CPU time has no bound, as on Windows.
BUSY = 10


class Match(Struct, frozen=True):
    """What cfn-lint finds at one place."""

    line: int
    path: str
    rule: str
    severity: Severity
    message: str
    source: str


class Answer(Struct, frozen=True):
    """What cfn-lint says of one template.

    `failed` says how it failed on it, if it did. Rules whose ids begin with one of `ignored` are not wanted, by the
    template's Metadata or the settings, but for those that begin with one of `mandatory`. `unwanted` are
    files that the settings ignore, `fault` is what is wrong with them, or with a region.
    """

    found: list[Match] = []
    failed: str = ""
    ignored: list[str] = []
    mandatory: list[str] = []
    unwanted: list[str] = []
    fault: str = ""


class CfnLint:
    """cfn-lint's process: started when it is first asked, and again when a template has been the end of it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = Lock()

    def __call__(self, template: Path, settings: Path, regions: Sequence[str], read: bool = True) -> Answer:
        """What it says of a template, by the settings (.cfnlintrc) that it finds in a folder and in the home folder;
        without `read` only what these say of it.

        Raises ValueError for a region that it does not know, and for settings that it cannot take.
        """
        places = {"template": str(template.absolute()), "settings": str(settings.absolute())}
        request = {**places, "regions": regions, "seconds": TIME_S, "read": read}
        with self._lock:
            said = self._ask(json.dumps(request))
        if said.startswith("{"):
            answer = msgspec.json.decode(said, type=Answer)
            if answer.fault:
                raise ValueError(answer.fault)
            return answer
        return Answer(failed=said)

    def start(self) -> subprocess.Popen[str]:
        """Its process, loading already while the caller does something else."""
        if self._process is None:
            command = [sys.executable, "-P", str(Path(__file__).with_name("worker.py"))]
            pipe = subprocess.PIPE
            # In a session of its own: Ctrl-C is for the command, which ends it, not for both with a traceback of this.
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8", start_new_session=True
            )
            atexit.register(_stop, self._process)
        return self._process

    def _ask(self, request: str) -> str:
        """Its answer as JSON, or how it ended."""
        process = self.start()
        assert process.stdin is not None and process.stdout is not None
        end = time.monotonic() + TIME_S * BUSY
        timer = Timer(TIME_S * BUSY, process.kill)
        timer.start()
        try:
            process.stdin.write(request + "\n")
            process.stdin.flush()
            said = process.stdout.readline()
        except OSError:
            said = ""
        finally:
            timer.cancel()
        if said:
            return said
        self._process = None
        code = _end(process)
        out_of_time = time.monotonic() >= end or code == -getattr(signal, "SIGPROF", 0)
        return f"it takes longer than {TIME_S:g} s" if out_of_time else f"its process ended with {code}"


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()  # it may be at work for somebody who has been interrupted
    _end(process)


def _end(process: subprocess.Popen[str]) -> int:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # What is left to be written to a process that is gone.
            with suppress(OSError):
                pipe.close()
    return process.wait()


cfn_lint = CfnLint()

"""Throughput of the web container beside others, as ratios of alternated runs on the same cores.

    pip install -r webapp/requirements.txt gunicorn
    python tests/bench/webapp.py

Needs nginx and wrk. Everything listens on 127.0.0.1. Each contender writes its log into a pipe that is read, as a
container's is. wrk runs on the same cores, so absolute figures say little; ratios are medians over rounds, with the
least and the most, each round against the seed's stack in the same round, in shuffled order. Nothing here passes or
fails: the targets stand beside the figures.

What a request costs in CPU time depends less on what else the machine does than requests a second do. How much of it
others had meanwhile is printed: with more than a few percent believe the CPU time, and more rounds.

The seed's stack is the configuration that tiangolo/uwsgi-nginx-flask generates: one nginx worker with 1024 connections,
uWSGI with two to sixteen processes and its default queue, both access logs on. Its supervisor is left out: it takes no
part in a request.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parents[1]))
from webapp.helpers import WEBAPP, children, eventually, free_port, name

USER = "user root;" if os.geteuid() == 0 else ""
UWSGI = [sys.executable, "-c", "import pyuwsgi; pyuwsgi.run()"]
SEED, OURS, BARE = "the seed's stack and app", "ours", "ours, access log off"

# The seed's application as its README describes it: one random.choice for each of 52 letters, and jsonify.
SEED_APP = """
import random, string
from flask import Flask, jsonify
app = Flask(__name__)
@app.route("/api")
def api():
    return jsonify({str(index): random.choice(string.ascii_letters) for index in range(52)})
"""
SEED_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr warn; {user}
events {{ worker_connections 1024; }}
http {{
    {temporary}
    log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                    '"$http_referer" "$http_user_agent" "$http_x_forwarded_for"';
    access_log /dev/stdout main;
    sendfile on; keepalive_timeout 65; client_max_body_size 0;
    server {{ listen 127.0.0.1:{port}; location / {{ include {params}; uwsgi_pass unix:{folder}/uwsgi.sock; }} }}
}}
"""
STATIC_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr warn; {user}
events {{ worker_connections 16384; }}
http {{
    {temporary}
    access_log off; keepalive_requests 100000;
    server {{ listen 127.0.0.1:{port} backlog=4096; default_type application/json; return 200 '{body}'; }}
}}
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw. More may fail than is answered: connections that are refused or cut count too."""

    answers: int
    failed: int
    rate: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Run:
    """One load on one contender: its CPU time per answer, and what share of the machine was others'."""

    load: Load
    nginx_us: float
    python_us: float
    others_percent: float

    @property
    def cpu_us(self) -> float:
        return self.nginx_us + self.python_us


@dataclass
class Contender:
    """A running server and what was seen of it."""

    port: int
    processes: list[subprocess.Popen[bytes]]
    runs: list[Run] = field(default_factory=list)

    def measure(self, connections: int, seconds: int) -> Run:
        roots = [process.pid for process in self.processes]
        before, began = (*cpu_s(roots), busy_s() - sum(cpu_s([os.getpid()]))), time.monotonic()
        load = wrk(self.port, connections, seconds)
        after = (*cpu_s(roots), busy_s() - sum(cpu_s([os.getpid()])))
        machine_s = (time.monotonic() - began) * (os.cpu_count() or 1)
        nginx_s, python_s, others_s = (b - a for a, b in zip(before, after, strict=True))
        each_us = 1e6 / load.answers
        return Run(load, nginx_s * each_us, python_s * each_us, max(0, others_s / machine_s * 100))


def wrk(port: int, connections: int, seconds: int) -> Load:
    printed = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout=10s",
            "--latency",
            f"http://127.0.0.1:{port}/api",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    ).stdout

    def latency(percentile: int) -> float:
        found = re.search(rf"{percentile}%\s+([\d.]+)(us|ms|s)", printed)
        return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000}[found[2]] if found else float("nan")

    answers = int(re.search(r"(\d+) requests in", printed)[1])  # type: ignore[index]
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    cut = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", printed)
    failed = (int(refused[1]) if refused else 0) + (sum(map(int, cut.groups())) if cut else 0)
    return Load(answers, failed, answers / seconds, latency(50), latency(99))


def cpu_s(roots: list[int]) -> tuple[float, float]:
    """CPU time of processes and their descendants, with those that have ended: of nginx, and of all others."""
    nginx, others, found = 0, 0, list(roots)
    for pid in found:  # grows as it goes
        with suppress(OSError):
            found += children(pid)
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks = sum(map(int, fields[11:15]))
            nginx, others = (nginx + ticks, others) if name(pid) == "nginx" else (nginx, others + ticks)
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    return nginx * tick_s, others * tick_s


def busy_s() -> float:
    """CPU time of everything on the machine, and what its host gave to other machines."""
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, Path("/proc/stat").read_text().split()[1:11])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident memory, and the part of it that is this process's own or its share."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss, pss = (int(re.search(rf"^{kind}:\s+(\d+)", text, re.M)[1]) / 1024 for kind in ("Rss", "Pss"))  # type: ignore[index]
    return rss, pss


def temporary(folder: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)


def copy_of_ours(folder: Path, port: int, changed: tuple[str, str] = ("", "")) -> list[list[str]]:
    text = (WEBAPP / "nginx.conf").read_text()
    assert changed[0] in text
    for file in ("entry.py", "uwsgi.ini", "app/main.py"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text((WEBAPP / file).read_text())
    (folder / "nginx.conf").write_text(USER + text.replace(*changed))
    return [[sys.executable, str(folder / "entry.py")]]


def seed(folder: Path, port: int, app: str) -> list[list[str]]:
    (folder / "main.py").write_text(app)
    params = "/etc/nginx/uwsgi_params"
    (folder / "nginx.conf").write_text(
        SEED_NGINX.format(folder=folder, port=port, user=USER, temporary=temporary(folder), params=params)
    )
    uwsgi = [*UWSGI, "--socket", f"{folder}/uwsgi.sock", "--chmod-socket=664", "--need-app", "--die-on-term"]
    uwsgi += ["--chdir", str(folder), "--module", "main:app", "--master", "--processes", "16", "--cheaper", "2"]
    return [uwsgi, ["nginx", "-e", "stderr", "-c", f"{folder}/nginx.conf"]]


def gunicorn(folder: Path, port: int) -> list[list[str]]:
    words = f"--workers 4 --worker-class gthread --threads 4 --keep-alive 75 --backlog 4096 --bind 127.0.0.1:{port}"
    return [[sys.executable, "-m", "gunicorn", *words.split(), "--chdir", str(WEBAPP / "app"), "main:app"]]


def static(folder: Path, port: int) -> list[list[str]]:
    body = "{" + ",".join(f'"{index}":"a"' for index in range(52)) + "}"
    (folder / "nginx.conf").write_text(
        STATIC_NGINX.format(folder=folder, port=port, user=USER, temporary=temporary(folder), body=body)
    )
    return [["nginx", "-e", "stderr", "-c", f"{folder}/nginx.conf"]]


ACCESS_LOG = "access_log /dev/stdout json buffer=4k flush=1s;"
CONTENDERS: dict[str, Callable[[Path, int], list[list[str]]]] = {
    SEED: lambda folder, port: seed(folder, port, SEED_APP),
    "the seed's stack, our app": lambda folder, port: seed(folder, port, (WEBAPP / "app/main.py").read_text()),
    OURS: copy_of_ours,
    BARE: lambda folder, port: copy_of_ours(folder, port, (ACCESS_LOG, "access_log off;")),
    "gunicorn, our app": gunicorn,
    "nginx, static body": static,
}


def start(contender: str, stack: ExitStack) -> Contender:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True)))
    port = free_port()
    reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    environment = os.environ | {"TMPDIR": str(folder), "LISTEN": f"127.0.0.1:{port}", "DRAIN_S": "0"}
    processes = [
        subprocess.Popen(command, stdout=reader.stdin, stderr=reader.stdin, env=environment, start_new_session=True)
        for command in CONTENDERS[contender](folder, port)
    ]
    assert reader.stdin
    reader.stdin.close()
    stack.callback(reader.wait)
    for process in processes:
        stack.callback(end, process)

    def answers() -> bool:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/api", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    eventually(answers, contender)
    return Contender(port, processes)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=3, help="of each run")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    with ExitStack() as stack:
        running = {contender: start(contender, stack) for contender in CONTENDERS}
        for contender in running.values():
            wrk(contender.port, 16, 1)  # warm
        order = list(running)
        for _ in range(options.rounds):
            random.shuffle(order)
            for which in order:
                running[which].runs.append(running[which].measure(64, options.seconds))
        report(running)
        workers(running[OURS])
        print("\nat once, 5 s each:")
        for connections in (1000, 3000):
            for which in (OURS, SEED):
                load = wrk(running[which].port, connections, 5)
                print(
                    f"  {connections:5d} connections  {which:<26} {load.failed:6d} failures,"
                    f" {load.answers - load.failed if load.answers > load.failed else 0:6d} good answers"
                )


def report(running: dict[str, Contender]) -> None:
    base = running[SEED].runs
    print(
        f"{'/api, 64 connections':<26} {'req/s':>7} {'of the seed':>17} {'p50':>6} {'p99 ms':>6} {'of the seed':>17}",
        end="",
    )
    print(f" {'CPU us':>7} {'nginx':>6} {'python':>6} {'seed / this':>17}  failed")
    for which, contender in running.items():
        runs = contender.runs
        print(
            f"{which:<26} {middle(run.load.rate for run in runs):7.0f}"
            f" {spread(run.load.rate / seed.load.rate for run, seed in zip(runs, base, strict=True))}"
            f" {middle(run.load.p50_ms for run in runs):6.1f} {middle(run.load.p99_ms for run in runs):6.1f}"
            f" {spread(run.load.p99_ms / seed.load.p99_ms for run, seed in zip(runs, base, strict=True))}"
            f" {middle(run.cpu_us for run in runs):7.0f} {middle(run.nginx_us for run in runs):6.0f}"
            f" {middle(run.python_us for run in runs):6.0f}"
            f" {spread(seed.cpu_us / run.cpu_us for run, seed in zip(runs, base, strict=True))}"
            f" {sum(run.load.failed for run in runs):7d}"
        )
    print("targets: ours 1.4 times the requests of the seed's stack, 1.6 with the access log off, p99 not above its")
    others = [run.others_percent for contender in running.values() for run in contender.runs]
    print(
        f"others used {middle(others):.0f} % of the machine meanwhile, {min(others):.0f} to {max(others):.0f} in a run"
    )


def middle(values: Iterable[float]) -> float:
    return statistics.median(values)


def spread(values: Iterable[float]) -> str:
    """The median, with the least and the most."""
    found = sorted(values)
    return f"{middle(found):6.2f} {found[0]:4.2f}-{found[-1]:5.2f}"


def workers(contender: Contender) -> None:
    print("\nmemory of ours, MiB resident (own and shared in proportion):")
    entry = contender.processes[0].pid
    for child in children(entry):
        kind = "nginx" if name(child) == "nginx" else "uWSGI"
        for title, pids in ((f"{kind} master", [child]), (f"{kind} workers", children(child))):
            print(f"  {title:<14}", *("{:.0f} ({:.0f})".format(*memory_mib(pid)) for pid in pids))
    print(f"  {'entry point':<14}", "{:.0f} ({:.0f})".format(*memory_mib(entry)))


if __name__ == "__main__":
    main()

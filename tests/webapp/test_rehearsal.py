"""`deploy --local --containers` with a real engine: from Compose to answers, scaling, and a restart without a loss."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from scaleout_cfn.simulator.measure import Limits, Stage, _Budget, _stage, target_of

from .helpers import eventually, free_port, need
from .rehearsal import Rehearsal, left, readers, under_podman
from .test_container import IMAGE, Engine, engine, image  # noqa: F401 (fixtures)

#: Reached from outside by its name: at /shop it asks the service `stock`, and sends what that said to a queue.
SHOP = """
import http.server, os, urllib.parse, urllib.request
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = b""
        if self.path == "/shop":
            said = urllib.request.urlopen("http://stock:{stock}/").read()
            self.mail(said)
        self.send_response(200); self.send_header("Content-Length", str(len(said))); self.end_headers()
        self.wfile.write(said)
    def mail(self, said):
        form = dict(Action="SendMessage", QueueUrl=os.environ["MAILER_QUEUE_URL"], MessageBody=said.decode())
        urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"], urllib.parse.urlencode(form).encode()).read()
http.server.ThreadingHTTPServer(("", 8080), Shop).serve_forever()
"""
STOCK = """
import http.server, os
class Stock(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = os.environ["WORD"].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(said))); self.end_headers()
        self.wfile.write(said)
http.server.ThreadingHTTPServer(("", {stock}), Stock).serve_forever()
"""
MAILER = """
import os, re, urllib.parse, urllib.request
while True:
    form = dict(Action="ReceiveMessage", QueueUrl=os.environ["QUEUE_URL"], WaitTimeSeconds="5")
    got = urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"], urllib.parse.urlencode(form).encode()).read().decode()
    for handle, body in zip(re.findall("<ReceiptHandle>(.*?)<", got), re.findall("<Body>(.*?)<", got)):
        print("mailed", body, flush=True)
        form = dict(Action="DeleteMessage", QueueUrl=os.environ["QUEUE_URL"], ReceiptHandle=handle)
        urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"], urllib.parse.urlencode(form).encode()).read()
"""
COMPOSE = """
services:
  web:
    image: {image}
    ports: ["80:8080"]
    environment: {{DRAIN_S: "1"}}
    deploy:
      replicas: 2
      resources: {{limits: {{cpus: "0.25", memory: 512M}}}}
  shop:
    image: {image}
    command: {shop}
    depends_on: [stock]
    ports: ["8081:8080"]
  stock:
    image: {image}
    command: {stock}
    expose: ["{port}"]
"""
#: What its user writes beside what is imported.
BESIDE = """
[services.web.scaling.cpu]
target = 15
[services.stock.secrets]
WORD = "arn:aws:secretsmanager:us-east-1:123456789012:secret:word-AbCdEf"
[services.mailer]
kind = "worker"
image_of = "web"
command = {mailer}
[services.mailer.scaling]
min_tasks = 1
max_tasks = 2
[services.mailer.queue]
latency_s = 10
seconds_per_message = 1
[jobs.count]
image_of = "web"
command = ["python", "-c", "print(6 * 7)"]
at = "cron(0 3 * * ? *)"
"""


class Load:
    """So many requests, eight at once, in a thread of their own: the generator that `simulate --measure` has."""

    def __init__(self, url: str, requests: int) -> None:
        limits = Limits(requests=requests, stage_s=300)
        arguments = (target_of(url), 4, limits, _Budget(requests))
        self.result: Future[Stage] = ThreadPoolExecutor(1).submit(_stage, *arguments)

    def end(self) -> Stage:
        return self.result.result(300)


@pytest.fixture(scope="module")
def rehearsal(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:  # noqa: F811
    need("slirp4netns", "catatonit")
    made = under_podman(engine, tmp_path_factory.mktemp("rehearsal"))
    folder = made.folder
    port = free_port()
    commands = {"shop": SHOP.replace("{stock}", str(port)), "stock": STOCK.replace("{stock}", str(port))}
    told = {name: json.dumps(["python", "-c", text]) for name, text in {**commands, "mailer": MAILER}.items()}
    (folder / "compose.yaml").write_text(COMPOSE.format(image=f"{IMAGE}:latest", port=port, **told))
    made.typed("import", "compose", "compose.yaml")
    text = (folder / "scaleout.toml").read_text()
    for imported, wanted in (
        ('[capacity.fargate]\nkind = "fargate"', '[capacity.nodes]\nkind = "ec2"\nmax_nodes = 6'),
        ("max_tasks = 2", "max_tasks = 4"),
        ('reaches = ["stock"]', 'reaches = ["stock"]\nsends_to = ["mailer"]'),
    ):
        assert imported in text
        text = text.replace(imported, wanted)
    (folder / "scaleout.toml").write_text(text + BESIDE.format(**told))
    (folder / "secrets").write_text("WORD=seventeen\n")
    yield made
    made.stop()


def get(url: str, host: str = "127.0.0.1") -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host}), timeout=30) as answer:
        return str(answer.read().decode())


def test_services_of_a_compose_file_answer_reach_each_other_scale_and_restart_without_a_failed_request(
    rehearsal: Rehearsal,
    engine: Engine,  # noqa: F811
) -> None:
    told = rehearsal(
        "deploy", "--containers", "--keep", "--pace", "120", "--secrets", "secrets", "--yes", "--bucket", "templates"
    )
    assert "tasks under podman" in json.dumps(told)
    url = told[-1]["outputs"]["WebUrl"]
    assert get(url).startswith("Hello")
    # By a rule, by a name, by a queue, with a secret.
    assert get(f"{url}/shop", host="shop.example.com") == "seventeen"
    eventually(
        lambda: any("mailed seventeen" in line.get("text", "") for line in rehearsal("logs")), "the worker's line", 180
    )
    assert "42" in [line.get("text") for line in rehearsal("jobs", "run", "count")]
    assert "uid=10001" in json.dumps(rehearsal("run", "--service", "web", "--", "id"))

    least = 2
    # What a start takes of CPU may have been a load.
    eventually(lambda: rehearsal.tasks("web") == (least, {"healthy": least}), "as few tasks as may be", 180)
    load = Load(f"{url}/api?count=100", 20_000)
    eventually(lambda: rehearsal.tasks("web")[0] > least, "more tasks than before the load", 180)
    rehearsal("restart", "--service", "web")
    stage = load.end()
    assert (stage.requests, stage.failed) == (20_000, 0)
    eventually(lambda: rehearsal.tasks("web") == (least, {"healthy": least}), "as few tasks as before", 180)
    _, emulator = rehearsal.emulator
    eventually(lambda: len(left(engine, emulator)) == 5, "containers of the tasks alone", 180)
    rehearsal.stop()
    assert left(engine, emulator) == []


def test_from_init_in_an_empty_folder_to_an_answer_and_back_to_nothing(
    engine: Engine,  # noqa: F811
    image: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    """What the tutorial has a user type."""
    need("slirp4netns", "catatonit", "curl")
    user = under_podman(engine, tmp_path)
    try:
        user.typed("init", "--yes")
        deploy = ["deploy", "--local", "--containers", "--image", f"{image}:latest", "--keep", "--pace", "60", "--yes"]
        (url,) = re.findall(r"^WebUrl +(.*)", user.typed(*deploy), re.MULTILINE)
        _, emulator = user.emulator
        assert len(json.loads(user.curl(f"{url}/api"))) == 52
        # What starts take of CPU may have been a load, at this pace.
        eventually(lambda: set(user.tasks("web")[1]) == {"healthy"}, "healthy targets alone", 60)
        assert user.tasks("web")[0] >= 2 and len(left(engine, emulator)) >= 2
        eventually(lambda: any('"path":"/api"' in line.get("text", "") for line in user("logs")), "the request's line")
        reading = readers(engine, emulator)
        assert len(reading) >= 2
        user.typed("destroy", "--local", "--yes")
        assert (user.emulator, left(engine, emulator)) == (("", 0), [])
        eventually(lambda: not any(Path("/proc", each).exists() for each in reading), "the end of what reads the logs")
    finally:
        user.stop()

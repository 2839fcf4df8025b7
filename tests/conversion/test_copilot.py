"""`import copilot`: what becomes of manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.cli import main
from scaleout_cfn.config import FargateCapacity, InternalService, WebService, WorkerService
from scaleout_cfn.config.file import load
from scaleout_cfn.conversion.copilot import _at, read_application
from scaleout_cfn.errors import UsageError

from .accounts import assert_accounted, finished, lines

WEB = """\
name: shop
type: Load Balanced Web Service
http:
  path: '/'
  healthcheck:
    path: /up
    interval: 10s
image:
  build: shop/Dockerfile
  port: 3000
cpu: 256
memory: 600
count:
  range:
    min: 2
    max: 8
    spot_from: 3
  cpu_percentage: 70
exec: true
variables:
  LEVEL: info
  BUCKET: ${COPILOT_APPLICATION_NAME}-${COPILOT_ENVIRONMENT_NAME}-pictures
  API_TOKEN: abcdef
secrets:
  KEY: /copilot/${COPILOT_APPLICATION_NAME}/${COPILOT_ENVIRONMENT_NAME}/secrets/KEY
publish:
  topics:
    - name: orders
storage:
  volumes:
    pictures:
      path: /pictures
      efs: true
sidecars:
  cache:
    port: 6379
    image: public.ecr.aws/docker/library/redis:7
taskdef_overrides:
  - path: Cpu
    value: 1024
environments:
  prod:
    count: 4
"""
WORKER = """\
name: mailer
type: Worker Service
image:
  build: shop/Dockerfile
subscribe:
  topics:
    - name: orders
      service: shop
  queue:
    dead_letter:
      tries: 3
    timeout: 1m
"""


def application(folder: Path, **manifests: str) -> Path:
    """A folder with these manifests, by the name of their workload."""
    (folder / "copilot").mkdir(parents=True, exist_ok=True)
    (folder / "copilot" / ".workspace").write_text("application: market\n", encoding="utf-8")
    for name, text in manifests.items():
        path = folder / "copilot" / name.replace("__", "/")
        path.mkdir(parents=True, exist_ok=True)
        (path / "manifest.yml").write_text(text, encoding="utf-8")
    return folder


def test_an_application_becomes_a_config_that_says_what_its_manifests_do(tmp_path: Path) -> None:
    folder = application(tmp_path, shop=WEB, mailer=WORKER, environments__prod="name: prod\ntype: Environment\n")
    draft = read_application(folder, region="eu-west-1", account="111122223333")
    imported, config = finished(draft, tmp_path, "prod")
    shop, mailer = config.services["shop"], config.services["mailer"]
    assert isinstance(shop, WebService) and isinstance(mailer, WorkerService)
    assert (config.stack_name, shop.container_port, shop.memory_mib) == ("market", 3000, 1024)
    assert (shop.scaling.min_tasks, shop.scaling.max_tasks, shop.scaling.cpu.target) == (2, 8, 70)
    pool = config.capacity[shop.capacity]
    assert isinstance(pool, FargateCapacity) and (pool.on_demand_base, pool.spot_percent) == (2, 100)
    assert (shop.health_check.path, shop.health_check.healthy_count, shop.health_check.interval_s) == ("/up", 5, 10)
    assert (shop.read_only, shop.capabilities, shop.exec) == (False, ("DEFAULT",), True)
    assert (shop.sends_to, mailer.image_of) == (("mailer",), "shop")
    assert mailer.queue is not None and (mailer.queue.max_receives, mailer.queue.visibility_s) == (3, 60)
    prod = load(tmp_path / "imported.toml", environment="prod").services["shop"]
    assert (prod.scaling.min_tasks, prod.scaling.max_tasks) == (4, 4)
    assert prod.environment["BUCKET"] == "market-prod-pictures"
    assert prod.secrets["KEY"].endswith("111122223333:parameter/copilot/market/prod/secrets/KEY")
    page = lines(imported)
    assert page["taskdef_overrides[0].value"][1] == "no place"
    assert page["memory"] == (
        "copilot/shop/manifest.yml:12",
        "changed",
        "services.shop.memory_mib = 1024: Fargate sells no 256 CPU units with 600 MiB",
    )


def test_what_looks_like_a_secret_is_neither_in_the_config_nor_on_the_page(tmp_path: Path) -> None:
    imported, config = finished(read_application(application(tmp_path, shop=WEB)), tmp_path)
    assert "API_TOKEN" not in config.services["shop"].environment
    assert lines(imported)["variables.API_TOKEN"][1] == "no place"
    assert "abcdef" not in imported.page + imported.config


TEXTS = st.sampled_from(["info", "8", "true", "/x", "1m30s", "0", "arn:aws:x", "a b", "${X}", "2-1", "none"])
KEYS = [
    *("http.path", "http.healthcheck", "http.alias", "http.stickiness", "http.unknown", "image.port", "image.location"),
    *("cpu", "memory", "count", "count.range", "count.spot", "count.cpu_percentage", "exec", "platform", "command"),
    *("variables.A", "variables.B.from_cfn", "secrets.S", "secrets.T.secretsmanager", "storage.ephemeral"),
    *("storage.volumes.v.path", "storage.volumes.v.efs", "network.vpc.placement", "logging.retention", "nlb.port"),
    *("sidecars.s.image", "sidecars.s.port", "deployment.rolling", "subscribe.queue.timeout", "on.schedule"),
    *("environments.prod.count", "environments.prod.variables.A", "image.healthcheck.command", "surprise.deep"),
]


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(
        ["Load Balanced Web Service", "Backend Service", "Worker Service", "Request-Driven Web Service"]
    ),
    drawn=st.dictionaries(st.sampled_from(KEYS), TEXTS, max_size=12),
)
def test_each_leaf_of_a_manifest_has_its_line_and_the_config_loads(
    tmp_path_factory: pytest.TempPathFactory, kind: str, drawn: dict[str, str]
) -> None:
    manifest: dict[str, Any] = {"name": "shop", "type": kind, "image": {"build": "Dockerfile"}}
    for key, text in drawn.items():
        table = manifest
        *above, last = key.split(".")
        for part in above:
            inner = table.setdefault(part, {})
            table = inner if isinstance(inner, dict) else {}
        table[last] = text
    text = yaml.safe_dump(manifest)
    folder = application(tmp_path_factory.mktemp("drawn"), shop=text)
    imported, _ = finished(read_application(folder), folder)
    assert_accounted(imported, "copilot/shop/manifest.yml", text)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("@daily", "cron(0 0 * * ? *)"),
        ("@every 90m", "rate(90 minutes)"),
        ("@every 24h", "rate(1 day)"),
        ("*/5 * * * *", "cron(*/5 * * * ? *)"),
        ("0 9 * * 1-5", "cron(0 9 ? * MON-FRI *)"),
        ("0 9 1 * 1", None),
        ("rate(1 hour)", "rate(1 hour)"),
        ("none", None),
    ],
)
def test_schedules_of_go_are_said_as_those_of_aws(written: str, meant: str | None) -> None:
    assert _at(written) == meant


def test_a_job_of_its_own_image_never_runs_an_image_of_somebody_else(tmp_path: Path) -> None:
    job = "name: tidy\ntype: Scheduled Job\nimage:\n  build: tidy/Dockerfile\non:\n  schedule: '@weekly'\nretries: 2\n"
    imported, config = finished(read_application(application(tmp_path, shop=WEB, tidy=job)), tmp_path)
    assert (config.jobs["tidy"].at, config.jobs["tidy"].image_uri) == (
        "cron(0 0 ? * SUN *)",
        "replace-me.invalid/tidy:latest",
    )
    assert lines(imported)["image.build"][1] == "changed" and lines(imported)["retries"][1] == "no place"


def test_backends_are_reached_by_name_and_others_have_no_place(tmp_path: Path) -> None:
    api = "name: api\ntype: Backend Service\nimage:\n  build: api/Dockerfile\n  port: 80\n"
    site = "name: site\ntype: Static Site\nfiles:\n  - source: dist\n"
    imported, config = finished(read_application(application(tmp_path, shop=WEB, api=api, site=site)), tmp_path)
    assert isinstance(config.services["api"], InternalService) and config.services["shop"].reaches == ("api",)
    assert set(config.services) == {"shop", "api"} and lines(imported)["files[0].source"][1] == "no place"


def test_what_cannot_be_read_or_be_a_set_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no folder copilot; give the root"):
        read_application(tmp_path)
    for text, what in (
        ("name: a\nname: b\n", r"copilot/shop/manifest.yml:2: name is there twice; delete one of them"),
        ("name: [\n", r"copilot/shop/manifest.yml:2: .*; this is not YAML"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n" + "c: &c [*c]\n", r"nested too deeply, or an alias holds itself"),
        ("type: Static Site\n", "no service in it"),
    ):
        application(tmp_path, shop=text)
        with pytest.raises(UsageError, match=what):
            finished(read_application(tmp_path), tmp_path)


def test_the_command_writes_both_files_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    application(tmp_path, shop=WEB)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> object:
        with pytest.raises(SystemExit) as ended:
            main(["import", "copilot", *arguments])
        return ended.value.code

    assert run() == 0
    assert "scaleout.toml written, which renders: " in capsys.readouterr().err
    before = (tmp_path / "scaleout.toml").read_bytes()
    (tmp_path / "scaleout.import.md").write_text("mine", encoding="utf-8")
    assert run() == 2
    assert "scaleout.toml: is there already; give another path with -o, or --force" in capsys.readouterr().err
    assert (tmp_path / "scaleout.toml").read_bytes() == before
    assert run("--force") == 0
    assert "What `import copilot .` made of it" in (tmp_path / "scaleout.import.md").read_text(encoding="utf-8")
    assert run("-o", "nowhere/x.toml") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"copilot", "scaleout.toml", "scaleout.import.md"}

"""`import compose`: what becomes of a Compose file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scaleout_cfn.config import Config, InternalService, Postgres, Valkey, WebService, WorkerService
from scaleout_cfn.conversion import Imported
from scaleout_cfn.conversion.compose import read_compose
from scaleout_cfn.errors import UsageError

from .accounts import assert_accounted, finished, lines

SHOP = """\
name: shop
x-app: &app
  restart: always
  environment: &variables
    LEVEL: ${LEVEL:-info}
    DATABASE_URL: postgres://shop:${DB_PASSWORD}@db:5432/shop
    API_URL: http://api:9000
services:
  front:
    build: ./front
    ports: ["8080:80"]
    depends_on: [api]
    environment:
      <<: *variables
      MYSQL_HOST: legacy
      SESSION_SECRET: abcdef
      STAGE: ${STAGE}
    healthcheck:
      test: curl -f http://localhost/up
      interval: 3s
    stop_grace_period: 5m
    cap_drop: [ALL]
    networks: [outside]
  api:
    <<: *app
    image: ghcr.io/shop/api:2.1
    expose: ["9000"]
    volumes:
      - pictures:/pictures
      - ./conf:/conf:ro
    deploy:
      replicas: 2
      resources:
        limits: {cpus: "0.5", memory: 700M}
  mailer:
    build: ./front
    command: python -m mailer --every "10 s"
    volumes:
      - pictures:/in:ro
  admin:
    image: ghcr.io/shop/admin:1
    ports: ["8081:3000"]
    labels:
      - traefik.http.routers.admin.rule=Host(`admin.example.com`) && PathPrefix(`/admin`)
  db:
    image: postgres:16-alpine
    environment:
      POSTGRES_DB: shop
      POSTGRES_PASSWORD: swordfish
  cache:
    image: redis:7
  legacy:
    image: mysql:8
  debug:
    image: busybox
    profiles: [debug]
  watcher:
    image: watchtower
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
volumes:
  pictures:
networks:
  outside:
"""


def imported_from(folder: Path, text: str, **more: str) -> tuple[Imported, Config]:
    """What a file of this text becomes, with others beside it."""
    for name, inside in more.items():
        (folder / name.replace("_", ".")).write_text(inside, encoding="utf-8")
    path = folder / "compose.yaml"
    path.write_text(text, encoding="utf-8")
    return finished(read_compose(path), folder)


def test_a_file_becomes_a_config_of_services_and_attachments(tmp_path: Path) -> None:
    imported, config = imported_from(tmp_path, SHOP, _env="STAGE=prod\nDB_PASSWORD=tulip\n")
    front, api, mailer, admin = (config.services[name] for name in ("front", "api", "mailer", "admin"))
    assert set(config.services) == {"front", "api", "mailer", "admin"} and config.stack_name == "shop"
    assert isinstance(front, WebService) and isinstance(api, InternalService) and isinstance(mailer, WorkerService)
    assert (front.container_port, front.health_check.path, front.reaches) == (80, "/up", ("api",))
    assert (front.environment["LEVEL"], front.environment["STAGE"]) == ("info", "prod")
    assert (front.stop_timeout_s, front.health_interval_s, front.capabilities) == (120, 5, ())
    assert (api.container_port, api.cpu_units, api.memory_mib, api.scaling.min_tasks) == (9000, 512, 1024, 2)
    assert (mailer.image_of, mailer.command) == ("front", ("python", "-m", "mailer", "--every", "10 s"))
    assert isinstance(admin, WebService)
    assert (admin.route.hosts, admin.route.paths) == (("admin.example.com",), ("/admin", "/admin/*"))
    db, cache = config.attachments["db"], config.attachments["cache"]
    assert isinstance(db, Postgres) and (db.version, db.database, set(db.used_by)) == ("16", "shop", {"front", "api"})
    assert isinstance(cache, Valkey)
    owners = {name: settings.volumes["pictures"] for name, settings in config.services.items() if settings.volumes}
    assert {type(volume).__name__ for volume in owners.values()} == {"EfsVolume", "EfsOfService"}
    page = lines(imported)
    assert page["services.front.environment.DATABASE_URL"][1:] == (
        "changed",
        "left out, for attachments.db tells it: DB_HOST, DB_PORT, DB_NAME, DB_USERNAME, DB_PASSWORD",
    )
    assert page["services.front.ports[0]"][:2] == ("compose.yaml:11", "changed")
    for key in ("legacy.image", "debug.image", "watcher.volumes[0]", "api.volumes[1]", "front.environment.MYSQL_HOST"):
        assert page[f"services.{key}"][1] in ("no place", "changed"), key
    assert "Amazon RDS for MySQL" in page["services.legacy.image"][2]
    assert_accounted(imported, "compose.yaml", SHOP)
    for secret in ("swordfish", "abcdef", "tulip"):
        assert secret not in imported.page + imported.config


def test_variables_without_a_value_are_left_out_and_said(tmp_path: Path) -> None:
    text = "services:\n  web:\n    image: web:${TAG}\n    ports: ['80']\n    environment: ['A=$$x', 'B=${B?why}', C]\n"
    imported, config = imported_from(tmp_path, text)
    web = config.services["web"]
    assert (web.image_uri, web.environment) == ("", {"A": "$x"})
    fates = {key: fate for key, (_, fate, _) in lines(imported).items()}
    assert [fates[f"services.web.environment[{index}]"] for index in range(3)] == ["taken", "no place", "no place"]
    assert fates["services.web.image"] == "no place"


def test_what_extends_and_files_bring_in_is_there(tmp_path: Path) -> None:
    text = (
        "services:\n  web:\n    extends: {file: base.yml, service: app}\n    ports: ['3000']\n    env_file: app.env\n"
    )
    base = "services:\n  app:\n    image: shop/app:1\n    user: '10'\n"
    imported, config = imported_from(
        tmp_path, text, base_yml=base, app_env="# for all\nexport LEVEL='debug'\nTOKEN=x1\n"
    )
    web = config.services["web"]
    assert (web.image_uri, web.user, web.environment) == ("shop/app:1", "10", {"LEVEL": "debug"})
    page = lines(imported)
    assert page["services.app.image"][0] == "base.yml:3" and page["TOKEN"][:2] == ("app.env:3", "no place")


VALUES = st.one_of(
    st.sampled_from(["info", "8", "true", "./x:/x", "v:/data:ro", "80:80", "${X}", "${Y:-z}", "1m30s", "512M", "no"]),
    st.lists(st.sampled_from(["A=1", "80", "127.0.0.1:90:91/tcp", "other", "v:/y", "SYS_PTRACE", "ALL"]), max_size=3),
    st.dictionaries(
        st.sampled_from(["A", "other", "nofile", "context", "limits"]), st.sampled_from(["1", "x"]), max_size=2
    ),
)
KEYS = [
    *(
        "image",
        "build",
        "command",
        "entrypoint",
        "environment",
        "ports",
        "expose",
        "volumes",
        "depends_on",
        "healthcheck",
    ),
    *(
        "deploy",
        "labels",
        "user",
        "read_only",
        "tmpfs",
        "ulimits",
        "cap_add",
        "cap_drop",
        "stop_grace_period",
        "restart",
    ),
    *("networks", "secrets", "configs", "profiles", "platform", "logging", "env_file", "extends", "x-mine", "surprise"),
]


@settings(max_examples=20, deadline=None)
@given(
    drawn=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=10), other=st.sampled_from(["nginx", "postgres:16"])
)
@example(drawn={"tmpfs": "./x:/x"}, other="nginx")  # a key with a dot in it
def test_each_leaf_of_a_file_has_its_line_and_the_config_loads(
    tmp_path_factory: pytest.TempPathFactory, drawn: dict[str, Any], other: str
) -> None:
    text = yaml.safe_dump({"services": {"web": drawn, "other": {"image": other}, "last": {"image": "busybox"}}})
    imported, _ = imported_from(tmp_path_factory.mktemp("drawn"), text)
    assert_accounted(imported, "compose.yaml", text)


def test_a_file_with_nothing_for_a_set_is_refused(tmp_path: Path) -> None:
    why = r"no service in it that could be one of a set; services\.db\.image: keeps data, which a task loses: .*MySQL"
    with pytest.raises(UsageError, match=why):
        imported_from(tmp_path, "services:\n  db:\n    image: mysql:8\n")

"""A Copilot application, by its manifests, as a config.

What a manifest may hold, and what it means where it says nothing: https://aws.github.io/copilot-cli/docs/manifest/overview/
"""

from __future__ import annotations

import re
from pathlib import Path

from scaleout_cfn.conversion.drafts import (
    Draft,
    as_docker_starts_it,
    command,
    environment,
    health,
    name_of,
    nearest,
    seconds,
    whole,
)
from scaleout_cfn.conversion.sources import NOTHING, Item, read_env, read_text, read_yaml
from scaleout_cfn.errors import UsageError
from scaleout_cfn.grammars import partition_of

Path_ = tuple[str, ...]

WEB, BACKEND, WORKER, JOB = "Load Balanced Web Service", "Backend Service", "Worker Service", "Scheduled Job"
RUNNER, SITE = "Request-Driven Web Service", "Static Site"
SAID = "where a manifest says nothing,"
#: CPU units and MiB of a workload that names none.
SIZES = {RUNNER: (1024, 2048)}
ENVIRONMENT_NAME = "${COPILOT_ENVIRONMENT_NAME}"

#: What has no place wherever it stands, and why.
NO_PLACE = {
    "nlb": "there is no network load balancer here: an application load balancer takes HTTP alone",
    "taskdef_overrides": "what a task definition has is written as tunables of the service, or in a stack of your own",
    "addons": "what a service needs of AWS is an attachment, or a stack of your own",
    "observability": "traces are brought by a sidecar of kind otel",
}


def find_application(folder: Path) -> Path | None:
    """The folder of manifests in a folder, or the folder itself; None where there is none."""
    for place in (folder / "copilot", folder):
        if place.name == "copilot" and place.is_dir():
            return place
    return None


class _Application:
    """What the workloads of an application have to know of one another."""

    def __init__(self, folder: Path, region: str, account: str) -> None:
        self.folder = folder
        self.region, self.account = region, account
        self.draft = Draft()
        self.name = ""
        self.environments: list[str] = []
        self.workloads: dict[str, Item] = {}
        self.names: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self.builds: dict[str, str] = {}
        self.topics: dict[tuple[str, str], Item] = {}
        self.subscriptions: list[tuple[str, str, str, Item]] = []
        self.private = False

    def shown(self, path: Path) -> str:
        inside = path.is_relative_to(self.folder.parent)
        return (path.relative_to(self.folder.parent) if inside else path).as_posix()

    def read(self, path: Path) -> Item:
        document = read_yaml(path, self.told, shown=self.shown(path))
        self.draft.documents.append(document)
        return document

    def told(self, text: str) -> str:
        """A text with the application's name in it."""
        return text.replace("${COPILOT_APPLICATION_NAME}", self.name) if self.name else text


def read_application(folder: Path, *, region: str = "", account: str = "") -> Draft:
    """A draft of the application in a folder. With region and account, secrets by name become ARNs.

    Raises UsageError where there is none, and where a manifest cannot be read.
    """
    place = find_application(folder)
    if place is None:
        raise UsageError(f"{folder}: holds no folder copilot; give the root of an application of Copilot's")
    app = _Application(place, region, account)
    workspace = place / ".workspace"
    if workspace.is_file():
        document = read_yaml(workspace, shown=app.shown(workspace))
        app.draft.documents.append(document)
        app.name = (document.get("application") or NOTHING).text
    manifests = sorted(place.glob("*/manifest.y*ml"))
    if not manifests:
        raise UsageError(f"{place}: holds no NAME/manifest.yml; give the root of an application of Copilot's")
    for path in manifests:
        document = app.read(path)
        app.workloads[(document.get("name") or NOTHING).text or path.parent.name] = document
    for path in sorted(place.glob("environments/*/manifest.y*ml")):
        document = app.read(path)
        app.environments.append((document.get("name") or NOTHING).text or path.parent.name)
        _environment(app, app.environments[-1], document)
    for document in app.workloads.values():
        app.environments += [
            name for name in (document.get("environments") or document).entries if document.get("environments")
        ]
    app.environments = list(dict.fromkeys(app.environments))
    _set(app)
    # An image that several run is the web service's, and a job runs one that is there.
    ranks = [WEB, RUNNER, BACKEND, WORKER, JOB]
    kinds = {name: (document.get("type") or NOTHING).text for name, document in app.workloads.items()}
    for name in sorted(app.workloads, key=lambda name: ranks.index(kinds[name]) if kinds[name] in ranks else 0):
        _workload(app, name, app.workloads[name])
    _between(app)
    for path in sorted([*place.glob("*/addons/*.y*ml"), *place.glob("environments/addons/*.y*ml")]):
        _addon(app, path)
    for path in sorted(
        [*place.glob("pipelines/*/manifest.y*ml"), *place.glob("pipeline.y*ml"), *place.glob("buildspec.y*ml")]
    ):
        app.read(path).mark("no place", "pipelines are a service's own here: services.NAME.pipeline, or `ci github`")
    for path in sorted(place.glob("*/overrides/**/*")):
        if path.is_file() and "node_modules" not in path.parts:
            name = app.shown(path)
            lines = len(read_text(path).splitlines())
            item = Item("(the file)", name, 1, f"{lines} lines")
            item.mark("no place", "changes of templates are written in Python here: a set of your own (README)")
            app.draft.documents.append(item)
    return app.draft


def _set(app: _Application) -> None:
    draft = app.draft
    for document in draft.documents:
        if item := document.get("application"):
            name = app.name
            if re.match("aws|ecs|fargate", name, re.IGNORECASE):
                name = f"app-{name}"
            draft.put(
                ("stack_name",),
                name,
                item,
                "" if name == app.name else "pools are named after it, and not as AWS's are",
            )
    if app.region:
        draft.put(("region",), app.region, why="--region")
    if app.account:
        draft.put(("account_id",), app.account, why="--account-id")
    _pool(app, 0, 0)
    placements = [
        item
        for document in app.workloads.values()
        for item in (
            document.get("network", "vpc", "placement"),
            *_of_environments(document, "network", "vpc", "placement"),
        )
        if item
    ]
    app.private = any(item.text == "private" for item in placements)
    egress = "nat-per-zone" if app.private else "public-subnets"
    draft.put(
        ("network", "egress"),
        egress,
        why="Copilot makes a NAT gateway a zone where a workload is private"
        if app.private
        else f"{SAID} tasks are in public subnets, without NAT",
    )


def _of_environments(document: Item, *keys: str) -> list[Item | None]:
    overlays = document.get("environments")
    return [overlay.get(*keys) for overlay in overlays.entries.values()] if overlays else []


def _pool(app: _Application, spot_percent: int, base: int) -> str:
    """The pool of tasks of which so many run on demand, and of the others this share on Spot."""
    name = "fargate" if not spot_percent else f"spot-from-n{base + 1}" if base else "spot"
    if not app.draft.at(("capacity", name)):
        app.draft.put(("capacity", name, "kind"), "fargate", why="Copilot runs all on Fargate")
        if spot_percent:
            app.draft.put(("capacity", name, "spot_percent"), spot_percent)
        if base:
            app.draft.put(("capacity", name, "on_demand_base"), base)
    return name


def _environment(app: _Application, name: str, item: Item) -> None:
    draft, path = app.draft, ("environments", name)
    app.draft.tables.setdefault("environments", {}).setdefault(name, {})
    for key in ("name", "type"):
        if found := item.get(key):
            found.mark("taken", ".".join(path))
    if vpc := item.get("network", "vpc", "id"):
        draft.put((*path, "network", "kind"), "existing")
        draft.put((*path, "network", "vpc_id"), vpc.text, vpc)
        for subnets, tunable in (("public", "load_balancer_subnets"), ("private", "node_subnets")):
            found = item.get("network", "vpc", "subnets", subnets)
            if found:
                ids = [entry.get("id") for entry in found.items]
                draft.put((*path, "network", tunable), [entry.text for entry in ids if entry], found)
    elif cidr := item.get("network", "vpc", "cidr"):
        draft.put((*path, "network", "cidr"), cidr.text, cidr)
        if subnets_ := item.get("network", "vpc", "subnets"):
            zones = max(len(side.items) for side in subnets_.entries.values()) if subnets_.entries else 2
            draft.put((*path, "network", "zones"), zones, subnets_, "the range is cut into equal subnets")
    for logs, there, why in (
        (item.get("network", "vpc", "flow_logs"), ("network", "flow_logs"), "their retention is that of all logs"),
        (
            item.get("http", "public", "access_logs"),
            ("load_balancer", "access_logs"),
            "in a bucket of the set's own",
        ),
    ):
        if logs and logs.flag is False:
            logs.mark("taken", "none")
        elif logs:
            draft.put((*path, *there), True, logs, "" if logs.flag else why)
    if group := item.get("network", "vpc", "security_group"):
        group.mark("no place", "each service has a security group of its own, and lets in who names it in reaches")
    if cdn := item.get("cdn"):
        why = (
            "load_balancer.cloudfront wants private subnets, and CloudFront's prefix list of the region let in by hand"
        )
        cdn.mark("taken" if cdn.flag is False else "no place", "none" if cdn.flag is False else why)
    if sources := item.get("http", "public", "ingress", "source_ips"):
        draft.put((*path, "load_balancer", "allowed_cidrs"), [entry.text for entry in sources.items], sources)
    if certificates := item.get("http", "public", "certificates"):
        certificates.mark(
            "no place",
            'give load_balancer.listener of kind = "certificate" its certificate_arn and domain_name',
        )
    if private := item.get("http", "private"):
        private.mark("no place", "internal services are reached by name, without a load balancer")
    if insights := item.get("observability", "container_insights"):
        draft.put((*path, "cluster", "container_insights"), "enabled" if insights.flag else "disabled", insights)
    item.mark("no place", "no tunable says it")


def _workload(app: _Application, name: str, item: Item) -> None:
    """A service or a job, and what its environments have otherwise."""
    kind = (item.get("type") or NOTHING).text
    draft = app.draft
    if kind not in (WEB, BACKEND, WORKER, JOB, RUNNER):
        why = (
            "a site of files is no service: S3 and CloudFront serve it" if kind == SITE else f"of type {kind or 'none'}"
        )
        item.mark("no place", why)
        return
    platform = item.get("platform")
    if platform and "windows" in " ".join(leaf.text for leaf in platform.leaves()).lower():
        item.mark("no place", "runs on Windows, and all here is Linux")
        return
    own = app.names[name] = name_of(name, app.names.values())
    root = ("jobs", own) if kind == JOB else ("services", own)
    port = item.get("image", "port")
    if kind != JOB:
        shape = {WEB: "web", RUNNER: "web", WORKER: "worker"}.get(kind) or ("internal" if port else "worker")
        http = item.get("http")
        if shape == "web" and http and http.flag is False:
            shape = "internal"
        app.kinds[own] = shape
        draft.put((*root, "kind"), shape)
        draft.came_from(root, item)
    for key in ("name", "type"):
        if found := item.get(key):
            found.mark("taken" if own == name else "changed", ".".join(root))
    as_docker_starts_it(draft, root, SAID)
    if kind != JOB:
        draft.put((*root, "scaling", "high_resolution"), False, why=f"{SAID} metrics come by the minute")
    _told(app, root, kind, item, base=None)
    overlays = item.get("environments")
    for environment_, overlay in (overlays.entries if overlays else {}).items():
        path = ("environments", environment_, *root)
        draft.tables.setdefault("environments", {}).setdefault(environment_, {})
        if not overlay.entries:
            overlay.mark("taken", "nothing else")
            continue
        _told(app, path, kind, overlay, base=item)


def _told(app: _Application, path: Path_, kind: str, item: Item, base: Item | None) -> None:
    """What a manifest says, or what an environment has otherwise than `base`."""
    own = path[-1]
    draft = app.draft
    is_job, is_base = kind == JOB, base is None
    shape = app.kinds.get(own, "")
    if image := item.get("image"):
        _image(app, path, own, image, is_job, shape)
    elif is_base and is_job:
        draft.put((*path, "image_uri"), f"replace-me.invalid/{own}:latest", why="the manifest names no image")
    _size(app, path, kind, item, base)
    if platform := item.get("platform"):
        arm = "arm" in " ".join(leaf.text for leaf in platform.leaves())
        draft.put((*path, "architecture"), "arm64" if arm else "x86_64", platform)
    if shape == "web":
        _http(app, path, kind, item, is_base)
    elif http := item.get("http"):
        http.mark(
            "taken" if http.flag is False else "changed",
            "there is no internal load balancer: it is reached by its name",
        )
    if not is_job:
        _count(app, path, item.get("count"), is_base, kind)
    if (exec_ := item.get("exec")) is not None:
        if is_job:
            exec_.mark("no place", "a job is over before one could look into it")
        else:
            draft.put((*path, "exec"), bool(exec_.flag), exec_)
    for key in ("entrypoint", "command"):
        command(draft, (*path, key), item.get(key))
    _variables(app, path, item)
    for name, found in (item.get("secrets") or NOTHING).entries.items():
        _secret(app, path, name, found)
    if not is_job:
        if storage := item.get("storage"):
            _storage(app, path, own, storage)
        _sidecars(app, path, own, item, base)
    if network := item.get("network"):
        _network(app, path, network)
    if deployment := item.get("deployment"):
        _deployment(app, path, deployment)
    if logging := item.get("logging"):
        _logging(app, path, logging, is_job)
    if publish := item.get("publish"):
        for entry in (publish.get("topics") or publish).items:
            if topic := entry.get("name"):
                app.topics[own, topic.text] = entry
    if (subscribe := item.get("subscribe")) and shape == "worker":
        _subscribe(app, path, own, subscribe)
    elif is_base and kind == WORKER:
        draft.put((*path, "queue"), {}, why="Copilot makes each worker service a queue")
    if is_job:
        _schedule(app, path, item)
    for key, why in NO_PLACE.items():
        if nowhere := item.get(key):
            nowhere.mark("no place", why)


def _image(app: _Application, path: Path_, own: str, item: Item, is_job: bool, shape: str) -> None:
    draft = app.draft
    if location := item.get("location"):
        draft.put((*path, "image_uri"), location.text, location)
    if build := item.get("build"):
        said = " ".join(f"{leaf.path.rpartition('.')[2]}={leaf.text}" for leaf in build.leaves())
        folder = (build.get("context") or build).text or str(Path(build.text or "Dockerfile").parent)
        folder = str(Path(folder).parent) if build.text else folder
        other = app.builds.get(said)
        if other and other != own:
            draft.put((*path, "image_of"), other, build, f"it is built as that of {other} is, and is one image here")
        elif is_job:
            uri = f"replace-me.invalid/{own}:latest"
            if app.account and app.region:  # https://aws.github.io/copilot-cli/docs/concepts/services/
                host = "amazonaws.com.cn" if app.region.startswith("cn-") else "amazonaws.com"
                uri = f"{app.account}.dkr.ecr.{app.region}.{host}/{app.name}/{own}:latest"
            draft.put(
                (*path, "image_uri"), uri, build, "a job has no repository of its own: push its image, and name it here"
            )
        else:
            app.builds.setdefault(said, own)
            build.mark("taken", f"`image build {folder or '.'} --service {own}`, and `deploy --build`")
    if port := item.get("port"):
        if shape in ("web", "internal") and port.number is not None:
            draft.put((*path, "container_port"), port.number, port)
        else:
            port.mark("no place", "nothing is sent to it")
    if credentials := item.get("credentials"):
        draft.put((*path, "registry_secret"), credentials.text, credentials)
    for name, label in (item.get("labels") or NOTHING).entries.items():
        draft.put((*path, "labels", name), label.text, label)
    if healthcheck := item.get("healthcheck"):
        health(draft, path, healthcheck, healthcheck.get("command"), (10, 5, 2, 0), SAID)
    for name, condition in (item.get("depends_on") or NOTHING).entries.items():
        draft.put((*path, "after", name), condition.text.upper(), condition)


def _size(app: _Application, path: Path_, kind: str, item: Item, base: Item | None) -> None:
    given = {key: item.get(key) for key in ("cpu", "memory")}
    if base is not None and not any(given.values()):
        return
    there = SIZES.get(kind, (256, 512))
    wanted = []
    for key, usual in zip(given, there, strict=True):
        found = given[key] or (base.get(key) if base else None)
        wanted.append(usual if found is None or found.number is None else found.number)
    size = nearest(*wanted)
    for key, tunable, value in (("cpu", "cpu_units", size.cpu_units), ("memory", "memory_mib", size.memory_mib)):
        app.draft.put((*path, tunable), value, given[key], size.why if given[key] else size.why or f"{SAID} it is so")


def _http(app: _Application, path: Path_, kind: str, item: Item, is_base: bool) -> None:
    draft = app.draft
    http = item.get("http") or NOTHING
    hosts: list[str] = []
    if alias := http.get("alias"):
        zone = next(
            (entry.get("hosted_zone") for entry in alias.items if entry.get("hosted_zone")), http.get("hosted_zone")
        )
        hosts = [(entry.get("name") or entry).text.lower() for entry in alias.items]
        if not all("." in host for host in hosts):
            alias.mark("no place", "is no name of a host")
            hosts = []
        elif zone:
            draft.put((*path, "route", "hosts"), hosts, alias, "certificate and records are made in the hosted zone")
            draft.put((*path, "route", "hosted_zone_id"), zone.text, zone)
            environments = path[:2] if path[0] == "environments" else ()
            if draft.at((*environments, "load_balancer", "listener", "domain_name")) is None:
                for key, value in (("kind", "domain"), ("domain_name", hosts[0]), ("hosted_zone_id", zone.text)):
                    draft.put((*environments, "load_balancer", "listener", key), value, why=f"http.alias of {path[-1]}")
        else:
            draft.put(
                (*path, "route", "hosts"),
                hosts,
                alias,
                'Copilot knew the hosted zone: give load_balancer.listener of kind = "domain" its id for HTTPS',
            )
    if found := http.get("path"):
        paths = _paths(found.text)
        if paths:
            draft.put((*path, "route", "paths"), paths, found)
        else:
            others = [
                name
                for name, other in draft.at(("services",)).items()
                if name != path[-1]
                and other.get("kind") == "web"
                and not other.get("route", {}).get("paths")
                and not other.get("route", {}).get("hosts")
            ]
            if others and is_base and not hosts:
                draft.put(
                    (*path, "route", "paths"), [f"/{path[-1]}/*"], found, f"{others[0]} gets all that nobody claims"
                )
            else:
                found.mark("taken", "all that no other claims")
    if rules := http.get("additional_rules"):
        _more_rules(app, path, rules)
    check = http.get("healthcheck") or item.get("http", "healthcheck")
    where = (*path, "health_check")
    if is_base:
        for tunable, usual in {"path": "/", "interval_s": 30, "healthy_count": 5, "unhealthy_count": 2}.items():
            draft.put((*where, tunable), usual, why=f"{SAID} it is {usual}")
        draft.put((*path, "deregistration_delay_s"), 60, why=f"{SAID} it is 60")
    if check is not None and check.text:
        draft.put((*where, "path"), check.text, check)
    elif check is not None:
        for key, tunable in (("path", "path"), ("success_codes", "codes")):
            if found := check.get(key):
                draft.put((*where, tunable), found.text, found)
        for key, tunable in (
            ("port", "port"),
            ("healthy_threshold", "healthy_count"),
            ("unhealthy_threshold", "unhealthy_count"),
        ):
            if (found := check.get(key)) and found.number is not None:
                draft.put((*where, tunable), found.number, found)
        for key, target in (
            ("interval", (*where, "interval_s")),
            ("timeout", (*where, "timeout_s")),
            ("grace_period", (*path, "deployment", "health_check_grace_s")),
        ):
            _seconds(draft, target, check.get(key))
    _seconds(draft, (*path, "deregistration_delay_s"), http.get("deregistration_delay"))
    if sticky := http.get("stickiness"):
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
        draft.put((*path, "stickiness_s"), 86400 if sticky.flag else 0, sticky)
    if version := http.get("version"):
        draft.put((*path, "protocol"), version.text.lower(), version)
    if sources := http.get("allowed_source_ips"):
        sources.mark("no place", "load_balancer.allowed_cidrs says it, of all services")
    if redirect := http.get("redirect_to_https"):
        redirect.mark("taken" if redirect.flag else "no place", "a listener with TLS always redirects")
    for key in ("target_container", "target_port"):
        if found := http.get(key):
            found.mark(
                "changed", "the load balancer goes to container_port; a sidecar of kind proxy can be in front of it"
            )
    if private := http.get("private"):
        private.mark("no place", 'kind = "internal" is reached from the set alone')
    http.mark("no place", "no tunable says it")


def _paths(text: str) -> list[str]:
    """A path and all below it, as Copilot means one; nothing for all there is."""
    text = text.strip().strip("/")
    return [] if text in ("", "*") else [f"/{text}"] if text.endswith("*") else [f"/{text}", f"/{text}/*"]


def _more_rules(app: _Application, path: Path_, rules: Item) -> None:
    for rule in rules.items:
        found = rule.get("path")
        if found is None or rule.get("target_port") or rule.get("target_container") or rule.get("alias"):
            rule.mark("no place", "a service has one route, to one port of its own container")
            continue
        there = app.draft.at((*path, "route", "paths"))
        if there:
            app.draft.put((*path, "route", "paths"), [*there, *_paths(found.text)], found)
        else:
            found.mark("taken", "is of all that no other claims")
        rule.mark("no place", "is that of the whole route")


def _seconds(draft: Draft, path: Path_, item: Item | None) -> None:
    if item is None:
        return
    value = seconds(item.text)
    if value is None:
        item.mark("no place", "is no time that can be read")
    else:
        draft.put(path, round(value), item)


def _count(app: _Application, path: Path_, count: Item | None, is_base: bool, kind: str) -> None:
    draft = app.draft
    scaling = (*path, "scaling")
    if kind == RUNNER:
        if is_base:
            for tunable, value in (("min_tasks", 1), ("max_tasks", 25)):
                draft.put(
                    (*scaling, tunable),
                    value,
                    why="App Runner's own; it scales by concurrent requests, and this by CPU",
                )
        if count is not None:
            count.mark("no place", "names App Runner's own scaling")
        return
    if count is None:
        if is_base:
            for tunable in ("min_tasks", "max_tasks"):
                draft.put((*scaling, tunable), 1, why=f"{SAID} one task runs")
        return
    if (spot := count.get("spot")) and spot.number is not None:
        draft.put((*path, "capacity"), _pool(app, 100, 0), spot)
    for number in (count, spot):
        if number is not None and number.number is not None:
            draft.put((*scaling, "min_tasks"), number.number, number)
            draft.put((*scaling, "max_tasks"), max(number.number, 1), number)
            if number is count:
                draft.put((*path, "capacity"), "fargate")
            return
    if span := count.get("range"):
        if ends := re.fullmatch(r"([0-9]+)-([0-9]+)", span.text):
            draft.put((*scaling, "min_tasks"), int(ends[1]), span)
            draft.put((*scaling, "max_tasks"), int(ends[2]), span)
        for tunable, end in (("min_tasks", span.get("min")), ("max_tasks", span.get("max"))):
            if end and end.number is not None:
                draft.put((*scaling, tunable), end.number, end)
        if (start := span.get("spot_from")) and start.number is not None:
            draft.put((*path, "capacity"), _pool(app, 100, max(start.number - 1, 0)), start)
        if is_base and not count.get("cpu_percentage"):
            draft.put((*scaling, "cpu", "enabled"), False, why="the manifest does not scale by CPU")
    for key, tunable in (("cpu_percentage", "cpu"), ("memory_percentage", "memory"), ("requests", "requests")):
        metric = count.get(key)
        if metric is None:
            continue
        target = metric.get("value") or metric
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", target.text):
            draft.put((*scaling, tunable, "enabled"), True)
            draft.put((*scaling, tunable, "target"), whole(float(target.text)), target)
        for side, name, usual in (("in", "scale_in_cooldown_s", 120), ("out", "scale_out_cooldown_s", 60)):
            if cooldown := metric.get("cooldown", side) or count.get("cooldown", side):
                _seconds(draft, (*scaling, tunable, name), cooldown)
            elif is_base:
                draft.put((*scaling, tunable, name), usual, why=f"{SAID} it is {usual}")
    if response := count.get("response_time"):
        response.mark("no place", "nothing here scales by response time; track requests or CPU")
    if delay := count.get("queue_delay"):
        for key, tunable in (("acceptable_latency", "latency_s"), ("msg_processing_time", "seconds_per_message")):
            if (time := delay.get(key)) and (time_s := seconds(time.text)):
                draft.put((*path, "queue", tunable), whole(time_s), time)
        delay.mark("no place", "the backlog is followed as CloudWatch tells it")
    count.mark("no place", "no tunable says it")


def _variables(app: _Application, path: Path_, item: Item) -> None:
    draft = app.draft
    variables = dict((item.get("variables") or NOTHING).entries)
    if file := item.get("env_file"):
        place = app.folder.parent / file.text
        if place.is_file():
            document = read_env(place, shown=app.shown(place))
            draft.documents.append(document)
            file.mark("taken", "its lines, each by itself")
            variables = {**document.entries, **variables}
        else:
            file.mark("no place", "the file is not there; environment_files takes one that is in S3")
    for name, value in list(variables.items()):
        if export := value.get("from_cfn"):
            export.mark("no place", f"is an export of another stack: write its value into {'.'.join(path)}.environment")
            del variables[name]
        elif ENVIRONMENT_NAME in value.text:
            del variables[name]
            _by_environment(app, path, ("environment", name), value, value.text)
        elif "${" in value.text:
            value.mark("no place", "is made of variables of whoever deploys; write what they are")
            del variables[name]
    environment(draft, path, variables)


def _by_environment(app: _Application, path: Path_, tail: Path_, item: Item, text: str) -> None:
    """What has the environment's name in it: a value in each overlay, or one where this is of an overlay."""
    names = [path[1]] if path[0] == "environments" else app.environments
    root = path[2:] if path[0] == "environments" else path
    for name in names:
        app.draft.tables.setdefault("environments", {}).setdefault(name, {})
        told = text.replace(ENVIRONMENT_NAME, name)
        app.draft.put(("environments", name, *root, *tail), told, item, "it is another in each environment")
    if not names:
        item.mark("no place", "has the environment's name in it, and no environment is known here")


def _secret(app: _Application, path: Path_, name: str, item: Item) -> None:
    draft = app.draft
    where = ".".join((*path, "secrets", name))
    if item.get("from_cfn"):
        item.mark("no place", f"is an export of another stack: write the secret's ARN into {where}")
        return
    text = (item.get("secretsmanager") or item).text
    if text.startswith("arn:"):
        draft.put((*path, "secrets", name), text, item)
    elif item.get("secretsmanager"):
        item.mark(
            "no place", f"the ARN of a secret ends in six letters that its name does not tell: write it into {where}"
        )
    elif not (app.account and app.region):
        item.mark(
            "no place", f"a parameter's ARN has region and account: give --region and --account-id, or write {where}"
        )
    else:
        arn = f"arn:{partition_of(app.region) or 'aws'}:ssm:{app.region}:{app.account}:parameter/{text.lstrip('/')}"
        if ENVIRONMENT_NAME in arn:
            _by_environment(app, path, ("secrets", name), item, arn)
        elif "${" in arn:
            item.mark("no place", "is made of variables of whoever deploys; write what they are")
        else:
            draft.put((*path, "secrets", name), arn, item)


def _storage(app: _Application, path: Path_, own: str, storage: Item) -> None:
    draft = app.draft
    if (disk := storage.get("ephemeral")) and disk.number is not None:
        draft.put((*path, "ephemeral_storage_gib"), 0 if disk.number == 20 else disk.number, disk)
    if (readonly := storage.get("readonly_fs")) is not None:
        draft.put((*path, "read_only"), bool(readonly.flag), readonly)
    for name, volume in (storage.get("volumes") or NOTHING).entries.items():
        where = (*path, "volumes", name_of(name))
        efs = volume.get("efs")
        mount = volume.get("path")
        if mount is None:
            volume.mark("no place", "nothing says where it is mounted")
            continue
        if efs is None or efs.flag is False:
            draft.put((*where, "kind"), "bind")
            if efs:
                efs.mark("taken", "none")
        elif efs.get("id"):
            draft.put((*where, "kind"), "existing-efs")
            draft.put((*where, "file_system_id"), efs.entries["id"].text, efs.entries["id"])
            if point := efs.get("auth", "access_point_id"):
                draft.put((*where, "access_point_id"), point.text, point)
            efs.mark("no place", "the whole file system is mounted, or what the access point shows of it")
        else:
            draft.put((*where, "kind"), "efs")
            for key in ("uid", "gid"):
                if (number := efs.get(key)) and number.number is not None:
                    draft.put((*where, key), number.number, number)
            efs.mark("changed", "a new file system, and an empty one: what is in Copilot's is to be copied")
        draft.put((*where, "mounts", own), mount.text, mount)
        readonly = volume.get("read_only")
        if (readonly is None and (efs is not None and efs.flag is not False)) or (readonly and readonly.flag):
            draft.put((*where, "read_only_for"), [own], readonly, "" if readonly else f"{SAID} a volume is only read")
        elif readonly:
            readonly.mark("taken", ".".join((*where, "read_only_for")))


def _sidecars(app: _Application, path: Path_, own: str, item: Item, base: Item | None) -> None:
    draft = app.draft
    sidecars = item.get("sidecars")
    if sidecars is None:
        return
    size = [draft.at((*path, tunable)) or draft.at((*path[-2:], tunable)) for tunable in ("cpu_units", "memory_mib")]
    share = len(sidecars.entries) + 1
    for name, sidecar in sidecars.entries.items():
        given = sidecar.get("image")
        where = (*path, "sidecars", name_of(name))
        image = (given.get("location") if given and given.entries else given) if given else None
        is_new = base is None or base.get("sidecars", name) is None
        if is_new and image is None:
            sidecar.mark(
                "no place", "is built by itself, and a sidecar has no repository here: push its image, and name it"
            )
            continue
        if is_new:
            draft.put((*where, "kind"), "container")
            draft.came_from(where, sidecar)
            for tunable, whole, most in (("cpu_units", size[0], 128), ("memory_mib", size[1], 256)):
                draft.put(
                    (*where, tunable),
                    min(whole // share, most),
                    why="a sidecar has a part of its task's size of its own",
                )
            as_docker_starts_it(draft, where, SAID)
        if image:
            draft.put((*where, "image_uri"), image.text, image)
        if port := sidecar.get("port"):
            number = re.match(r"[0-9]+", port.text)
            if number:
                draft.put((*where, "ports"), [int(number[0])], port)
        if (essential := sidecar.get("essential")) is not None:
            draft.put((*where, "essential"), bool(essential.flag), essential)
        if credentials := sidecar.get("credentialsParameter"):
            draft.put((*where, "registry_secret"), credentials.text, credentials)
        for key in ("entrypoint", "command"):
            command(draft, (*where, key), sidecar.get(key))
        _variables(app, where, sidecar)
        for variable, secret in (sidecar.get("secrets") or NOTHING).entries.items():
            _secret(app, where, variable, secret)
        for label, text in (sidecar.get("labels") or NOTHING).entries.items():
            draft.put((*where, "labels", label), text.text, text)
        for other, condition in (sidecar.get("depends_on") or NOTHING).entries.items():
            draft.put((*where, "after", app.names.get(other, name_of(other))), condition.text.upper(), condition)
        if healthcheck := sidecar.get("healthcheck"):
            health(draft, where, healthcheck, healthcheck.get("command"), (10, 5, 2, 0), SAID)
        for point in (sidecar.get("mount_points") or NOTHING).items:
            volume, place = point.get("source_volume"), point.get("path")
            if volume and place:
                of_task = (*path, "volumes", name_of(volume.text))
                draft.put((*of_task, "mounts", where[-1]), place.text, place)
                volume.mark("taken", ".".join(of_task))
                readonly = point.get("read_only")
                if readonly is None or readonly.flag:
                    there = draft.at((*of_task, "read_only_for")) or []
                    draft.put(
                        (*of_task, "read_only_for"),
                        [*there, where[-1]],
                        readonly,
                        "" if readonly else f"{SAID} it only reads",
                    )
                else:
                    readonly.mark("taken", ".".join((*of_task, "read_only_for")))
        sidecar.mark("no place", "no tunable says it")


def _network(app: _Application, path: Path_, network: Item) -> None:
    if (connect := network.get("connect")) is not None:
        connect.mark(
            "changed" if connect.get("alias") else "taken",
            "internal services are reached by their names, through Service Connect",
        )
    if placement := network.get("vpc", "placement"):
        if placement.text == "private" or (placement.text == "public" and not app.private):
            placement.mark("taken", "network.egress")
        elif placement.text == "public":
            placement.mark("changed", "another workload is private, and all of a set are in the same subnets")
        else:
            placement.mark("no place", 'subnets are those of the whole set: network of kind = "existing"')
    if groups := network.get("vpc", "security_groups"):
        groups.mark("no place", "a service has a security group of its own, whom other groups have to let in by hand")


def _deployment(app: _Application, path: Path_, deployment: Item) -> None:
    draft = app.draft
    if rolling := deployment.get("rolling"):
        if rolling.text == "recreate":
            draft.put((*path, "deployment", "minimum_healthy_percent"), 0, rolling)
            draft.put((*path, "deployment", "maximum_percent"), 100, rolling)
            draft.put((*path, "zone_rebalancing"), False, why="it starts a task before it stops one")
        else:
            rolling.mark("taken", "as it is")
    alarms = deployment.get("rollback_alarms")
    used = (alarms.get("cpu_utilization") or alarms.get("memory_utilization")) if alarms else None
    if used and used.number is not None:
        draft.put((*path, "alarms", "utilization_percent"), used.number, used, "of CPU and memory alike")
    if alarms:
        alarms.mark("no place", "a deployment is taken back by the service's own alarms")
    deployment.mark("no place", "no tunable says it")


def _logging(app: _Application, path: Path_, logging: Item, is_job: bool) -> None:
    draft = app.draft
    if (retention := logging.get("retention")) and retention.number is not None:
        root = path[:2] if path[0] == "environments" else ()
        draft.put((*root, "observability", "log_retention_days"), retention.number, retention, "of all services alike")
    destination = logging.get("destination")
    if destination and destination.get("Name") and not is_job:
        where = (*path, "sidecars", "logs")
        draft.put((*where, "kind"), "firelens")
        draft.put((*where, "output"), destination.entries["Name"].text.lower(), destination.entries["Name"])
        for name, option in destination.entries.items():
            if name != "Name":
                draft.put((*where, "options", name), option.text, option)
    logging.mark("no place", "the sidecar of kind firelens makes the rest itself")


def _subscribe(app: _Application, path: Path_, own: str, subscribe: Item) -> None:
    draft = app.draft
    where = (*path, "queue")
    draft.put(where, draft.at(where) or {})
    draft.put((*where, "visibility_s"), 30, why=f"{SAID} it is 30")
    if queue := subscribe.get("queue"):
        _seconds(draft, (*where, "visibility_s"), queue.get("timeout"))
        if (retention := queue.get("retention")) and (time := seconds(retention.text)):
            days = min(max(round(time / 86400), 1), 14)
            draft.put(
                (*where, "retention_days"), days, retention, "" if days * 86400 == time else "whole days, 1 to 14"
            )
        if (tries := queue.get("dead_letter", "tries")) and tries.number is not None:
            draft.put((*where, "max_receives"), tries.number, tries)
        if fifo := queue.get("fifo"):
            if fifo.flag is False:
                fifo.mark("taken", "none")
            else:
                draft.put(
                    (*where, "fifo"),
                    True,
                    fifo,
                    "" if fifo.flag else "deduplicated by content, at the usual throughput",
                )
        queue.mark("no place", "no tunable says it")
    for topic in (subscribe.get("topics") or NOTHING).items:
        name, service = topic.get("name"), topic.get("service")
        if name and service:
            app.subscriptions.append((own, service.text, name.text, topic))
    if (topics := subscribe.get("topics")) is not None and not topics.items:
        topics.mark("taken", "none")


def _schedule(app: _Application, path: Path_, item: Item) -> None:
    draft = app.draft
    if found := item.get("on", "schedule"):
        at = _at(found.text)
        if at is None:
            found.mark("taken" if found.text.lower() in ("none", "") else "no place", "by hand alone: `jobs run`")
        else:
            draft.put((*path, "at"), at, found, "" if at == found.text else "as EventBridge Scheduler says it")
    if (retries := item.get("retries")) and retries.number is not None:
        retries.mark(
            "no place", "a run that fails is not tried again here; jobs.NAME.retries is of starts that AWS refuses"
        )
    if timeout := item.get("timeout"):
        timeout.mark("no place", "a run ends when its command does")
    # https://aws.github.io/copilot-cli/docs/concepts/jobs/: a state machine starts it, and leaves none out
    if found := item.get("on"):
        found.mark("no place", "no tunable says it")


_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def _at(text: str) -> str | None:
    """A schedule of Go's cron with its shorthands as one of AWS's; None for none, and for one that has no equal."""
    text = text.strip()
    short = {"@hourly": "0 * * * ?", "@daily": "0 0 * * ?", "@midnight": "0 0 * * ?", "@weekly": "0 0 ? * SUN"}
    short |= {"@monthly": "0 0 1 * ?", "@yearly": "0 0 1 1 ?", "@annually": "0 0 1 1 ?"}
    if text in short:
        return f"cron({short[text]} *)"
    if re.match(r"(cron|rate|at)\(", text):
        return text
    if text.startswith("@every ") and (time := seconds(text[7:].strip())):
        for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
            if time % size == 0:
                count = round(time / size)
                return f"rate({count} {unit}{'' if count == 1 else 's'})"
        return None
    fields = text.split()
    if len(fields) != 5:
        return None
    minute, hour, day, month, weekday = fields
    if weekday not in ("*", "?"):
        if day not in ("*", "?"):
            return None  # either of the two, in Go's cron
        # AWS counts the days of the week from 1, Sunday.
        weekday = re.sub(r"(?<![/#\d])[0-7](?!\d)", lambda found: _DAYS[int(found[0])], weekday).upper()
        day = "?"
    else:
        weekday = "?"
    return f"cron({minute} {hour} {day} {month} {weekday} *)"


def _between(app: _Application) -> None:
    """Who reaches whom, and who sends to whom."""
    draft = app.draft
    pools = draft.at(("capacity",))
    for section in ("services", "jobs"):
        for settings in (draft.at((section,)) or {}).values():
            if len(pools) > 1:
                settings.setdefault("capacity", "fargate")
    internal = [name for name, shape in app.kinds.items() if shape == "internal"]
    for name in [*app.kinds]:
        reached = [other for other in internal if other != name]
        if reached:
            draft.put(
                ("services", name, "reaches"),
                reached,
                why="in Copilot each service reaches each: take away who need not",
            )
    heard: set[tuple[str, str]] = set()
    for worker, publisher, topic, item in app.subscriptions:
        sender = app.names.get(publisher, publisher)
        heard.add((sender, topic))
        where = ("services", sender, "sends_to")
        if sender in app.kinds:
            there = draft.at(where) or []
            draft.put(where, list(dict.fromkeys([*there, worker])))
            variable = f"{worker.upper().replace('-', '_')}_QUEUE_URL"
            why = f"no topic: {sender} sends to the queue itself, which {variable} tells it, and {worker} by QUEUE_URL"
            item.mark("changed", f"services.{sender}.sends_to: {why}")
        else:
            item.mark("no place", f"{publisher} is no service of this application")
    for (service, topic), item in app.topics.items():
        is_heard = (service, topic) in heard
        item.mark(
            "changed" if is_heard else "no place",
            "no topic: it sends to the queues of who hears it" if is_heard else "nobody here hears it",
        )


def _addon(app: _Application, path: Path) -> None:
    """An addon's template: of tables and buckets attachments are made, and empty ones; all else has no place."""
    document = app.read(path)
    draft = app.draft
    user = app.names.get(path.parent.parent.name)
    attachments = draft.tables.setdefault("attachments", {})
    for title, resource in (document.get("Resources") or NOTHING).entries.items():
        kind = (resource.get("Type") or NOTHING).text
        if kind not in ("AWS::DynamoDB::Table", "AWS::S3::Bucket"):
            if kind.startswith("AWS::"):
                resource.mark("no place", f"{kind}: an attachment, or a stack of your own")
            continue
        name = name_of(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", title), [*attachments, *app.names.values()])
        where = ("attachments", name)
        draft.put((*where, "kind"), "table" if kind.endswith("Table") else "bucket")
        if kind.endswith("Table"):
            _table(draft, where, resource)
        if user:
            draft.put((*where, "used_by"), [user])
        resource.mark("changed", f"attachments.{name}: a new one, and empty: what is in the old one is to be copied")
    if not attachments:
        del draft.tables["attachments"]
    document.mark("no place", "is of the addon's own template")


def _table(draft: Draft, where: Path_, resource: Item) -> None:
    types = {
        (entry.get("AttributeName") or entry).text: (entry.get("AttributeType") or entry).text
        for entry in (resource.get("Properties", "AttributeDefinitions") or NOTHING).items
    }
    for entry in (resource.get("Properties", "KeySchema") or NOTHING).items:
        name, kind = entry.get("AttributeName"), entry.get("KeyType")
        if name and kind:
            side = "partition_key" if kind.text == "HASH" else "sort_key"
            draft.put((*where, side), name.text, name)
            draft.put((*where, f"{side}_type"), types.get(name.text, "S"), kind)

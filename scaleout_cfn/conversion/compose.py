"""A Compose file as a config.

What a file may hold, and what it means: https://github.com/compose-spec/compose-spec/blob/main/spec.md
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from scaleout_cfn.config.containers import PATH
from scaleout_cfn.config.tunables import problem_with
from scaleout_cfn.conversion.drafts import (
    Draft,
    as_docker_starts_it,
    command,
    environment,
    health,
    is_secret,
    name_of,
    nearest,
    seconds,
)
from scaleout_cfn.conversion.sources import NOTHING, Item, read_env, read_yaml

#: https://github.com/compose-spec/compose-spec/blob/main/spec.md#compose-file: the first that is there is meant.
FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
SAID = "in Compose, where a service says nothing,"
NO_VALUE = "a variable in it has no value in .env and no default, or is a secret by its name"
#: Marks what a variable without a value left behind.
UNSET = "\0"

#: Images that keep data, by a part of their name, and where that is kept at AWS instead.
_KEPT = {
    "mysql": "Amazon RDS for MySQL",
    "mariadb": "Amazon RDS for MariaDB",
    "mssql": "Amazon RDS for SQL Server",
    "mongo": "Amazon DocumentDB",
    "elasticsearch": "Amazon OpenSearch Service",
    "opensearch": "Amazon OpenSearch Service",
    "rabbitmq": "Amazon MQ, or a worker's queue",
    "activemq": "Amazon MQ, or a worker's queue",
    "kafka": "Amazon MSK",
    "zookeeper": "Amazon MSK, which has its own",
    "cassandra": "Amazon Keyspaces",
    "clickhouse": "a database that is run elsewhere",
    "cockroach": "a database that is run elsewhere",
    "neo4j": "Amazon Neptune",
    "influxdb": "Amazon Timestream",
    "minio": 'an attachment of kind = "bucket"',
    "localstack": "AWS itself",
}
#: What is beside one that keeps data, and keeps none.
_BESIDE = re.compile("exporter|express|compass|admin|cerebro|kibana|-ui")
#: Lists that replace one another, where others follow one another.
_WHOLE = ("command", "entrypoint")
_WORDS = {
    "container_name": "ECS names containers by their service",
    "hostname": "ECS names its tasks itself; others find it by the name of its service",
    "domainname": "ECS names its tasks itself",
    "tty": "nobody looks at it while it runs; `exec` opens a shell",
    "stdin_open": "nobody looks at it while it runs; `exec` opens a shell",
    "privileged": "Fargate takes no privileged container",
    "network_mode": "each task has a network interface of its own",
    "pid": "containers of other tasks are not seen",
    "ipc": "containers of other tasks are not seen",
    "devices": "Fargate hands over no device",
    "security_opt": "Fargate has its own",
    "sysctls": "there is no tunable for them",
    "extra_hosts": "names are those of DNS",
    "dns": "names are those of the VPC's DNS",
    "dns_search": "names are those of the VPC's DNS",
    "links": "services that it may reach are in reaches",
    "external_links": "is outside the set",
    "networks": "who reaches whom is said by reaches",
    "logging": "logs go to CloudWatch; another driver is log_driver, or a sidecar of kind firelens",
    "configs": "a file of this machine is in no task: copy it into the image",
    "secrets": "put it into Secrets Manager, and its ARN into services.{name}.secrets, as a variable",
    "develop": "is for a machine to develop on",
    "attach": "is for a terminal",
    "pull_policy": "ECS pulls an image by its digest",
    "init": "ECS has no init here; let the image have one",
    "shm_size": "a memory file system is tmpfs_mib",
    "group_add": "a container has one group, in user",
    "mac_address": "ECS chooses it",
    "runtime": "ECS chooses it",
    "userns_mode": "Fargate has its own",
    "cgroup_parent": "Fargate has its own",
    "oom_score_adj": "a task that needs more than its memory is ended",
    "oom_kill_disable": "a task that needs more than its memory is ended",
    "memswap_limit": "Fargate has no swap",
    "mem_swappiness": "Fargate has no swap",
    "blkio_config": "Fargate has no such limit",
    "cpu_shares": "a task has the CPU that cpu_units says",
    "cpuset": "a task has the CPU that cpu_units says",
    "stop_signal": "is the image's own: STOPSIGNAL",
    "volumes_from": "a volume says itself who mounts it",
    "isolation": "is for Windows",
    "annotations": "there is no tunable for them",
    "gpus": "Fargate has none: services.{name}.gpus on a pool of EC2 nodes",
    "post_start": "a sidecar of kind init runs before it",
    "pre_stop": "SIGTERM comes first, then stop_timeout_s",
}


def find_file(folder: Path) -> Path | None:
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


class _File:
    """A Compose file, and what its services have to know of one another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.parent
        self.values: dict[str, str] = {}
        self.used: set[str] = set()
        env = self.folder / ".env"
        self.env = read_env(env, shown=env.name) if env.is_file() else None
        if self.env:
            self.values = {name: item.text for name, item in self.env.entries.items()}
        self.root = read_yaml(path, self.told, shown=path.name)
        self.draft = Draft(self.root)
        self.services: dict[str, Item] = {}
        self.names: dict[str, str] = {}
        #: What attachments are made of, by the service that was one, and those that have no place, with why.
        self.attachments: dict[str, str] = {}
        self.gone: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self.builds: dict[str, str] = {}
        self.owners: dict[str, str] = {}

    def told(self, text: str) -> str:
        """A text with its variables, as .env beside the file has them, and else their defaults.

        The shell's own variables are not looked at: the same file gives the same config on each machine.
        """

        def value(found: re.Match[str]) -> str:
            if found["escaped"]:
                return "$"
            name, sign, rest = found["name"] or found["braced"], found["sign"] or "", found["rest"] or ""
            self.used.add(name)
            if is_secret(name, "set"):
                return UNSET
            there = self.values.get(name)
            is_there = there is not None and (there != "" or not sign.startswith(":"))
            if sign.endswith("+"):
                return self.told(rest) if is_there else ""
            if is_there:
                return str(there)
            return self.told(rest) if sign.endswith("-") else UNSET

        if "$" not in text:
            return text
        return re.sub(
            r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z_]\w*)"
            r"|\{(?P<braced>[A-Za-z_]\w*)(?:(?P<sign>:?[-?+])(?P<rest>(?:[^{}]|\{[^{}]*\})*))?\})",
            value,
            text,
        )


def read_compose(path: Path) -> Draft:
    """A draft of a Compose file. Raises UsageError where it cannot be read."""
    file = _File(path)
    draft = file.draft
    for name, item in (file.root.get("services") or NOTHING).entries.items():
        file.services[name] = _extended(file, item, (name,))
    for document in draft.documents[1:]:
        document.mark("no place", "what extends brings in stands with the service that it is brought into")
    if version := file.root.get("version"):
        version.mark("taken", "Compose itself looks at it no more")
    if name_ := file.root.get("name"):
        draft.put(
            ("stack_name",), name_of(name_.text), name_, "" if name_of(name_.text) == name_.text else "as a stack's"
        )
    draft.put(
        ("capacity", "fargate", "kind"), "fargate", why="no nodes have to be sized: docs/capacity.md has the others"
    )
    _sort(file)
    for name, item in file.services.items():
        if name in file.kinds:
            _service(file, name, item)
    for name, title in file.attachments.items():
        users = [file.names[other] for other in file.kinds if name in _needs(file, other)]
        if users:
            draft.put(("attachments", title, "used_by"), users)
    for key, item in file.root.entries.items():
        if key.startswith("x-"):
            item.mark("no place", "an extension: what is made of it stands where it is brought in")
        elif key == "networks":
            item.mark("no place", "who reaches whom is said by reaches")
        elif key == "volumes":
            for name, volume in item.entries.items():
                used = file.owners.get(name)
                words = f"services.{used}.volumes" if used else "nobody who is here mounts it"
                volume.mark("taken" if used and volume.value is None else "no place", words)
        elif key == "secrets":
            item.mark(
                "no place",
                "put it into Secrets Manager, and its ARN into secrets of who needs it",
            )
        elif key == "configs":
            item.mark("no place", "a file of this machine is in no task: copy it into the image")
        elif key == "include":
            item.mark("no place", "import it by itself, and bring the two configs together")
    if file.env:
        file.draft.documents.append(file.env)
        for variable, item in file.env.entries.items():
            if is_secret(variable, "set"):
                item.mark(
                    "no place", "is a secret by its name: Secrets Manager, and its ARN into secrets of who needs it"
                )
            elif variable in file.used:
                item.mark("taken", "stands where ${" + variable + "} is")
            else:
                item.mark("no place", "the file names it nowhere")
    for leaf in file.root.leaves():
        if UNSET in leaf.text and leaf.fate != "changed":
            leaf.mark("no place", NO_VALUE, over=True)
    return draft


def _extended(file: _File, item: Item, seen: tuple[str, ...]) -> Item:
    """A service with what it extends under it. Raises nothing: what is not there has no place."""
    extends = item.get("extends")
    if extends is None:
        return item
    name = (extends.get("service") or extends).text
    root = file.root
    if (other := extends.get("file")) and (file.folder / other.text).resolve() != file.path.resolve():
        place = file.folder / other.text
        if not place.is_file():
            extends.mark("no place", f"{other.text} is not there")
            return item
        root = read_yaml(place, file.told, shown=other.text)
        file.draft.documents.append(root)
    below = root.get("services", name)
    if below is None or len(seen) > 20 or (root is file.root and name in seen):
        extends.mark("no place", "there is no such service, or it is a circle")
        return item
    extends.mark("taken", "with what that service has under it")
    return _over(_extended(file, below, (*seen, name)), item)


def _over(under: Item, over: Item) -> Item:
    """Two mappings as one: mappings merge, lists follow one another, all else is the upper one's."""
    entries = dict(under.entries)
    for key, item in over.entries.items():
        there = entries.get(key)
        if there and there.entries and item.entries:
            entries[key] = _over(there, item)
        elif there and isinstance(there.value, list) and isinstance(item.value, list) and key not in _WHOLE:
            entries[key] = Item(item.path, item.file, item.line, [*there.items, *item.items])
        else:
            entries[key] = item
    return Item(over.path, over.file, over.line, entries)


# --- which service is what


def _sort(file: _File) -> None:
    """Say of each service whether it is one, of which kind, an attachment, or nothing of a set."""
    for name, item in file.services.items():
        image = _image_name(item)
        whole = (item.get("image") or NOTHING).text
        sockets = any("docker.sock" in leaf.text for leaf in (item.get("volumes") or NOTHING).leaves())
        kept = next((where for part, where in _KEPT.items() if part in image), "")
        if profiles := item.get("profiles"):
            file.gone[name] = (
                f"is of the profiles {', '.join(each.text for each in profiles.items)}, which `up` leaves out"
            )
        elif re.fullmatch(r"(postgres|postgresql|postgis|pgvector|timescaledb)", image):
            _postgres(file, name, item, whole)
        elif re.fullmatch(r"(redis|valkey|redis-stack-server|keydb)", image):
            _valkey(file, name, item)
        elif image in ("traefik", "nginx-proxy", "acme-companion"):
            file.gone[name] = "the load balancer is in its place, with a rule for each web service"
        elif sockets:
            file.gone[name] = "looks at Docker's own socket, and there is none here"
        elif kept and not item.get("build") and not _BESIDE.search(image):
            file.gone[name] = f"keeps data, which a task loses: {kept}"
        else:
            file.names[name] = name_of(name, [*file.names.values(), *file.attachments.values()])
            file.kinds[name] = ""
    reached = {other for name in file.kinds for other in _needs(file, name)}
    published = [name for name in file.kinds if list(_ports(file.services[name])) or _rule(file.services[name])]
    for name in file.kinds:
        item = file.services[name]
        by_public = any(name in _needs(file, other) for other in published if other != name)
        if _rule(item) or (name in published and not by_public):
            file.kinds[name] = "web"
        elif _once(file, name):
            file.kinds[name] = "job"
        elif name in published or name in reached:
            file.kinds[name] = "internal"
        else:
            file.kinds[name] = "worker"
    if "web" not in file.kinds.values() and published:
        file.kinds[published[0]] = "web"
    if all(kind == "job" for kind in file.kinds.values()):
        file.kinds.update(dict.fromkeys(file.kinds, "worker"))
    for name, why in file.gone.items():
        file.services[name].mark("no place", why)


def _image_name(item: Item) -> str:
    """The last part of an image's name, without its tag: postgres of docker.io/library/postgres:16."""
    return re.split(r"[:@]", (item.get("image") or NOTHING).text.lower().rpartition("/")[2])[0]


def _ports(item: Item) -> Iterator[tuple[Item, int | None, bool]]:
    """The ports that a service publishes: the item, the container's port, and whether other machines reach it."""
    for port in (item.get("ports") or NOTHING).items:
        target = port.get("target")
        if target:
            yield port, target.number, True
            continue
        text, _, protocol = port.text.partition("/")
        host, _, inside = text.rpartition(":")
        number = re.match(r"[0-9]+", inside)
        if protocol != "udp":
            yield port, int(number[0]) if number else None, not host.startswith(("127.", "localhost", "[::1]"))


def _rule(item: Item) -> dict[str, list[str]]:
    """The hosts and paths of Traefik's rules in the labels of a service; nothing where there are none."""
    found: dict[str, list[str]] = {}
    for name, text in _labels(item).items():
        if re.fullmatch(r"traefik\.http\.routers\.[^.]+\.rule", name):
            for kind, inside in re.findall(r"(Host|PathPrefix|Path)\(([^)]*)\)", text.text):
                values = re.findall(r"[`'\"]([^`'\"]+)[`'\"]", inside)
                if kind == "Host":
                    found.setdefault("hosts", []).extend(value.lower() for value in values if "." in value)
                else:
                    plain = [value.rstrip("/") for value in values]
                    more = [f"{value}/*" for value in plain] if kind == "PathPrefix" else []
                    found.setdefault("paths", []).extend(value or "/" for value in plain)
                    found["paths"] += more
    if set(found.get("paths", [])) & {"/", "/*"}:
        del found["paths"]
        found.setdefault("hosts", [])
    return found


def _labels(item: Item) -> dict[str, Item]:
    return _pairs(item.get("labels"))


def _pairs(item: Item | None) -> dict[str, Item]:
    """NAME=value of a list, or a mapping, as a mapping; names without a value are left out."""
    if item is None:
        return {}
    if item.entries:
        return item.entries
    found = {}
    for entry in item.items:
        name, equals, value = entry.text.partition("=")
        if equals:
            found[name.strip()] = _Pair(entry, value)
    return found  # type: ignore[return-value]


class _Pair(Item):
    """A value within an item: what becomes of it becomes of that."""

    __slots__ = ("whole",)

    def __init__(self, whole: Item, value: str) -> None:
        super().__init__(whole.path, whole.file, whole.line, value)
        self.whole = whole

    def mark(self, fate: object, words: str, *, over: bool = False) -> None:
        self.whole.mark(fate, words, over=over)  # type: ignore[arg-type]


def _variables(file: _File, item: Item) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for entry in (item.get("env_file") or NOTHING).items if not (item.get("env_file") or NOTHING).entries else []:
        place = file.folder / (entry.get("path") or entry).text
        if place.is_file() and UNSET not in entry.text:
            shown = place.name if place.parent == file.folder else (entry.get("path") or entry).text
            known = [document for document in file.draft.documents if document.file == shown]
            document = file.env if shown == ".env" and file.env else known[0] if known else read_env(place, shown=shown)
            if not known and document is not file.env:
                file.draft.documents.append(document)
            found |= document.entries
    return found | _pairs(item.get("environment"))


def _named(name: str, text: str) -> bool:
    """Whether a text has the host of this name in it."""
    return bool(re.search(rf"(^|//|@|,|=|\s){re.escape(name)}(:\d+|/|,|\s|$)", text))


def _needs(file: _File, name: str) -> set[str]:
    """The other services that one waits for, or names in its variables, its command or its links."""
    item = file.services[name]
    depends = item.get("depends_on") or NOTHING
    needs = {*depends.entries, *(entry.text for entry in depends.items)}
    needs |= {entry.text.partition(":")[0] for entry in (item.get("links") or NOTHING).items}
    texts = [value.text for value in _variables(file, item).values()]
    for key in ("command", "entrypoint"):
        texts += [leaf.text for leaf in (item.get(key) or NOTHING).leaves()]
    needs |= {other for other in file.services if any(_named(other, text) for text in texts)}
    return needs & set(file.services) - {name}


def _once(file: _File, name: str) -> bool:
    """Whether somebody waits for its end."""
    for other in file.services.values():
        condition = other.get("depends_on", name, "condition")
        if condition and condition.text == "service_completed_successfully":
            return True
    return False


def _postgres(file: _File, name: str, item: Item, image: str) -> None:
    draft = file.draft
    title = file.attachments[name] = name_of(name, [*file.names.values(), *file.attachments.values()])
    where = ("attachments", title)
    draft.put((*where, "kind"), "postgres")
    draft.came_from(where, item)
    tag = re.search(r":[^0-9]*(\d+)", image)
    version = tag[1] if tag and tag[1] in ("14", "15", "16", "17", "18") else "17"
    if found := item.get("image"):
        draft.put(
            (*where, "version"),
            version,
            found,
            "Amazon RDS runs it, in a version that it has",
        )
    if (database := _pairs(item.get("environment")).get("POSTGRES_DB")) and UNSET not in database.text:
        draft.put((*where, "database"), database.text, database)
    for variable in ("POSTGRES_USER", "POSTGRES_PASSWORD", "PGPASSWORD"):
        if given := _pairs(item.get("environment")).get(variable):
            given.mark("no place", "RDS makes user and password, and its users are told them")
    item.mark("no place", f"attachments.{title} is run by RDS, which has its own; a new database, and an empty one")


def _valkey(file: _File, name: str, item: Item) -> None:
    draft = file.draft
    title = file.attachments[name] = name_of(name, [*file.names.values(), *file.attachments.values()])
    draft.put(("attachments", title, "kind"), "valkey")
    draft.came_from(("attachments", title), item)
    if found := item.get("image"):
        found.mark("changed", f"attachments.{title}: ElastiCache runs Valkey, which speaks TLS alone: rediss://")
    item.mark("no place", f"attachments.{title} is run by ElastiCache, which has its own; a new one, and empty")


# --- one service


def _service(file: _File, name: str, item: Item) -> None:
    draft, own, kind = file.draft, file.names[name], file.kinds[name]
    path = ("jobs", own) if kind == "job" else ("services", own)
    if kind != "job":
        draft.put((*path, "kind"), kind)
    draft.came_from(path, item)
    as_docker_starts_it(draft, path, SAID)
    _image(file, path, own, item)
    _size(file, path, item)
    if kind == "web":
        _web(file, path, own, item)
    elif kind == "internal":
        _internal(file, path, name, item)
    if kind != "job":
        _tasks(file, path, item)
    _told_variables(file, path, item)
    _container(file, path, kind, item)
    _reaches(file, path, name, item)
    if kind != "job":
        _volumes(file, path, own, item)
    for key, words in _WORDS.items():
        if found := item.get(key):
            found.mark("no place", words.format(name=own))
    for key, found in item.entries.items():
        if key.startswith("x-"):
            found.mark("no place", "an extension")
        elif key in ("ports", "expose"):
            found.mark("no place", "nothing is sent to it, for the load balancer takes HTTP over TCP alone")


def _image(file: _File, path: tuple[str, ...], own: str, item: Item) -> None:
    draft = file.draft
    image, build = item.get("image"), item.get("build")
    if build is None:
        if image and UNSET not in image.text:
            draft.put((*path, "image_uri"), image.text, image)
        if path[0] == "jobs" and not draft.at((*path, "image_uri")):
            draft.put((*path, "image_uri"), f"replace-me.invalid/{own}:latest", why="it has no image that is known")
        return
    if image:
        image.mark("changed", "what is built is pushed to the service's own repository")
    if build.text:
        said, folder, more = build.text, build.text, ""
    else:
        said = " ".join(f"{leaf.path.rpartition('build.')[2]}={leaf.text}" for leaf in build.leaves())
        folder = (build.get("context") or NOTHING).text or "."
        flags = {"dockerfile": "--file", "target": "--target"}
        words = [
            f"{flag} {shlex.quote(found.text)}"
            for key, flag in flags.items()
            if (found := build.get(key)) and found.text
        ]
        arguments = _pairs(build.get("args"))
        words += [f"--build-arg {argument}=..." for argument in arguments]
        more = f" -- {' '.join(words)}" if words else ""
    other = file.builds.get(said)
    if other:
        draft.put((*path, "image_of"), other, build, f"it is built as that of {other} is, and is one image here")
    elif path[0] == "jobs":
        uri = f"replace-me.invalid/{own}:latest"
        why = "a job has no repository of its own: push its image, and name it here"
        draft.put((*path, "image_uri"), uri, build, why)
    else:
        file.builds[said] = own
        build.mark("taken", f"`image build {folder} --service {own}{more}`, and `deploy --build`")


def _mib(text: str) -> float | None:
    found = re.fullmatch(r"([0-9.]+)\s*([bkmg]?)b?", text.lower())
    try:
        return float(found[1]) * {"b": 2**-20, "k": 2**-10, "m": 1, "g": 1024, "": 2**-20}[found[2]] if found else None
    except ValueError:
        return None


def _size(file: _File, path: tuple[str, ...], item: Item) -> None:
    draft = file.draft
    cpu = item.get("deploy", "resources", "limits", "cpus") or item.get("cpus")
    memory = item.get("deploy", "resources", "limits", "memory") or item.get("mem_limit")
    if cpu is None:
        cpu = item.get("deploy", "resources", "reservations", "cpus")
    if memory is None:
        memory = item.get("deploy", "resources", "reservations", "memory") or item.get("mem_reservation")
    number = float(cpu.text) if cpu and re.fullmatch(r"[0-9]*\.?[0-9]+", cpu.text) else 0
    mib = _mib(memory.text) if memory else None
    size = nearest(max(round(number * 1024), 1) if number else 256, max(round(mib), 1) if mib else 512)
    for tunable, value, given in (("cpu_units", size.cpu_units, cpu), ("memory_mib", size.memory_mib, memory)):
        draft.put((*path, tunable), value, given, size.why if given else f"{SAID} it takes what there is")
    for resources in ("reservations", "limits"):
        if found := item.get("deploy", "resources", resources):
            found.mark("no place", "a task has one size, which is its limit")
    if found := item.get("mem_reservation"):
        found.mark("no place", "a task has one size, which is its limit")


def _web(file: _File, path: tuple[str, ...], own: str, item: Item) -> None:
    draft = file.draft
    ports = list(_ports(item))
    rule = _rule(item)
    labels = _labels(item)
    told = next((label for key, label in labels.items() if key.endswith(".loadbalancer.server.port")), None)
    best = next((entry for entry in ports if entry[1] in (80, 8080, 3000, 8000, 5000)), ports[0] if ports else None)
    if told and told.number is not None:
        draft.put((*path, "container_port"), told.number, told)
        best = None
    elif best and best[1]:
        draft.put((*path, "container_port"), best[1], best[0], "the load balancer listens on 80, or 443 with a domain")
    elif exposed := _exposed(item):
        draft.put((*path, "container_port"), exposed[1], exposed[0])
    elif not draft.at((*path, "container_port")):
        draft.put((*path, "container_port"), 80, why="the file names no port of its container")
    for key in ("ports", "expose"):
        if found := item.get(key):
            found.mark("no place", "a service has one port that the load balancer sends to")
    others = [
        o for o, settings in (draft.at(("services",)) or {}).items() if o != own and settings.get("kind") == "web"
    ]
    catch_all = [o for o in others if not draft.at(("services", o, "route"))]
    if rule.get("hosts") or rule.get("paths"):
        for kind, values in rule.items():
            if values:
                draft.put((*path, "route", kind), list(dict.fromkeys(values))[:5])
        for key, label in labels.items():
            if key.endswith(".rule"):
                label.mark("taken", f"{'.'.join(path)}.route")
    elif catch_all:
        why = f"what is another port there is a host name here, for {catch_all[0]} gets all else: {own}.example.com"
        draft.put((*path, "route", "hosts"), [f"{own}.*"], why=why)
    for key, label in labels.items():
        if key.startswith("traefik."):
            label.mark("no place", "the load balancer has its own: route, sign_in, load_balancer.listener")
    test = " ".join(leaf.text for leaf in (item.get("healthcheck", "test") or NOTHING).leaves())
    address = re.search(r"https?://[^/\s\"']+(/[^\s\"'|;)]*)", test)
    draft.put(
        (*path, "health_check", "path"),
        address[1] if address else "/",
        why="what the health check of the file asks for" if address else "the file names no path to ask for",
    )
    draft.put((*path, "health_check", "codes"), "200-399", why="an answer that leads elsewhere is one, too")


def _exposed(item: Item) -> tuple[Item, int] | None:
    for entry in (item.get("expose") or NOTHING).items:
        if found := re.match(r"[0-9]+", entry.text):
            return entry, int(found[0])
    return None


def _internal(file: _File, path: tuple[str, ...], name: str, item: Item) -> None:
    draft = file.draft
    exposed = _exposed(item)
    ports = [(port, number) for port, number, _ in _ports(item) if number]
    asked = {
        int(number)
        for other in file.kinds
        for value in _variables(file, file.services[other]).values()
        for number in re.findall(rf"(?:^|//|@|,){re.escape(name)}:(\d{{1,5}})", value.text)
    }
    if ports:
        by = "another service reaches it; make it kind web with a route, if browsers do, too"
        best = next((entry for entry in ports if entry[1] in asked), ports[0])
        draft.put((*path, "container_port"), best[1], best[0], by)
    elif exposed:
        draft.put((*path, "container_port"), exposed[1], exposed[0])
    elif asked:
        draft.put((*path, "container_port"), min(asked), why=f"others ask {name} at it")
    else:
        draft.put((*path, "container_port"), 8080, why="the file names no port of it: write the one that it listens on")
    if found := item.get("ports"):
        found.mark("no place", "it is reached by services of the set that name it, at one port")
    if found := item.get("expose"):
        found.mark("no place", "it is reached at one port")


def _tasks(file: _File, path: tuple[str, ...], item: Item) -> None:
    draft = file.draft
    replicas = item.get("deploy", "replicas") or item.get("scale")
    count = replicas.number if replicas and replicas.number is not None else 1
    why = "raise max_tasks once it may run several times, and it scales by CPU"
    for tunable, value in (("min_tasks", count), ("max_tasks", max(count, 1))):
        draft.put((*path, "scaling", tunable), value, replicas, "" if replicas else f"{SAID} one runs; {why}")
    if deploy := item.get("deploy"):
        for key, found in deploy.entries.items():
            if key == "mode" and found.text == "replicated":
                found.mark("taken", "as all do")
            elif key in ("restart_policy", "update_config", "rollback_config"):
                found.mark(
                    "no place",
                    "ECS starts tasks anew; services.NAME.deployment says how versions follow",
                )
            elif key == "placement":
                found.mark("no place", "tasks are spread over the zones")
            elif key == "labels":
                found.mark("no place", "they are of Swarm")


def _told_variables(file: _File, path: tuple[str, ...], item: Item) -> None:
    variables = _variables(file, item)
    told: dict[str, str] = {}
    for variable, value in variables.items():
        for other, title in file.attachments.items():
            if _named(other, value.text) or (_named(title, value.text)):
                prefix = title.upper().replace("-", "_")
                names = [f"{prefix}_HOST", f"{prefix}_PORT"]
                if file.draft.at(("attachments", title, "kind")) == "postgres":
                    names += [f"{prefix}_NAME", f"{prefix}_USERNAME", f"{prefix}_PASSWORD"]
                told[variable] = f"left out, for attachments.{title} tells it: {', '.join(names)}"
        prefixes = [title.upper().replace("-", "_") for title in file.attachments.values()]
        if any(
            re.fullmatch(rf"{prefix}_(HOST|PORT|NAME|USERNAME|PASSWORD|SECRET_ARN)", variable) for prefix in prefixes
        ):
            told[variable] = "left out, for an attachment tells it by this name"
    for variable, value in variables.items():
        for other, why in file.gone.items():
            if variable not in told and _named(other, value.text):
                told[variable] = f"left out, for it names {other}, which has no place here: {why}"
    for variable in [name for name, value in variables.items() if UNSET in value.text and name not in told]:
        variables.pop(variable).mark("no place", NO_VALUE)
    environment(file.draft, path, variables, told)
    for entry in (item.get("environment") or NOTHING).items:
        if "=" not in entry.text:
            entry.mark("no place", "has its value from the shell: write what it is")
    if files := item.get("env_file"):
        for leaf in files.leaves():
            place = file.folder / leaf.text
            is_there = leaf.text and UNSET not in leaf.text and place.is_file()
            if leaf.path.endswith((".required", ".format")):
                leaf.mark("taken", "says nothing of what is in it")
            else:
                leaf.mark(
                    "taken" if is_there else "no place",
                    "its lines, each by itself" if is_there else "the file is not there",
                )


def _container(file: _File, path: tuple[str, ...], kind: str, item: Item) -> None:
    draft = file.draft
    for key in ("entrypoint", "command"):
        command(draft, (*path, key), item.get(key))
    for key, tunable in (("user", "user"), ("working_dir", "working_directory")):
        if found := item.get(key):
            draft.put((*path, tunable), found.text, found)
    if (read_only := item.get("read_only")) is not None:
        draft.put((*path, "read_only"), bool(read_only.flag), read_only)
    if platform := item.get("platform"):
        arm = "arm" in platform.text
        draft.put((*path, "architecture"), "arm64" if arm else "x86_64", platform)
    if tmpfs := item.get("tmpfs"):
        paths = [entry.text.partition(":")[0] for entry in tmpfs.items]
        draft.put((*path, "tmpfs_mib"), dict.fromkeys(paths, 64), tmpfs, "of 64 MiB, and of the task's memory")
    limits = item.get("ulimits")
    for name, limit in (limits.entries if limits else {}).items():
        number = limit.get("hard") or limit
        if number.number is not None:
            draft.put(
                (*path, "ulimits", name), number.number, limit, "" if number is limit else "soft and hard are one"
            )
    add = [entry.text.upper().removeprefix("CAP_") for entry in (item.get("cap_add") or NOTHING).items]
    drop = [entry.text.upper().removeprefix("CAP_") for entry in (item.get("cap_drop") or NOTHING).items]
    fits = [name for name in add if name == "SYS_PTRACE"]
    if add or drop:
        draft.put((*path, "capabilities"), [*([] if "ALL" in drop else ["DEFAULT"]), *fits])
    for entry in (item.get("cap_add") or NOTHING).items:
        is_there = entry.text.upper().removeprefix("CAP_") in fits
        entry.mark(
            "taken" if is_there else "no place",
            f"{'.'.join(path)}.capabilities" if is_there else "Fargate adds SYS_PTRACE alone",
        )
    for entry in (item.get("cap_drop") or NOTHING).items:
        is_all = entry.text.upper() == "ALL"
        entry.mark(
            "taken" if is_all else "changed",
            f"{'.'.join(path)}.capabilities{'' if is_all else ': all of them, or none'}",
        )
    if grace := item.get("stop_grace_period"):
        value = seconds(grace.text)
        if value is not None:
            near = min(max(round(value), 2), 120)
            draft.put((*path, "stop_timeout_s"), near, grace, "" if near == value else "ECS takes 2 to 120")
    if check := item.get("healthcheck"):
        if (off := check.get("disable")) and off.flag:
            check.mark("taken", "none")
        else:
            health(draft, path, check, check.get("test"), (30, 30, 3, 0), SAID)
    for label, text in _labels(item).items():
        if not label.startswith(("traefik.", "com.docker.compose.")):
            draft.put((*path, "labels", label), text.text, text)
    if restart := item.get("restart"):
        again = kind != "job"
        is_no = restart.text in ("no", "false", "False") or restart.text.startswith("on-failure")
        words = "ECS starts it anew whenever it ends" if again else "a job ends when it ends"
        restart.mark("changed" if is_no and again else "taken", words)


def _reaches(file: _File, path: tuple[str, ...], name: str, item: Item) -> None:
    draft = file.draft
    needs = _needs(file, name)
    if path[0] == "services":
        reached = sorted(file.names[other] for other in needs if file.kinds.get(other) == "internal")
        if reached:
            draft.put((*path, "reaches"), reached, why="it waits for them, or names them in its variables")
    depends = item.get("depends_on") or NOTHING
    for other, entry in [*depends.entries.items(), *((entry.text, entry) for entry in depends.items)]:
        if file.kinds.get(other) == "internal":
            entry.mark("changed", f"services.{path[1]}.reaches: which is made first, and need not be healthy yet")
        elif other in file.attachments:
            entry.mark("changed", f"attachments.{file.attachments[other]}.used_by")
        elif file.kinds.get(other) == "job":
            entry.mark(
                "changed",
                f'`jobs run {file.names[other]}` runs it; or say before = "{path[1]}" of it',
            )
        elif other in file.gone:
            entry.mark("no place", f"{other} has no place: {file.gone[other]}")
        else:
            entry.mark("no place", "services come up side by side, and try again until the others are there")
    if path[0] == "jobs":
        if deploy := item.get("deploy"):
            deploy.mark("no place", "a job runs once")
        if volumes := item.get("volumes"):
            volumes.mark("no place", "a job has no volumes")


def _volumes(file: _File, path: tuple[str, ...], own: str, item: Item) -> None:
    draft = file.draft
    named = (file.root.get("volumes") or NOTHING).entries
    for entry in (item.get("volumes") or NOTHING).items:
        if entry.entries:
            kind = (entry.get("type") or NOTHING).text
            source, target = (entry.get("source") or NOTHING).text, (entry.get("target") or NOTHING).text
            reads = (entry.get("read_only") or NOTHING).flag is True
        else:
            source, _, rest = entry.text.rpartition(":") if entry.text.count(":") == 1 else entry.text.partition(":")
            target, _, options = rest.partition(":")
            reads = "ro" in options.split(",")
            kind = "volume" if source and not re.match(r"[./~]|[A-Za-z]:\\|\0", source) else "bind"
        if kind == "tmpfs":
            draft.put((*path, "tmpfs_mib"), {**(draft.at((*path, "tmpfs_mib")) or {}), target: 64}, entry, "of 64 MiB")
        elif not source:
            entry.mark("no place", "is empty and each task's own, as the container's file system is")
        elif kind != "volume" or (source not in named and not entry.entries):
            entry.mark("no place", "is of this machine: copy it into the image, or keep it in EFS or S3")
        elif problem_with(target, PATH):
            entry.mark("no place", f"{target} is no path that a volume can be at")
        else:
            title = name_of(source)
            where = (*path, "volumes", title)
            owner = file.owners.setdefault(source, own)
            draft.put((*where, "kind"), "efs" if owner == own else "efs-of")
            draft.came_from(where, entry)
            if owner == own:
                ids = re.fullmatch(r"(\d+)(?::(\d+))?", (item.get("user") or NOTHING).text)
                uid = int(ids[1]) if ids else 0
                draft.put((*where, "uid"), uid, why="whom Docker's volumes belong to, too")
                draft.put((*where, "gid"), int(ids[2] or ids[1]) if ids else 0)
            else:
                draft.put((*where, "service"), owner)
            if reads:
                draft.put((*where, "read_only_for"), [own])
            draft.put((*where, "mounts", own), target, entry, "a file system of EFS, and an empty one")
            entry.mark("changed", f"{'.'.join(where)}: a file system of EFS, and an empty one")

"""Options that simulations share: what traffic comes, what a task can take of it, and what things cost."""

from __future__ import annotations

import dataclasses
import functools
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

import click

from scaleout_cfn.cli.options import Checked, Finite, names_in, stack_names
from scaleout_cfn.cli.tables import waiting
from scaleout_cfn.errors import UsageError
from scaleout_cfn.grammars import problem_of_region

try:
    import numpy  # noqa: F401
except ImportError:
    raise UsageError("simulations need NumPy: pip install '.[simulate]' in the repository of scaleout-cfn") from None

if TYPE_CHECKING:
    from scaleout_cfn.config import Config
    from scaleout_cfn.simulator.measure import Stage
    from scaleout_cfn.simulator.model import Load, Model, ServiceTime
    from scaleout_cfn.simulator.prices import Prices
    from scaleout_cfn.simulator.series import Values
    from scaleout_cfn.simulator.traffic import Traffic

path_type = click.Path(path_type=Path)


class PerService(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on only
    """A value, with a service's name in front where it is of that one alone."""

    def __init__(self, of: click.ParamType) -> None:  # type: ignore[type-arg]
        self.of, self.name = of, of.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """The name, empty where there is none, and the value."""
        name, _, rest = str(value).rpartition("=")
        return name, self.of.convert(rest, param, ctx)


_OPTIONS = (
    click.option(
        "--traffic",
        "kinds",
        metavar="KIND",
        multiple=True,
        help="Made up: flash-crowd, diurnal, ramp, step, noise, seed-load-test. Of several services each has its own by"
        " its name in front, as in --traffic web=diurnal --csv api=api.csv.",
    ),
    click.option(
        "--with",
        "numbers",
        multiple=True,
        metavar="NAME=NUMBER",
        help="A number of the made-up traffic, of one service as in web=peak=500; repeatable.",
    ),
    click.option(
        "--csv",
        "tables",
        type=path_type,
        multiple=True,
        help="Headings, then a time and the requests of that interval a row; repeatable.",
    ),
    click.option(
        "--access-log",
        "logs",
        type=path_type,
        multiple=True,
        help="Common, combined, JSON a line, W3C, ALB's or a classic balancer's; gzipped too; repeatable.",
    ),
    click.option(
        "--metrics",
        type=path_type,
        multiple=True,
        help="What `aws cloudwatch get-metric-data` or `get-metric-statistics`, or Prometheus's query_range printed as"
        " JSON; repeatable.",
    ),
    click.option(
        "--values",
        type=click.Choice(["count", "rate", "counter"]),
        help="What the numbers of --csv or --metrics are: requests of each interval, requests a second, or a counter"
        " that rises.  [default: count; of Prometheus's series by a name that ends in _total, counter]",
    ),
    click.option(
        "--combine",
        type=click.Choice(["sum", "concatenate"]),
        default="sum",
        show_default=True,
        help="Several files: each at its own time, added; or one after the other in the order given.",
    ),
    click.option("--strict", is_flag=True, help="Refuse a file with a line that cannot be read, instead of telling."),
    click.option(
        "--cloudwatch",
        "metric",
        metavar="NAMESPACE/METRIC",
        help="What CloudWatch has of an existing balancer: AWS/ApplicationELB/RequestCount.",
    ),
    click.option(
        "--dimension",
        "dimensions",
        multiple=True,
        metavar="NAME=VALUE",
        help="Of --cloudwatch; repeatable.  [default: that of the only balancer that has the metric]",
    ),
    click.option(
        "--days", type=click.IntRange(1, 400), default=7, show_default=True, help="How far back --cloudwatch goes."
    ),
    click.option(
        "--region",
        type=Checked(problem_of_region),
        default="",
        help="Whose prices, and where --stack and --cloudwatch look.  [default: config, us-east-1; profile]",
    ),
    click.option(
        "--profile", "aws_profile", default="", help="Of --stack and --cloudwatch: a profile of the AWS configuration."
    ),
    click.option(
        "--stack",
        "stacks",
        multiple=True,
        metavar="NAME",
        shell_complete=stack_names,
        help="In place of a folder a deployed stack, read by calls that change nothing. Several are read as one set.",
    ),
    click.option("--scale", type=Finite(min=0, min_open=True), default=1.0, help="Multiply the traffic."),
    click.option(
        "--task-rps",
        "rates",
        type=PerService(Finite(0.001, 1e6)),
        multiple=True,
        help="Requests a second that keep one task just busy; of one service as in web=50.",
    ),
    click.option(
        "--measure",
        "url",
        metavar="URL",
        help="Measure --task-rps instead: a bounded load on a service of your own that runs one task.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 1024),
        default=4,
        show_default=True,
        help="Requests that a task works on at once.",
    ),
    click.option(
        "--objective",
        "objective_s",
        type=Finite(0, 43200),
        help="Seconds that a request or a message may wait.  [default: 0.25; of a worker with a queue as long as its"
        " scaling allows: the messages of a task by the time that they take it]",
    ),
    click.option(
        "--objective-on",
        type=click.Choice(["wait", "response"]),
        default="wait",
        show_default=True,
        help="What --objective is about: the wait for a worker, or the response, which is the wait and the service.",
    ),
    click.option(
        "--service-time",
        "service_text",
        metavar="SHAPE",
        default="exponential",
        show_default=True,
        help="How long a worker is at a request, around the mean of workers / task-rps: exponential, constant, or"
        " lognormal:CV with the coefficient of variation.",
    ),
    click.option(
        "--timeout",
        "timeout_s",
        type=Finite(0.001, 3600),
        default=10.0,
        show_default=True,
        help="Seconds after which a client gives up.",
    ),
    click.option(
        "--retries",
        "retry_share",
        type=Finite(0, 1),
        default=0.0,
        show_default=True,
        help="Share of given-up attempts that come again: with 0.5 a request that is never answered is two attempts.",
    ),
    click.option(
        "--cpu-at-capacity",
        type=Finite(1, 1000),
        default=100.0,
        show_default=True,
        help="Percent of its reserved CPU that a busy task uses.",
    ),
    click.option(
        "--cores",
        type=Finite(0.01, 1024),
        default=1.0,
        show_default=True,
        help="Most cores that a task can use, where its CPU is a share of its node and no quota.",
    ),
    click.option(
        "--memory",
        "memory_percent",
        type=Finite(0, 100),
        default=50.0,
        show_default=True,
        help="Percent of its memory that a task uses.",
    ),
    click.option("--prices", "price_file", type=path_type, help="A price file instead of the built-in one."),
)


def _fears(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Completes what may befall a run, as far as its second."""
    from scaleout_cfn.simulator.events import KINDS

    return [f"{kind}@" for kind in KINDS if kind.startswith(begun)]


event_option = click.option(
    "--event",
    "event_texts",
    multiple=True,
    metavar="NAME@SECOND[:SECONDS][,NAME=NUMBER]",
    shell_complete=_fears,
    help="What befalls the run: zone-lost, spot-wave, slow, deployment, bad-image, node-roll, cold-caches; repeatable."
    " With peak for a second it is the busiest. A wrong name tells what each is.",
)


@dataclass(frozen=True)
class Asked:
    """The options as they were given."""

    kinds: tuple[str, ...]
    numbers: tuple[str, ...]
    tables: tuple[Path, ...]
    logs: tuple[Path, ...]
    metrics: tuple[Path, ...]
    values: Values | None
    combine: str
    strict: bool
    metric: str | None
    dimensions: tuple[str, ...]
    days: int
    region: str
    aws_profile: str
    stacks: tuple[str, ...]
    scale: float
    rates: tuple[tuple[str, float], ...]
    url: str | None
    workers: int
    objective_s: float | None
    objective_on: Literal["wait", "response"]
    service_text: str
    timeout_s: float
    retry_share: float
    cpu_at_capacity: float
    cores: float
    memory_percent: float
    price_file: Path | None

    def _sources(self) -> list[str]:
        return [str(source) for source in (*self.kinds, *self.tables, *self.metrics, *self.logs)]

    def services(self) -> list[str]:
        """The services that have a traffic by their name, in the order of the options; none where it is nobody's."""
        return list(dict.fromkeys(name for name, _ in map(_named, self._sources()) if name))

    def of(self, service: str) -> Asked:
        """What is asked for one of several services: what has its name in front, and settings that have none."""
        nobodys = [*(text for text in self._sources() if not _named(text)[0]), *filter(None, [self.metric])]
        if nobodys:
            raise UsageError(
                f"{nobodys[0]}: it is not said whose traffic this is, and {service} has one of its own; put the name of"
                f" its service in front: NAME={nobodys[0]}"
            )

        def own(texts: Iterable[object]) -> tuple[str, ...]:
            return tuple(rest for name, rest in map(_named, map(str, texts)) if name == service)

        named = {name for name, _ in self.rates}
        numbers = [text.split("=", 1) if text.count("=") > 1 else ["", text] for text in self.numbers]
        return dataclasses.replace(
            self,
            kinds=own(self.kinds),
            tables=tuple(map(Path, own(self.tables))),
            metrics=tuple(map(Path, own(self.metrics))),
            logs=tuple(map(Path, own(self.logs))),
            numbers=tuple(number for name, number in numbers if own(self.kinds) and name in ("", service)),
            rates=tuple(("", rate) for name, rate in self.rates if name == (service if service in named else "")),
        )

    def all(self, region: str = "") -> tuple[Traffic, Load, Prices]:
        """What the options ask for, read or made up or measured: files first, for a measurement takes its time.

        `region` is that of the set, for prices where none is asked for.
        """
        from scaleout_cfn.simulator.model import service_time

        if names := self.services():
            raise UsageError(f"{names[0]}=...: a traffic for each service is for simulate; give --service {names[0]}")
        if len(self.rates) > 1 or any(name for name, _ in self.rates):
            raise UsageError("--task-rps: there are several, or one of a service by name; give one, without a name")
        if bool(self.rates) == (self.url is not None):
            got = "both" if self.url else "neither"
            raise UsageError(f"--task-rps and --measure: got {got}; give what one task can take, or have it measured")
        service = service_time(self.service_text)
        with waiting("reading the traffic"):
            prices, traffic = self._prices(region), self._traffic()
        return traffic, self._load(service), prices

    def _prices(self, region: str) -> Prices:
        from scaleout_cfn.simulator.prices import load_prices

        if not self.price_file:
            return built_in_prices(self.region or region)
        prices = load_prices(self.price_file)
        if self.region and self.region != prices.region and not self.metric:
            raise UsageError(f"--region {self.region}: {self.price_file} has the prices of {prices.region}; name one")
        return prices

    def _traffic(self) -> Traffic:
        from scaleout_cfn.simulator.traffic import synthetic

        sources = {
            "--traffic": self.kinds,
            "--csv": self.tables,
            "--access-log": self.logs,
            "--metrics": self.metrics,
            "--cloudwatch": self.metric,
        }
        given = [name for name, value in sources.items() if value]
        if len(self.kinds) > 1:
            raise UsageError(f"--traffic {self.kinds[1]}: there is {self.kinds[0]} already; give one")
        if len(given) != 1:
            what = " and ".join(given) if given else "none"
            raise UsageError(f"traffic: got {what}; give one of {', '.join(sources)}")
        if self.numbers and not self.kinds:
            raise UsageError(f"--with {self.numbers[0]}: goes with --traffic, which has numbers to set")
        if self.dimensions and not self.metric:
            raise UsageError(f"--dimension {self.dimensions[0]}: goes with --cloudwatch")
        if self.aws_profile and not (self.metric or self.stacks):
            raise UsageError(f"--profile {self.aws_profile}: goes with --stack or --cloudwatch")
        if self.values and not (self.tables or self.metrics):
            raise UsageError(f"--values {self.values}: goes with --csv or --metrics")
        if self.strict and not (self.tables or self.metrics or self.logs):
            raise UsageError("--strict: goes with --csv, --metrics or --access-log")
        if self.combine != "sum" and len(self.tables + self.metrics + self.logs) < 2:
            raise UsageError(f"--combine {self.combine}: goes with several files")
        if self.metric:
            traffic = self._from_cloudwatch(self.metric)
        else:
            traffic = synthetic(self.kinds[0], _numbers(self.numbers)) if self.kinds else self._from_files()
        return traffic if self.scale == 1 else traffic.times(self.scale)

    def _from_files(self) -> Traffic:
        from scaleout_cfn.simulator.access_logs import from_access_logs
        from scaleout_cfn.simulator.series import from_csv, from_metrics
        from scaleout_cfn.simulator.traffic import one_after_the_other, summed

        if self.logs and self.combine == "sum":
            # Together, for rotated logs share their first and last seconds, and a clock that is wrong is seen among
            # the requests of all of them.
            return from_access_logs(self.logs, self.strict)
        traffics = [
            *(from_csv(path, self.values or "count", self.strict) for path in self.tables),
            *(from_metrics(path, self.values, self.strict) for path in self.metrics),
            *(from_access_logs([path], self.strict) for path in self.logs),
        ]
        return summed(traffics) if self.combine == "sum" else one_after_the_other(traffics)

    def _from_cloudwatch(self, metric: str) -> Traffic:
        from scaleout_cfn.aws.client import Aws, Target
        from scaleout_cfn.simulator.access_logs import from_cloudwatch

        dimensions = {}
        for text in self.dimensions:
            name, equals, value = text.partition("=")
            if not name or not equals or not value:
                raise UsageError(f"--dimension {text}: give NAME=VALUE, as in LoadBalancer=app/web/50dc6c495c0c9188")
            dimensions[name] = value
        aws = Aws(Target(profile=self.aws_profile, region=self.region))
        return from_cloudwatch(aws, metric, dimensions, self.days, datetime.now(UTC))

    def _load(self, service: ServiceTime) -> Load:
        from scaleout_cfn.simulator.model import Load

        return Load(
            task_rps=self.rates[0][1] if self.rates else _measured(str(self.url)),
            workers=self.workers,
            **({} if self.objective_s is None else {"objective_s": self.objective_s}),
            objective_on=self.objective_on,
            service=service,
            timeout_s=self.timeout_s,
            retry_share=self.retry_share,
            cpu_at_capacity=self.cpu_at_capacity,
            cores=self.cores,
            memory_percent=self.memory_percent,
        )


@contextmanager
def _sigterm() -> Iterator[None]:
    """SIGTERM ends a simulation as an exception does, with its processes; the exit code is 143."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        click.echo("interrupted", err=True)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def traffic_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options above; a command takes them as `asked`."""

    @functools.wraps(command)
    def with_asked(**values: Any) -> Any:
        asked = Asked(**{field.name: values.pop(field.name) for field in fields(Asked)})
        with _sigterm():
            return command(asked=asked, **values)

    for option in reversed(_OPTIONS):
        with_asked = option(with_asked)
    return with_asked


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")(command)


env_option = click.option(
    "--env",
    "environment",
    metavar="NAME",
    shell_complete=names_in("environments"),
    help="Overlay [environments.NAME] of a config file that is given.",
)


service_option = click.option(
    "--service",
    metavar="NAME",
    default="",
    shell_complete=names_in("services"),
    help="The service to simulate, by its name or logical id.  [default: the only one]",
)


parameter_option = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="What templates ask for and do not have: a parameter, an export that is imported, an SSM parameter;"
    " repeatable.  [default: the parameter's own]",
)


def model_at(path: Path, environment: str | None, service: str, parameters: tuple[str, ...] = ()) -> Model:
    """Of a service in a file or a folder of templates, or of a config file, which is rendered first."""
    from scaleout_cfn.simulator.read import model_of, read

    if path.suffix != ".toml":
        if environment:
            raise UsageError(
                f"--env {environment}: {path} is no config file, so it has no environments; give a .toml file, or"
                f" render it with --env {environment} first"
            )
        return read(path, service, _given(parameters))
    if parameters:
        raise UsageError(f"--parameter {parameters[0]}: {path} is a config file; set its tunables in it")
    from scaleout_cfn.cli.options import composed, load_config
    from scaleout_cfn.rendering import set_of

    return model_of(set_of(composed(load_config(path, environment, ()))), str(path), service)


def set_asked(
    folder: Path | None, asked: Asked, environment: str | None, service: str, parameters: tuple[str, ...]
) -> tuple[Model, str]:
    """The model of a service of the set that is asked for, a folder, a config file or stacks, and the set's region."""
    if not asked.stacks:
        folder = folder or Path("templates_out")
        return model_at(folder, environment, service, parameters), region_of(folder, environment)
    for what in (folder, environment and f"--env {environment}"):
        if what:
            raise UsageError(f"--stack {asked.stacks[0]}: goes without {what}; give the one or the other")
    return model_of_stacks(asked, service, parameters)


def model_of_stacks(asked: Asked, service: str, parameters: tuple[str, ...]) -> tuple[Model, str]:
    """The model of a service in deployed stacks, and their region."""
    from scaleout_cfn.aws.client import Aws, Target
    from scaleout_cfn.deploy.live import templates_of
    from scaleout_cfn.simulator.read import model_of

    aws, given = Aws(Target(profile=asked.aws_profile, region=asked.region)), _given(parameters)
    with waiting("reading the stacks"):
        templates = {name: body for stack in asked.stacks for name, body in templates_of(aws, stack, given).items()}
    return model_of(templates, f"stack {', '.join(asked.stacks)}", service, given=given), aws.region


def config_at(path: Path, environment: str | None) -> Config | None:
    """What a config file says, where the path is one."""
    from scaleout_cfn.cli.options import project
    from scaleout_cfn.config.file import load

    return load(path, environment=environment, base=project().config) if path.suffix == ".toml" else None


def region_of(path: Path, environment: str | None) -> str:
    """The region that a config file names; empty where none is named, and for a folder of templates."""
    config = config_at(path, environment)
    return config.region if config else ""


def built_in_prices(region: str) -> Prices:
    """Those of a region; of another, and a word about it, where there are none for it."""
    from scaleout_cfn.simulator.prices import REGIONS, prices_of

    prices = prices_of(region)
    if region and prices.region != region:
        click.echo(
            f"note: there are no built-in prices of {region}, but of {', '.join(REGIONS)}; those of {prices.region} are"
            f" taken. `prices refresh prices.json --region {region}` asks AWS for its own, for --prices",
            err=True,
        )
    return prices


def _given(parameters: tuple[str, ...]) -> dict[str, str]:
    given = {}
    for text in parameters:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(f"--parameter {text}: give NAME=VALUE, as in --parameter DesiredCount=2")
        given[name] = value
    return given


def _named(text: str) -> tuple[str, str]:
    """A service's name in front of a traffic, and the rest; no name where a file has the whole text for its name."""
    name, _, rest = text.partition("=")
    return (name, rest) if name and rest and not Path(text).exists() else ("", text)


def _numbers(texts: tuple[str, ...]) -> dict[str, float]:
    values = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise UsageError(f"--with {text}: give NAME=NUMBER, as in --with peak=500") from None
    return values


def _measured(url: str) -> float:
    """Measure an address and say, on stderr, what was asked of it and what came of that."""
    from scaleout_cfn.simulator.measure import LIMITS, measure, target_of

    target_of(url)
    click.echo(
        f"measuring {url}: at most {LIMITS.requests} requests over {LIMITS.connections} connections, in"
        f" about {LIMITS.most_s:.0f} s at most; Ctrl-C stops it",
        err=True,
    )
    click.echo("  connections   requests/s       median         95 %         99 %   failed", err=True)

    def tell(stage: Stage) -> None:
        click.echo(
            f"  {stage.connections:11}   {stage.rps:10.1f}  {1000 * stage.p50_s:8.1f} ms  {1000 * stage.p95_s:8.1f} ms"
            f"  {1000 * stage.p99_s:8.1f} ms   {stage.failed:6}",
            err=True,
        )

    measured = measure(url, tell=tell)
    click.echo(
        f"{measured.ended}; measured: {measured.task_rps:.1f} requests/s, the rate over {measured.taken.connections}"
        " connections",
        err=True,
    )
    if measured.taken.busy > 0.9:
        click.echo("note: this machine was busy with sending; the service may take more than that", err=True)
    return measured.task_rps


def of_its_own(asked: Asked, load: Load, model: Model) -> Load:
    """What hangs on the model: of a worker how long a message may wait; of a rate that was measured what a task's own
    CPU brings, and a word about what it was that was measured.

    The messages of a task are set by how long one may wait, over the time that it takes: the acceptable backlog of
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-using-sqs-queue.html
    Where nothing is kept by task it is a minute.
    """
    backlog = model.backlog
    if backlog and asked.objective_s is None:
        by_task = backlog.tracking.enabled and backlog.of == "task"
        load = dataclasses.replace(load, objective_s=backlog.tracking.target / load.task_rps if by_task else 60.0)
    if not asked.url:
        return load
    cores = model.task.cpu_units / 1024
    if model.cpu_is == "quota" or not model.nodes:
        what = f"under a quota: the task never has more than its {cores:g} vCPU"
    elif load.cpu_at_capacity < 100:
        what = "not for want of CPU, as --cpu-at-capacity says, so that idle CPU of a node would not make it faster"
    else:
        used = max(cores, min(load.cores, model.nodes.cpu_units / 1024))
        load = dataclasses.replace(load, task_rps=load.task_rps * cores / used)
        what = (
            f"a burst, as the task's CPU is a share and its node was idle beside it: it could use {used:g} vCPU"
            f" (--cores), and reserves {cores:g}"
        )
    click.echo(f"taken as what one task can take: {load.task_rps:.1f} requests/s; measured was {what}", err=True)
    return load

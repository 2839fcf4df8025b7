"""Options that simulations share: what traffic comes, what a task can take of it, and what things cost."""

from __future__ import annotations

import dataclasses
import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

import click

from scaleout_cfn.cli.options import Checked, Finite
from scaleout_cfn.errors import UsageError
from scaleout_cfn.grammars import problem_of_region

try:
    import numpy  # noqa: F401
except ImportError:
    raise UsageError("simulations need NumPy: pip install '.[simulate]' in the repository of scaleout-cfn") from None

if TYPE_CHECKING:
    from scaleout_cfn.simulator.measure import Stage
    from scaleout_cfn.simulator.model import Load, Model
    from scaleout_cfn.simulator.prices import Prices
    from scaleout_cfn.simulator.series import Values
    from scaleout_cfn.simulator.service_time import ServiceTime
    from scaleout_cfn.simulator.traffic import Traffic

path_type = click.Path(path_type=Path)

_OPTIONS = (
    click.option(
        "--traffic", "kind", metavar="KIND", help="Made up: flash-crowd, diurnal, ramp, step, noise, seed-load-test."
    ),
    click.option(
        "--with", "numbers", multiple=True, metavar="NAME=NUMBER", help="A number of the made-up traffic; repeatable."
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
        help="Whose prices, and that of --cloudwatch.  [default: that of the config, us-east-1; of the profile]",
    ),
    click.option("--profile", "aws_profile", default="", help="Of --cloudwatch: a profile of the AWS configuration."),
    click.option("--scale", type=Finite(min=0, min_open=True), default=1.0, help="Multiply the traffic."),
    click.option("--task-rps", type=Finite(0.001, 1e6), help="Requests a second that keep one task just busy."),
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
        type=Finite(0, 3600),
        default=0.25,
        show_default=True,
        help="Seconds that a request may wait.",
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


@dataclass(frozen=True)
class Asked:
    """The options as they were given."""

    kind: str | None
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
    scale: float
    task_rps: float | None
    url: str | None
    workers: int
    objective_s: float
    objective_on: Literal["wait", "response"]
    service_text: str
    timeout_s: float
    retry_share: float
    cpu_at_capacity: float
    cores: float
    memory_percent: float
    price_file: Path | None

    def all(self, region: str = "") -> tuple[Traffic, Load, Prices]:
        """What the options ask for, read or made up or measured: files first, for a measurement takes its time.

        `region` is that of the set, for prices where none is asked for.
        """
        from scaleout_cfn.simulator.service_time import service_time

        if (self.task_rps is None) == (self.url is None):
            got = "both" if self.url else "neither"
            raise UsageError(f"--task-rps and --measure: got {got}; give what one task can take, or have it measured")
        service = service_time(self.service_text)
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
            "--traffic": self.kind,
            "--csv": self.tables,
            "--access-log": self.logs,
            "--metrics": self.metrics,
            "--cloudwatch": self.metric,
        }
        given = [name for name, value in sources.items() if value]
        if len(given) != 1:
            what = " and ".join(given) if given else "none"
            raise UsageError(f"traffic: got {what}; give one of {', '.join(sources)}")
        if self.numbers and not self.kind:
            raise UsageError(f"--with {self.numbers[0]}: goes with --traffic, which has numbers to set")
        for option, value in (
            ("--dimension", self.dimensions[0] if self.dimensions else ""),
            ("--profile", self.aws_profile),
        ):
            if value and not self.metric:
                raise UsageError(f"{option} {value}: goes with --cloudwatch")
        if self.values and not (self.tables or self.metrics):
            raise UsageError(f"--values {self.values}: goes with --csv or --metrics")
        if self.strict and not (self.tables or self.metrics or self.logs):
            raise UsageError("--strict: goes with --csv, --metrics or --access-log")
        if self.combine != "sum" and len(self.tables + self.metrics + self.logs) < 2:
            raise UsageError(f"--combine {self.combine}: goes with several files")
        if self.metric:
            traffic = self._from_cloudwatch(self.metric)
        else:
            traffic = synthetic(self.kind, _numbers(self.numbers)) if self.kind else self._from_files()
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
        from scaleout_cfn.simulator.cloudwatch import from_cloudwatch

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
            task_rps=self.task_rps or _measured(str(self.url)),
            workers=self.workers,
            objective_s=self.objective_s,
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
    "--env", "environment", metavar="NAME", help="Overlay [environments.NAME] of a config file that is given."
)


service_option = click.option(
    "--service",
    metavar="NAME",
    default="",
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


def region_of(path: Path, environment: str | None) -> str:
    """The region that a config file names; empty where none is named, and for a folder of templates."""
    from scaleout_cfn.cli.options import load_config

    return load_config(path, environment, ()).region if path.suffix == ".toml" else ""


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
    """Of a rate that was measured what a task's own CPU brings, and a word about what it was that was measured."""
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

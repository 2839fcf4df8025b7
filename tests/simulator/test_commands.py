"""The commands, as they are typed, and the page in a real browser."""

from __future__ import annotations

import csv
import dataclasses
import html
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scaleout_cfn.cli import cli, live
from scaleout_cfn.errors import ConfigError, SetError, UsageError
from scaleout_cfn.simulator.model import Delays
from scaleout_cfn.simulator.report import length
from scaleout_cfn.simulator.run import Busy, run_together
from scaleout_cfn.simulator.traffic import Traffic

from .sets import LOAD, model, on_fargate

FOLDER = str(Path(__file__).parents[2] / "templates_out")
CROWD = ["--traffic", "flash-crowd", "--with", "hours=1", "--with", "at=600", "--task-rps", "50"]
# For `compare`, which runs a dozen sets.
SHORT = ["--traffic", "flash-crowd", "--with", "hours=0.4", "--with", "at=300", "--task-rps", "50"]


def _run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_simulate_prints_a_table_with_both_ranges() -> None:
    output = _run("simulate", FOLDER, *CROWD).stdout
    assert "over the phases" in output
    assert "over the bands" in output
    assert re.search(r"requests over the objective +\d+\.\d\d% ", output)
    assert "capacity provider: nodes 2 to" in output


def _runs() -> dict[str, live.Run]:
    crowd = np.array([20.0] * 600 + [160.0] * 600 + [20.0] * 600)
    made, fargate = model(), dataclasses.replace(on_fargate(), service="api")
    busy = [Busy(each, LOAD, Traffic("crowd", crowd)) for each in (made, fargate)]
    traces = run_together(busy, Delays())
    return {each.model.service: live.ready(each.model, LOAD, trace) for each, trace in zip(busy, traces, strict=True)}


@pytest.mark.parametrize("width", [60, 120])
def test_a_live_run_shows_what_there_is_at_a_time_and_nothing_of_what_comes(width: int) -> None:
    runs = _runs()
    early, late = live.frame(runs, 660, width, 60), live.frame(runs, 1800, width, 60)
    assert early[0] == "00:11:00 of 00:30:00, 60 times as fast.  Ctrl-C: the report"
    assert all(len(line) <= width for line in (*early, *late))
    (web, api) = (early.index(name) for name in ("web", "api"))
    assert [line.split("  ")[0] for line in early[web + 1 : web + 6]] == [
        "requests/s", "tasks", "nodes", "waiting", "over the objective",
    ]  # fmt: skip
    assert not any(line.startswith("nodes") for line in early[api:])
    # A crowd that has just begun, and one that is over: the highest bar, and a low one behind it.
    busy, over = (next(line for line in lines if line.startswith("requests/s")) for lines in (early, late))
    assert busy.endswith("█") and over.endswith("▁") and len(busy) < len(over) == width
    assert any(re.match(r"  00:1\d:\d\d  \w+: tasks \d+ to \d+$", line) for line in late)


def test_a_live_run_is_drawn_to_its_end_or_until_ctrl_c() -> None:
    runs, now = _runs(), [0.0]

    def pause(seconds: float) -> None:
        now[0] += 10

    live.play(runs, 60, clock=lambda: now[0], pause=pause)
    assert now[0] * 60 == 1800

    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    live.play(runs, 60, clock=lambda: 0.0, pause=stop)


def test_a_live_run_is_refused_where_nobody_looks() -> None:
    with pytest.raises(UsageError, match=r"--live 60: it is drawn on a terminal, .* or write --plot run\.png"):
        _run("simulate", FOLDER, *CROWD, "--live", "60")


def test_simulate_gives_one_json_object_the_same_each_time() -> None:
    one, other = (_run("simulate", FOLDER, *CROWD, "--json").stdout for _ in range(2))
    assert one == other
    data = json.loads(one)
    assert 0 < data["objective_missed"]["low"] <= data["objective_missed"]["mean"] <= data["objective_missed"]["high"]
    assert data["settings"]["task"]["cpu_units"] == 256
    assert data["events"]


def test_simulate_says_what_it_read_before_what_came_of_it() -> None:
    lines = _run("simulate", FOLDER, *CROWD, "--objective", "0.5").stdout.splitlines()
    assert lines[0] == "flash-crowd: 1 h, a number for each second; 241.2 requests/s on average, 500 at the peak"
    assert lines[1] == (
        "A task takes 50 requests/s, 4 at once, 80 ms each (exponential); a request may wait 0.5 s, and its"
        " client leaves after 10 s"
    )


@pytest.fixture
def hours(tmp_path: Path) -> Path:
    file = tmp_path / "hours.csv"
    file.write_text("t,n\n" + "".join(f"{600 * i},{60000 if i == 2 else 6000}\n" for i in range(4)))
    return file


def test_that_wide_bins_hide_crowds_is_the_first_line_of_every_report(hours: Path, tmp_path: Path) -> None:
    given = ("--csv", str(hours), "--task-rps", "50")
    says = "Only sums over 600 s are known, taken as even: crowds inside of them are not seen"
    page = tmp_path / "page.html"
    assert _run("simulate", FOLDER, *given, "--html", str(page)).stdout.startswith(says)
    assert f"</h1>\n<p>{says}" in page.read_text()
    assert "With bursts inside of the intervals" in page.read_text()
    told = json.loads(_run("simulate", FOLDER, *given, "--json").stdout)
    assert told["caution"].startswith(says)
    assert told["bursts"]["objective_missed"]["low"] < told["bursts"]["objective_missed"]["high"]
    assert _run("compare", FOLDER, *given).stdout.startswith(says)
    assert _run("advise", FOLDER, *given, "--tries", "5").stderr.startswith(says)


def test_what_was_left_out_of_a_log_is_on_the_report(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    line = '127.0.0.1 - frank [10/Oct/2026:13:{:02}:00 -0700] "GET /a HTTP/1.0" 200 2326\n'
    log.write_text("what\n" + "".join(line.format(minute) for minute in range(10)))
    page = tmp_path / "page.html"
    output = _run("simulate", FOLDER, "--access-log", str(log), "--task-rps", "50", "--html", str(page)).stdout
    says = f"1 of 11 lines cannot be read and are left out, the first of them line 1 of {log}"
    assert says in output
    assert says in page.read_text()


def test_the_maximum_is_named_where_it_is_what_limits(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    limited = _run("simulate", FOLDER, *CROWD[:-1], "20", "--html", str(page)).stdout
    says = "What limits is the maximum: at most 20 tasks, where the peak needs 54; too few for"
    assert says in limited
    assert says in page.read_text()
    assert "What limits" not in _run("simulate", FOLDER, *CROWD).stdout
    assert f"What limits {FOLDER} is the maximum: at most 20 tasks" in _run("compare", FOLDER, *SHORT[:-1], "20").stdout


def test_time_with_too_few_tasks_has_a_sentence_where_it_is_more_than_the_misses(tmp_path: Path) -> None:
    """Two tasks, always at nine tenths: 3 % of the requests wait too long, in each second."""
    says = "a second that misses 2 % of them counts as a whole"
    narrow = tmp_path / "scaleout.toml"
    narrow.write_text('services.web = {cpu_is = "quota", scaling = {max_tasks = 2}}\n')
    steady = ("--traffic", "step", "--with", "base=90", "--with", "peak=90", "--task-rps", "50")
    output = _run("simulate", str(narrow), *steady).stdout
    assert re.search(r"time with too few tasks +100.00%", output)
    assert says in output
    assert says not in _run("simulate", FOLDER, *steady).stdout


@pytest.fixture
def environments(tmp_path: Path) -> str:
    file = tmp_path / "scaleout.toml"
    prod = "[environments.prod.services.web.scaling]\nmax_tasks = 12\nmin_tasks = 3\n"
    file.write_text(f"[services.web.scaling]\nmax_tasks = 900\n{prod}")
    return str(file)


def test_a_config_file_is_simulated_in_an_environment_though_its_defaults_do_not_fit(environments: str) -> None:
    with pytest.raises(SetError, match="900 tasks"):
        _run("compare", environments, *CROWD)
    in_prod = json.loads(_run("compare", environments, *SHORT, "--env", "prod", "--json").stdout)
    assert in_prod["sets"][environments]["settings"]["scaling"]["max_tasks"] == 12
    alone = json.loads(_run("simulate", environments, *CROWD, "--env", "prod", "--json").stdout)
    assert alone["settings"]["scaling"]["min_tasks"] == 3
    with pytest.raises(ConfigError, match="staging"):
        _run("simulate", environments, *CROWD, "--env", "staging")


def test_templates_have_no_environments_and_that_is_told(environments: str) -> None:
    for arguments in (("simulate", FOLDER), ("compare", environments, FOLDER), ("advise", FOLDER)):
        with pytest.raises(UsageError, match=r"--env prod: .* is no config file.* render it with --env prod first"):
            _run(*arguments, *CROWD, "--env", "prod")


def test_a_template_s_time_zone_that_does_not_exist_is_one_clear_message(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "set")
    scaling = tmp_path / "set" / "web-service.yaml"
    text = scaling.read_text()
    actions = (
        "      ScheduledActions:\n        - ScheduledActionName: day\n          Schedule: cron(0 8 * * ? *)\n"
        "          Timezone: Europe/Berlim\n          ScalableTargetAction: {MinCapacity: 2, MaxCapacity: 4}\n"
    )
    anchor = "      ScalableDimension: ecs:service:DesiredCount\n"
    assert anchor in text
    scaling.write_text(text.replace(anchor, anchor + actions))
    with pytest.raises(UsageError, match=r"schedule day: timezone Europe/Berlim: .* did you mean Europe/Berlin"):
        _run("simulate", str(tmp_path / "set"), *CROWD)


def test_a_config_file_is_simulated_as_it_renders(tmp_path: Path) -> None:
    file = tmp_path / "scaleout.toml"
    file.write_text("[services.web.scaling]\nmin_tasks = 12\n")
    data = json.loads(_run("simulate", str(file), *CROWD, "--json").stdout)
    assert data["settings"]["scaling"]["min_tasks"] == 12


THREE = """
[capacity.nodes]
instance_types = ["t3.large"]
[capacity.far]
kind = "fargate"
[services.web]
capacity = "nodes"
[services.api]
capacity = "nodes"
route = { paths = ["/api/*"] }
scaling = { max_tasks = 4 }
[services.mailer]
kind = "worker"
image_of = "web"
capacity = "far"
memory_mib = 512
"""


@pytest.fixture
def three(tmp_path: Path) -> str:
    file = tmp_path / "scaleout.toml"
    file.write_text(THREE)
    return str(file)


def test_a_service_of_several_is_simulated_by_its_name_and_what_is_beside_it_is_said(three: str) -> None:
    with pytest.raises(UsageError, match=r"several services: api, mailer, web; say which one by --service NAME"):
        _run("simulate", three, *CROWD)
    with pytest.raises(UsageError, match=r"no service shop; there is api, mailer, web"):
        _run("advise", three, *CROWD, "--service", "shop")
    output = _run("simulate", three, *CROWD, "--service", "web").stdout
    assert "On the same nodes: 2 tasks of api" in output
    data = json.loads(_run("simulate", three, *CROWD, "--service", "web", "--json").stdout)
    assert [beside["tasks"] for beside in data["settings"]["pool"]["standing"]] == [2]
    assert data["notes"][0].startswith("On the same nodes: 2 tasks of api")


def test_services_that_share_nodes_have_a_traffic_each_and_one_bill(three: str, tmp_path: Path) -> None:
    Path(tmp_path, "api.csv").write_text("t,n\n" + "".join(f"{60 * minute},{6000}\n" for minute in range(60)))
    own = ("--csv", f"api={tmp_path / 'api.csv'}", "--task-rps", "50", "--task-rps", "api=80")
    crowd = ("--traffic", "web=flash-crowd", "--with", "web=hours=1")
    data = json.loads(_run("simulate", three, *crowd, *own, "--json").stdout)
    web, api = data["services"]["web"], data["services"]["api"]
    assert (web["mean_rps"] > 50, api["mean_rps"]) == (True, 100)
    assert (web["settings"]["load"]["task_rps"], api["settings"]["load"]["task_rps"]) == (50, 80)
    assert web["seconds"] == api["seconds"] == 3600
    assert not web["settings"]["pool"]["standing"]
    assert web["instance_hours"] == api["instance_hours"]
    assert web["cost_usd"] == api["cost_usd"]
    page = tmp_path / "page.html"
    output = _run("simulate", three, *crowd, *own, "--html", str(page)).stdout
    assert "Instances, their hours and USD are those of web and api together." in output
    assert page.with_name("page-web.html").exists() and page.with_name("page-api.html").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--traffic", "web=ramp", "--traffic", "ramp"), "ramp: it is not said whose traffic this is"),
        (("--traffic", "web=ramp", "--task-rps", "shop=5"), "of shop there is no traffic, but of web"),
        (("--traffic", "web=ramp", "--service", "web"), "leave it out"),
        (("--traffic", "web=ramp", "--event", "api=slow@600"), "no service api has a traffic; there is web"),
        (("--traffic", "shop=ramp"), "no service shop; there is api, mailer, web"),
        (("--traffic", "ramp", "--traffic", "step", "--service", "web"), "--traffic step: there is ramp already"),
    ],
)
def test_a_traffic_of_nobody_or_of_a_stranger_is_refused(three: str, options: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        _run("simulate", three, *options, "--task-rps", "50")


def test_on_fargate_there_are_task_hours_and_nothing_of_instances(three: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    asked = ("simulate", three, *CROWD, "--service", "mailer")
    output = _run(*asked, "--html", str(page), "--plot", str(tmp_path / "plot.svg")).stdout
    assert re.search(r"task-hours +\d", output)
    assert "nstance" not in output
    assert "task-hours on Fargate" in page.read_text()
    assert "Instances" not in page.read_text()
    data = json.loads(_run(*asked, "--json").stdout)
    assert data["settings"]["pool"]["kind"] == "fargate"
    assert data["task_hours"]["mean"] > 0
    assert data["instance_hours"]["mean"] == 0


def test_what_nothing_scales_is_told_beside_what_scaling_would_give(tmp_path: Path) -> None:
    still = tmp_path / "still.yaml"
    still.write_text("""
        Resources:
          Tasks:
            Type: AWS::ECS::TaskDefinition
            Properties: {Cpu: 256, Memory: 512, RequiresCompatibilities: [FARGATE], ContainerDefinitions: [{Name: web}]}
          Service:
            Type: AWS::ECS::Service
            Properties: {LaunchType: FARGATE, DesiredCount: 3, TaskDefinition: {Ref: Tasks}}
    """)
    page = tmp_path / "page.html"
    told = _run("simulate", str(still), *SHORT, "--html", str(page)).stdout
    says = "Nothing scales it. By the default policies of a config (40 % CPU), between 2 tasks"
    assert says in told
    assert says in page.read_text()
    assert re.search(r"and 25, .* miss \d+\.\d\d% .* instead of \d\d\.\d\d%, at \d\.\d\d USD instead of", told)
    whole = json.loads(_run("simulate", str(still), *SHORT, "--json").stdout)
    assert whole["scaled"]["objective_missed"]["mean"] < whole["objective_missed"]["mean"]
    assert whole["scaled"]["settings"]["scaling"]["max_tasks"] == 25
    searched = _run("advise", str(still), *SHORT, "--tries", "2", "--allow", "0.9", "--capacity", "same")
    assert "2 to 25 tasks" in searched.stderr
    assert "max_tasks = 25" in searched.stdout


def test_a_message_may_wait_as_long_as_its_queue_s_scaling_allows(tmp_path: Path) -> None:
    config = tmp_path / "scaleout.toml"
    config.write_text('services.web = {kind = "worker", queue = {latency_s = 40, seconds_per_message = 0.5}}\n')
    slow = ("--traffic", "step", "--with", "hours=0.2", "--with", "base=1", "--with", "peak=2", "--task-rps", "2")
    # 80 messages of a task, at two a second.
    assert "a message may wait 40 s\n" in _run("simulate", str(config), *slow).stdout
    assert "a message may wait 7 s\n" in _run("simulate", str(config), *slow, "--objective", "7").stdout


def test_simulate_reads_a_csv_and_scales_it(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("t,n\n" + "".join(f"{60 * i},600\n" for i in range(30)))
    data = json.loads(
        _run("simulate", FOLDER, "--csv", str(file), "--scale", "10", "--task-rps", "50", "--json").stdout
    )
    assert data["requests"] == 180000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--task-rps", "50"], "traffic: got none; give one of"),
        ([*CROWD, "--csv", "x.csv"], "traffic: got --traffic and --csv"),
        (["--csv", "nowhere.csv", "--task-rps", "50"], "nowhere.csv: No such file"),
        (["--csv", "x.csv", "--with", "a=1", "--task-rps", "50"], "goes with --traffic"),
        ([*CROWD, "--with", "peak=high"], "--with peak=high: give NAME=NUMBER"),
        ([*CROWD, "--prices", "nowhere.json"], "nowhere.json: No such file"),
        ([*CROWD, "--plot", "x.pdf"], "a plot is .png or .svg"),
        ([*CROWD, "--html", "/nowhere/x.html"], "give a path that can be written to"),
    ],
)
def test_wrong_options_get_one_clear_message(arguments: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)) as error:
        _run("simulate", FOLDER, *arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("option", ["--task-rps", "--scale", "--objective", "--timeout", "--retries", "--memory"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_what_is_no_number_is_refused(option: str, value: str) -> None:
    arguments = ["--task-rps", "50"] if option != "--task-rps" else []
    result = CliRunner().invoke(cli, ["simulate", FOLDER, "--traffic", "step", *arguments, option, value])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output


def test_the_series_has_a_row_for_every_ten_seconds(tmp_path: Path) -> None:
    file = tmp_path / "series.csv"
    _run("simulate", FOLDER, *CROWD, "--series", str(file))
    rows = list(csv.DictReader(file.open()))
    assert [row["time_s"] for row in rows[:3]] == ["0", "10", "20"]
    assert len(rows) == 360
    assert float(rows[0]["requests_per_s"]) == 50


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_plots_are_written_the_same_each_time(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    one, other = tmp_path / f"one.{ending}", tmp_path / f"other.{ending}"
    for file in (one, other):
        _run("simulate", FOLDER, *CROWD, "--plot", str(file))
    assert one.read_bytes() == other.read_bytes()
    assert len(one.read_bytes()) > 10_000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    _run("simulate", FOLDER, *CROWD, "--html", str(file))
    return file


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        assert tag not in ("link", "iframe", "img", "object")


def test_the_page_is_named_for_its_traffic_andlength(page: Path) -> None:
    assert "<h1>Simulation: flash-crowd, 1 h</h1>" in page.read_text()
    assert [length(seconds) for seconds in (6000, 90, 86400, 694861)] == [
        "1 h 40 min",
        "1 min 30 s",
        "1 d",
        "8 d 1 h 1 min",
    ]


def test_the_page_needs_no_network(page: Path) -> None:
    text = page.read_text()
    links = _Links()
    links.feed(text)
    assert links.found == []
    assert "url(" not in text
    assert "@import" not in text
    assert "fetch(" not in text
    assert "<!--" not in text


def _browse(page: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A page in a real browser, without a window. What its console says is on stderr."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        assert os.environ.get("BROWSER_TESTS") != "required", "no Chromium here"
        pytest.skip("no Chromium here to look at the page with")
    return subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
            f"--user-data-dir={page.parent / 'browser'}",
            *arguments,
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_drawn_by_a_browser_in_both_schemes(page: Path, tmp_path: Path, scheme: str) -> None:
    picture = tmp_path / "page.png"
    done = _browse(
        page,
        "--window-size=1100,1900",
        f"--blink-settings=preferredColorScheme={int(scheme == 'light')}",
        f"--screenshot={picture}",
    )
    assert "CONSOLE" not in done.stderr
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with matplotlib").open(picture).convert("L")
    corner = image.getpixel((5, 5))
    assert (corner > 200) == (scheme == "light")
    assert image.getextrema()[1] - image.getextrema()[0] > 150


_PROBE = """
<script>
const box = chart.getBoundingClientRect();
chart.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + box.width / 2, clientY: box.top + 9}));
const asked = performance.getEntriesByType("resource").map((entry) => entry.name);
document.title = JSON.stringify({asked, wide: document.documentElement.scrollWidth - innerWidth});
</script></body>
"""


@pytest.mark.parametrize("width", [1100, 500])
def test_the_page_asks_for_nothing_answers_a_pointer_and_fits_a_window(page: Path, tmp_path: Path, width: int) -> None:
    probe = tmp_path / "probe.html"
    probe.write_text(page.read_text().replace("</body>", _PROBE))
    done = _browse(probe, f"--window-size={width},900", "--dump-dom")
    assert "CONSOLE" not in done.stderr
    found = json.loads(html.unescape(re.findall("<title>(.*?)</title>", done.stdout)[0]))
    assert found["asked"] == []
    assert found["wide"] <= 0
    readout = re.findall('id="readout">(.*?)</p>', done.stdout)[0]
    assert "Traffic:" in readout
    assert "Instances:" in readout


def test_an_error_on_a_page_would_be_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.html"
    wrong.write_text("<!doctype html><title>x</title><script>nothing.here()</script>")
    assert "CONSOLE" in _browse(wrong, "--dump-dom").stderr


def test_compare_puts_the_profiles_and_the_peers_beside_the_sets(tmp_path: Path) -> None:
    output = _run("compare", FOLDER, *SHORT).stdout
    assert [line.split("  ")[0] for line in output.splitlines()[5:17]] == [
        "on Managed Instances x86_64",
        "on Fargate x86_64",
        "on Fargate arm64",
        "thrifty",
        "balanced",
        "resilient",
        "spot",
        "seed",
        "cdk",
        "express-mode",
        "copilot",
        "terraform-aws-modules",
    ]
    assert "and which it ends when, is not published" in output
    data = json.loads(_run("compare", FOLDER, *SHORT, "--json").stdout)
    # What a config has that says nothing is the balanced profile.
    assert data["sets"]["balanced"] == data["sets"][FOLDER]
    assert data["sets"]["cdk"]["objective_missed"]["mean"] > data["sets"][FOLDER]["objective_missed"]["mean"]


def test_advise_writes_an_overlay(tmp_path: Path) -> None:
    out = tmp_path / "advised.toml"
    ramp = ["--traffic", "ramp", "--with", "peak=300", "--with", "hours=1.5", "--task-rps", "50"]
    result = _run("advise", FOLDER, *ramp, "--tries", "30", "--allow", "0.02", "-o", str(out))
    assert "30 tried" in result.stderr
    assert "[environments.advised.services.web.scaling]" in out.read_text()


def test_advise_refuses_where_nothing_survives() -> None:
    with pytest.raises(UsageError, match=r"none of 10 shapes and settings .* the maximum: at most 20 tasks"):
        _run("advise", FOLDER, "--traffic", "step", "--with", "peak=5000", "--task-rps", "50", "--tries", "10")


def test_figures_tell_fitted_from_held_out_and_show_what_is_missed() -> None:
    output = _run("figures").stdout
    assert "fitted: metric_lag_60_s" in output
    assert re.search(r"0 to 3500 containers, all serve .* missed +held out", output)
    rows = json.loads(_run("figures", "--json").stdout)["figures"]
    assert {"name", "published_s", "model_s", "error", "fitted", "source"} == rows[0].keys()


def test_prices_are_a_table_with_sources_and_a_price_file(tmp_path: Path) -> None:
    table = _run("prices", "show", "--region", "eu-west-1").stdout
    assert "Prices of eu-west-1, 2026-" in table
    assert re.search(r"NAT gateway, an hour +0\.048 +\d+\n", table)
    assert re.search(r"EC2 Spot, a share of On-Demand +0\.41 +0\.25 to 0\.7 +\d+\n", table)
    assert "https://aws.amazon.com/fargate/pricing/" in table
    file = tmp_path / "prices.json"
    file.write_text(_run("prices", "show", "--json").stdout)
    assert _run("simulate", FOLDER, *CROWD, "--prices", str(file)).exit_code == 0
    with pytest.raises(UsageError, match="has the prices of us-east-1; name one"):
        _run("simulate", FOLDER, *CROWD, "--prices", str(file), "--region", "eu-west-1")


def test_prices_are_those_of_the_region_that_is_asked_for_or_that_the_config_names(tmp_path: Path) -> None:
    config = tmp_path / "scaleout.toml"
    config.write_text('region = "eu-west-1"\n')
    assert "Prices of 2026-02-07, eu-west-1." in _run("simulate", str(config), *CROWD).stderr
    asked = _run("simulate", str(config), *CROWD, "--region", "ap-southeast-2")
    assert ", ap-southeast-2." in asked.stderr
    config.write_text('region = "eu-central-1"\n')
    elsewhere = _run("simulate", str(config), *CROWD).stderr
    assert "no built-in prices of eu-central-1" in elsewhere
    assert "those of us-east-1 are taken" in elsewhere

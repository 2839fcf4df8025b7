"""What befalls a run: read from its text, on the report, and priced in requests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from scaleout_cfn.cli import cli
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.events import KINDS, fears, in_order
from scaleout_cfn.simulator.model import Delays, Fargate
from scaleout_cfn.simulator.prices import prices_of
from scaleout_cfn.simulator.results import measure
from scaleout_cfn.simulator.run import run
from scaleout_cfn.simulator.traffic import Traffic

from .sets import LOAD, model, on_fargate

PRICES = prices_of("us-east-1")


@pytest.mark.parametrize("name", list(KINDS))
def test_an_event_that_is_only_named_is_read_and_has_its_defaults(name: str) -> None:
    spot = on_fargate(pool=Fargate(spot_percent=50))
    (fear,) = fears([f"{name}@60"], spot, 3600)
    kind = KINDS[name]
    assert (fear.second, fear.lasts_s) == (60, kind.lasts_s or 0)
    assert fear.numbers == {each: number.default for each, number in kind.numbers.items()}
    assert [event.time for event in fear.events] == ([60, 60 + kind.lasts_s] if kind.lasts_s else [60])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flood@60", "no event 'flood'; there are zone-lost"),
        ("slow", "give slow@SECOND:SECONDS,factor=NUMBER"),
        ("slow@1.5", "in whole seconds"),
        ("slow@60:0", "in whole seconds"),
        ("slow@60:", "in whole seconds"),
        ("spot-wave@60:5", "at once and has no length"),
        ("slow@60,share=1", "slow takes no 'share'"),
        ("slow@60,factor=0.5", "give 1 to 100"),
        ("slow@60,factor=", "factor = nothing"),
        ("slow@3600", "the traffic ends after 3600 s"),
        ("spot-wave@60", "nothing of the pool is on Spot"),
    ],
)
def test_a_wrong_event_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"--event {text}: ") as refused:
        fears([text], model(), 3600)
    assert says in str(refused.value)


def test_two_of_a_kind_come_one_after_the_other() -> None:
    assert len(fears(["slow@700:60", "slow@60:600", "zone-lost@60"], model(), 3600)) == 3
    with pytest.raises(UsageError, match="slow@600: it begins before slow@60:600 is over"):
        fears(["slow@600", "slow@60:600"], model(), 3600)


def test_tasks_that_are_slow_miss_while_they_are_and_not_after_the_queue_has_gone() -> None:
    calm = Traffic("calm", np.full(3600, 80.0))
    made = model(min_tasks=3, max_tasks=3)
    missed = []
    for texts in ([], ["slow@600:60,factor=3"]):
        events = in_order(fears(texts, made, 3600))
        trace = run(made, LOAD, Delays(), calm, events=events)
        missed.append(measure(trace, made, LOAD, PRICES, 0.0).requests_missed)
    assert missed[0] < 200
    # What comes in the minute, and until the queue of it, half a minute's work, is worked off again.
    assert 60 * 80 < missed[1] < 200 * 80


def test_the_report_says_what_an_event_cost_and_where_it_was(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    given = ["simulate", "templates_out", "--traffic", "step", "--with", "hours=0.5", "--with", "at=0"]
    given += ["--with", "peak=150", "--task-rps", "50"]
    text = "zone-lost@900:300"
    result = CliRunner().invoke(cli, [*given, "--event", text, "--json", "--html", str(page)], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["requests_lost"][text]["mean"] > 0
    assert told["requests_lost"][text]["mean"] < told["requests_missed"]["mean"] * 1.001
    assert f"<title>{text}</title>" in page.read_text()
    assert f"{text} cost " in page.read_text()

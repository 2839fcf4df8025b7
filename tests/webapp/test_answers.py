"""What the application answers, asked without a server."""

from __future__ import annotations

import importlib.util
import json
import logging
import string
from collections import Counter
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .helpers import WEBAPP

pytest.importorskip("flask", reason="no flask; pip install -r webapp/requirements.txt")


def load() -> Any:
    spec = importlib.util.spec_from_file_location("webapp_main", WEBAPP / "app" / "main.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


main = load()
client = main.app.test_client()


def is_letters(body: Any, count: int) -> bool:
    return list(body) == [str(index) for index in range(count)] and all(
        len(letter) == 1 and letter in string.ascii_letters for letter in body.values()
    )


def is_problem(answer: Any, status: int) -> bool:
    return (
        answer.status_code == status
        and answer.content_type == "application/problem+json"
        and set(answer.json) == {"type", "title", "status", "detail"}
        and answer.json["status"] == status
    )


def test_the_root_greets_and_points_to_the_api() -> None:
    answer = client.get("/")
    assert answer.status_code == 200 and "/api" in answer.text


def test_the_api_gives_52_letters_by_their_indices() -> None:
    answer = client.get("/api")
    assert answer.content_type == "application/json" and is_letters(answer.json, 52)


def test_letters_are_drawn_anew_for_each_request_and_all_of_them_come_up() -> None:
    answers = [client.get("/api").json for _ in range(100)]
    assert len({json.dumps(answer) for answer in answers}) == 100
    assert {letter for answer in answers for letter in answer.values()} == set(string.ascii_letters)


def test_no_letter_is_likelier_than_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main.random, "randbytes", lambda _: bytes([*range(208, 256), *range(208)]))
    assert Counter(main._random_letters(4 * 52)) == dict.fromkeys(string.ascii_letters, 4)


@given(st.integers(1, 10_000))
@settings(deadline=None)
def test_a_count_gives_as_many_letters(count: int) -> None:
    assert is_letters(client.get(f"/api?count={count}").json, count)


@given(
    st.one_of(
        st.integers(max_value=0).map(str),
        st.integers(min_value=10_001).map(str),
        st.floats().map(str),
        st.text(max_size=40).filter(lambda text: not main.COUNT.fullmatch(text)),
        st.sampled_from(["", " 5", "5 ", "+5", "05", "1_0", "1e3", "0x10", "\u0665", "\uff15", "5\n", "9" * 5000]),
    )
)
@settings(max_examples=300, deadline=None)
def test_any_other_count_is_refused_with_what_is_allowed(count: str) -> None:
    answer = client.get("/api", query_string={"count": count})
    assert is_problem(answer, 400)
    assert answer.json["detail"].startswith("count: got ") and "from 1 to 10000" in answer.json["detail"]


def test_two_counts_are_refused() -> None:
    assert is_problem(client.get("/api?count=1&count=2"), 400)


@given(st.text(st.characters(exclude_characters="?#", exclude_categories=["Cs"]), min_size=1, max_size=60))
@settings(deadline=None)
def test_an_unknown_path_is_a_problem_404(path: str) -> None:
    if path.strip("/") not in ("", "api", "health"):
        assert is_problem(client.get("/" + quote(path.lstrip("/"))), 404)


@pytest.mark.parametrize("path", ["/", "/api", "/health"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "NONSENSE"])
def test_other_methods_are_a_problem_405_that_says_which_are_allowed(path: str, method: str) -> None:
    answer = client.open(path, method=method)
    assert is_problem(answer, 405)
    assert {"GET", "HEAD", "OPTIONS"} == set(answer.headers["Allow"].split(", "))


def test_a_log_record_is_one_line_of_json_with_the_trace_id_and_the_traceback() -> None:
    formatter = main.JsonLines()
    with main.app.test_request_context(headers={"X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678"}):
        try:
            raise RuntimeError("first line\nsecond line")
        except RuntimeError as error:
            caught = (RuntimeError, error, error.__traceback__)
        line = formatter.format(logging.LogRecord("web", logging.ERROR, "main.py", 1, "it %s", ("broke",), caught))
    record = json.loads(line)
    assert "\n" not in line
    assert record["message"] == "it broke" and record["level"] == "ERROR"
    assert record["trace"] == "Root=1-67891233-abcdef012345678912345678"
    assert "second line" in record["exception"] and "Traceback" in record["exception"]

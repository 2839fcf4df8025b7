"""The records of --json: each kind of message has its own, and docs/records.schema.json says what is in it."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]
import pytest

from scaleout_cfn.cli.views import JsonView
from scaleout_cfn.deploy.changes.plan import Change, Plan, Property
from scaleout_cfn.deploy.messages import (
    Blocked,
    Fact,
    Hook,
    Message,
    Note,
    Outcome,
    Planned,
    Revision,
    Rollout,
    Started,
    Uploaded,
    Watched,
)
from scaleout_cfn.deploy.watch.events import Event, Progress
from scaleout_cfn.errors import Next

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "records.schema.json").read_text(encoding="utf-8"))
CHECK = jsonschema.Draft202012Validator(SCHEMA)


def made(kind: type[Any]) -> Any:
    """A value of a dataclass: each field of the type that it says."""
    texts = {
        "Literal['new', 'old']": "new",
        "str": "x",
        "int": 1,
        "float": 1.0,
        "bool": True,
        "datetime": datetime(2026, 11, 1, tzinfo=UTC),
    }
    values = {
        field.name: texts[str(field.type)]
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        and str(field.type) in texts
    }
    return kind(**values)


EVENT = made(Event)
CHANGE = Change("Data/Table", "A::B::C", "Modify", "certain", properties=(Property("Key", "a", "b", "certain"),))
PLAN = Plan("web", "arn", "arn:changeSet/x", False, "", (CHANGE,), ("mind",), ("CAPABILITY_IAM",))
MESSAGES: dict[str, Message] = {
    "start": made(Started),
    "upload": made(Uploaded),
    "plan": Planned(PLAN),
    "blocked": Blocked({"Data/Table": "would be replaced"}),
    "event": Watched("UPDATE_IN_PROGRESS", (EVENT,), Progress(1, 2, ("Data/Table",)), 1.0),
    "rollout": Rollout("web", "arn:web", "IN_PROGRESS", revisions=(made(Revision),), hooks=(made(Hook),)),
    "note": Note("a word", "warning"),
    "status": Fact("status", ("one",), {"url": "https://example.com"}),
    "result": Outcome("done", "web: updated", cause=EVENT, outputs={"Url": "x"}, next=Next("status")),
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_each_message_is_a_record_of_its_own_type(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    JsonView().tell(MESSAGES[kind])
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records[0]["type"] == kind
    for record in records:
        CHECK.validate(record)


def test_no_kind_of_message_is_left_out() -> None:
    assert {type(message) for message in MESSAGES.values()} == set(get_args(Message))


def test_a_record_that_lacks_a_field_or_has_another_is_none() -> None:
    note = {"v": 1, "type": "note", "text": "a", "level": "info"}
    CHECK.validate(note)
    for wrong in ({**note, "more": 1}, {key: note[key] for key in ("v", "type")}, {**note, "type": "AWS::EC2::VPC"}):
        assert not CHECK.is_valid(wrong)

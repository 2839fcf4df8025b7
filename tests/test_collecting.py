"""The cyclic collector pauses while a set is made, and only then."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from scaleout_cfn.composing import compose
from scaleout_cfn.config import Config
from scaleout_cfn.rendering import local_url, render
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks import root


@pytest.fixture(params=[True, False])
def collects(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the caller's collector is on."""
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_it_is_off_while_a_set_is_made_and_then_as_the_caller_had_it(collects: bool) -> None:
    seen = []

    def build(stack: Stack, config: Config) -> root.Outputs:
        """A root."""
        seen.append(gc.isenabled())
        return root.build(stack, config)

    def url(name: str, template: dict[str, Any]) -> Any:
        seen.append(gc.isenabled())
        return local_url(name, template)

    stack = compose(Config(), build)
    assert gc.isenabled() is collects
    render(stack, url=url)
    assert gc.isenabled() is collects
    assert seen and not any(seen)


def test_an_error_leaves_it_as_the_caller_had_it(collects: bool) -> None:
    def build(stack: Stack, config: Config) -> root.Outputs:
        """A root that fails."""
        raise KeyError("nothing")

    with pytest.raises(KeyError):
        compose(Config(), build)
    assert gc.isenabled() is collects

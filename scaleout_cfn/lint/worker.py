"""cfn-lint in a process of its own: a request a line on stdin, an answer a line on stdout. See cfn_lint.py.

Run as a file and importing nothing of this package, so that the folder it stands in need not be on Python's path.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from glob import glob
from typing import Any

# cfn-lint takes a fifth of it on the largest templates that CloudFormation takes.
MEMORY = 2 << 30

# Of cfn-lint's own rules it is some dozens.
MOST_KINDS = 1_000

SEVERITIES = {"error": "error", "warning": "warning", "informational": "info"}


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """What cfn-lint finds in one template, which rules and files its settings ignore, and how it failed, if it did.

    Nothing is looked for unless the request has `read`. `fault` is one of the settings, or of a region.
    """
    from cfnlint.config import ConfigMixIn
    from cfnlint.runner import InvalidRegionException, run_template_by_file_path

    os.chdir(request["settings"])
    regions = request["regions"]
    try:
        config = ConfigMixIn([], regions=regions) if regions else ConfigMixIn([])
        rules = _rules(_foreign(config.append_rules))
    except Exception as error:
        return {"fault": " ".join(str(error).split())}
    # As cfn-lint does, from the folder of the settings.
    unwanted = [file for form in config.file_args.get("ignore_templates", []) for file in glob(form, recursive=True)]
    found: list[dict[str, Any]] = []
    failed = ""
    try:
        for match in run_template_by_file_path(request["template"], config, rules, False) if request["read"] else ():
            finding = {
                "line": match.linenumber,
                "path": ".".join(str(part) for part in getattr(match, "path", None) or ()),
                "rule": match.rule.id,
                "severity": SEVERITIES[match.rule.severity],
                "message": match.message,
                "source": match.rule.source_url,
            }
            found.append(finding)
    except InvalidRegionException as error:
        return {"fault": str(error)}
    except MemoryError:
        failed = "it needs more than 2 GiB of memory"
    except Exception as error:
        failed = f"{type(error).__name__}: {error}"[:200]
    ignored = [rule for rule in config.ignore_checks if isinstance(rule, str)]
    return {
        "found": found,
        "failed": failed,
        "ignored": ignored,
        "mandatory": list(config.mandatory_checks),
        "unwanted": [os.path.realpath(file) for file in unwanted],
    }


def _foreign(rules: Sequence[str]) -> tuple[str, ...]:
    """Rules that the settings add, but for ours: those are asked beside cfn-lint, of the whole set."""
    return tuple(rule for rule in rules if rule != "scaleout_cfn.lint.cfn_lint_rules")


@cache
def _rules(places: Sequence[str]) -> Any:
    """The rules of some folders and modules, loaded once."""
    from cfnlint.rules import Rules

    rules = Rules()
    for place in places:
        folder = os.path.isdir(os.path.expanduser(place))
        rules.update(Rules.create_from_directory(place) if folder else Rules.create_from_module(place))
    # Some hundred thousand objects that live as long as the process: no collection need look at them.
    gc.freeze()
    return rules


def make_validators_once() -> None:
    """Have cfn-lint make a class of validators once for the same parts.

    It makes a dataclass wherever a rule looks into a place with rules of its own. For a set of twenty services that is
    1,391 of them of 15 different kinds, and takes a fifth of the time.
    """
    from cfnlint.jsonschema import validators

    # It is not for others to call: where a version has none, there is nothing to make once.
    if not hasattr(validators, "create"):
        return
    made: dict[Any, Any] = {}
    make = validators.create

    def create(**parts: Any) -> Any:
        key = tuple(
            (name, tuple(part.items()) if isinstance(part, dict) else repr(part)) for name, part in parts.items()
        )
        if key not in made:
            # Rules of somebody's own might bring others each time.
            if len(made) == MOST_KINDS:
                made.clear()
            made[key] = make(**parts)
        return made[key]

    validators.create = create


def _bound(seconds: float) -> None:
    """End this process once it has worked for so many seconds of CPU from now on; not at all for none."""
    if sys.platform != "win32":  # which has none
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main() -> None:
    # cfn-lint makes many objects at once and drops few in cycles: with the usual thresholds a sixth of its time goes
    # into collections that find next to nothing.
    gc.set_threshold(1_000_000, 50, 1_000)
    if sys.platform != "win32":  # which has no such limit
        import resource

        with suppress(ValueError, OSError):  # macOS does not keep to it
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    # What cfn-lint says when no region is given is the same everywhere.
    os.environ.pop("AWS_REGION", None)
    os.environ.pop("AWS_DEFAULT_REGION", None)
    # It logs what it finds, too.
    logging.disable(logging.CRITICAL)
    answers, sys.stdout = sys.stdout, sys.stderr
    # Here, so that cfn-lint is loaded by the time it is asked.
    make_validators_once()
    # Whoever asked may be gone at once, without ending this.
    with suppress(BrokenPipeError):
        for line in sys.stdin:
            request = json.loads(line)
            _bound(request["seconds"])
            print(json.dumps(answer(request)), file=answers, flush=True)
            _bound(0)
    # Taking hundreds of thousands of objects down one by one helps nobody.
    os._exit(0)


if __name__ == "__main__":
    main()

"""checkov on the default set and on the strictest one: `tox -e audit`.

Every check that fails has to stand in accepted.toml with its reason; an entry that no check needs any more is an
error too, so that the list stays true. Exit code 0 when both hold, else 1.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import tomllib
from pathlib import Path

import scaleout_cfn as sc

STRICT = sc.Config(
    network=sc.NewVpc(egress="endpoints", flow_logs=True),
    registry=sc.Registry(encryption="KMS"),
    load_balancer=sc.NewLoadBalancer(
        listener=sc.Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789ABCDEFGHIJ"),
        access_logs=True,
        deletion_protection=True,
    ),
    cluster=sc.Cluster(container_insights="enhanced"),
    observability=sc.Observability(log_retention_days=365, keep_logs=True, alarm_email="ops@example.com"),
)


def failed(config: sc.Config) -> dict[str, set[str]]:
    """The failed checks of a config's set: id and title to the resources, as file/LogicalId."""
    from checkov.cloudformation.runner import Runner
    from checkov.runner_filter import RunnerFilter

    with tempfile.TemporaryDirectory() as folder:
        # JSON, for checkov's YAML reader keeps the lines, not the meaning, of some short forms.
        sc.write(Path(folder), sc.render(sc.compose(config), format="json"))
        with contextlib.redirect_stdout(io.StringIO()):
            report = Runner().run(
                root_folder=folder,
                runner_filter=RunnerFilter(framework=["cloudformation"], download_external_modules=False),
            )
    found: dict[str, set[str]] = {}
    for record in report.failed_checks:
        place = f"{Path(record.file_path).stem}/{record.resource.rpartition('.')[2]}"
        found.setdefault(f"{record.check_id} {record.check_name}", set()).add(place)
    if not report.passed_checks:
        raise SystemExit("checkov has checked nothing")
    return found


def main() -> None:
    accepted = tomllib.loads((Path(__file__).parent / "accepted.toml").read_text(encoding="utf-8"))
    problems = []
    for name, config in (("default", sc.Config()), ("strict", STRICT)):
        found = failed(config)
        for check, places in sorted(found.items()):
            excused = accepted.get(check.partition(" ")[0], {}).get(name, [])
            problems += [f"{name}: {place}: {check}" for place in sorted(places) if place not in excused]
        by_id = {check.partition(" ")[0]: places for check, places in found.items()}
        for identifier, entry in accepted.items():
            stale = sorted(set(entry[name]) - by_id.get(identifier, set()))
            problems += [f"accepted.toml: {name}: {identifier} at {place} is not needed any more" for place in stale]
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems, {len(accepted)} checks accepted with a reason")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

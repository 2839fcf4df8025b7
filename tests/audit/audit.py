"""checkov and cdk-nag on the default set, the strictest one and the hardened one: `tox -e audit`.

Every check that fails has to stand in accepted.toml with its reason; an entry that no check needs any more is an
error too, so that the list stays true. What is accepted of the hardened set has to be named by docs/security.md, too.
Exit code 0 when all of it holds, else 1.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from msgspec.structs import replace

import scaleout_cfn as sc

HERE = Path(__file__).parent
#: A domain is the one thing that no profile can know.
TLS = sc.Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789ABCDEFGHIJ")
STRICT = sc.Config(
    network=sc.NewVpc(egress="endpoints", flow_logs=True),
    registry=sc.Registry(encryption="KMS"),
    load_balancer=sc.NewLoadBalancer(listener=TLS, access_logs=True, deletion_protection=True),
    cluster=sc.Cluster(container_insights="enhanced"),
    observability=sc.Observability(log_retention_days=365, keep_logs=True, alarm_email="ops@example.com"),
)


def hardened() -> sc.Config:
    """What `init --profile hardened` writes, with a listener that speaks TLS."""
    config = sc.hardened(sc.Config())
    return replace(config, load_balancer=replace(config.load_balancer, listener=TLS))


def failed(config: sc.Config) -> dict[str, set[str]]:
    """The failed checks of a config's set: id and what it says to the resources, as file/LogicalId."""
    with tempfile.TemporaryDirectory() as folder:
        # JSON, for checkov's YAML reader keeps the lines, not the meaning, of some short forms.
        sc.write(Path(folder), sc.render(sc.compose(config), format="json"))
        found = by_checkov(folder)
        for check, places in by_nag(folder).items():
            found.setdefault(check, set()).update(places)
    return found


def by_checkov(folder: str) -> dict[str, set[str]]:
    from checkov.cloudformation.runner import Runner
    from checkov.runner_filter import RunnerFilter

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


def by_nag(folder: str) -> dict[str, set[str]]:
    """What cdk-nag's packs find. A rule that several of them have, as HIPAA and NIST do, is one check."""
    command = ["node", str(HERE / "nag.cjs"), folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode:
        raise SystemExit(f"cdk-nag has not run: {done.stderr.strip()[-400:]}")
    found: dict[str, set[str]] = {}
    for finding in json.loads(done.stdout):
        rule = finding["rule"].partition("[")[0]
        pack, _, name = rule.partition("-")
        check = rule if pack == "AwsSolutions" else name
        found.setdefault(f"{check} {finding['what'].partition('.')[0]}", set()).add(finding["place"])
    return found


def main() -> None:
    accepted = tomllib.loads((HERE / "accepted.toml").read_text(encoding="utf-8"))
    page = (HERE.parents[1] / "docs" / "security.md").read_text(encoding="utf-8")
    problems = [
        f"docs/security.md does not name {identifier}"
        for identifier, entry in accepted.items()
        if entry.get("hardened") and f"`{identifier}`" not in page
    ]
    for name, config in (("default", sc.Config()), ("strict", STRICT), ("hardened", hardened())):
        by_id: dict[str, set[str]] = {}
        for check, places in failed(config).items():
            identifier = check.partition(" ")[0]
            by_id.setdefault(identifier, set()).update(places)
            excused = accepted.get(identifier, {}).get(name, [])
            problems += [f"{name}: {place}: {check}" for place in sorted(places) if place not in excused]
        for identifier, entry in accepted.items():
            stale = sorted(set(entry.get(name, [])) - by_id.get(identifier, set()))
            problems += [f"accepted.toml: {name}: {identifier} at {place} is not needed any more" for place in stale]
    for problem in dict.fromkeys(problems):
        print(problem)
    print(f"{len(problems)} problems, {len(accepted)} checks accepted with a reason")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

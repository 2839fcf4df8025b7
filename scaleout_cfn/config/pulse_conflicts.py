"""What single bounds cannot say of a service's pulse, and of the step policies that watch it."""

from __future__ import annotations

from collections.abc import Iterator

from scaleout_cfn.config import InternalService, WebService
from scaleout_cfn.config.pulse import READER, VARIABLE, ReadPulse
from scaleout_cfn.config.sidecars import FireLensSidecar
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import Unit


def pulse_conflicts(unit: Unit) -> Iterator[Conflict]:
    settings, scaling = unit.settings, unit.settings.scaling
    key, pulse = f"{unit.key}.scaling.pulse", scaling.pulse
    for index, policy in enumerate(scaling.step_policies):
        where = f"{unit.key}.scaling.step_policies[{index}]"
        if policy.metric == "pulse" and pulse is None:
            yield Conflict(f"{where}.metric", f"is the pulse, and there is none; write [{key}], or watch cpu or memory")
    if pulse is None:
        return
    if not isinstance(settings, (WebService, InternalService)):
        yield Conflict(
            key, "counts requests, and nothing is sent to a worker; leave it out, and scale by its queue, cpu or memory"
        )
        return
    if scaling.requests.enabled:
        yield Conflict(
            f"{unit.key}.scaling.requests",
            f"counts requests by the minute, and {key} the same ones every 10 s; keep one of the two",
        )
    if isinstance(pulse, ReadPulse):
        if READER in settings.sidecars:
            yield Conflict(
                f"{unit.key}.sidecars.{READER}", f"is what the sidecar of {key} is called; give this one another name"
            )
        return
    firelens = [name for name, sidecar in sorted(settings.sidecars.items()) if isinstance(sidecar, FireLensSidecar)]
    if firelens or settings.log_driver != "awslogs":
        taken = f"{firelens[0]} takes its logs" if firelens else f'log_driver = "{settings.log_driver}"'
        yield Conflict(
            f"{key}.kind",
            f'"log" comes with the service\'s log in CloudWatch, and {taken}; count by a sidecar, which has a log of'
            ' its own: "nginx" or "address"',
        )
    for table in ("environment", "secrets"):
        if VARIABLE in getattr(settings, table):
            yield Conflict(f"{unit.key}.{table}.{VARIABLE}", "is what the set tells the metric's name by; leave it out")

"""What the emulator lacks is told as its gap and not as a fault of the template: AWS may well know it."""

from __future__ import annotations

import re
from typing import Any, Final

from ministack.services.cloudformation import changesets, engine, handlers

from scaleout_cfn.local.limits import GAP
from scaleout_cfn.templates import schemas

_UNRECOGNIZED: Final = re.compile(r"(?P<said>.*Unrecognized resource types: )\[(?P<kinds>.*)\]")


def gaps_told() -> None:
    """MiniStack says of a type or an attribute that it lacks what AWS says of one that does not exist."""
    validate, unknown_attribute = engine.validate_template_support, engine._unknown_attribute_message

    def validate_telling(*arguments: Any, **more: Any) -> None:
        try:
            validate(*arguments, **more)
        except ValueError as error:
            raise ValueError(_told(str(error))) from None

    def unknown_attribute_telling(resource: dict[str, Any], logical_id: str, attribute: str) -> str:
        kind = resource.get("ResourceType", "")
        if schemas.has_attribute(kind, attribute):
            return f"{GAP} the attribute {attribute} of {kind}; AWS does"
        return str(unknown_attribute(resource, logical_id, attribute))

    for module in (engine, changesets, handlers):
        module.validate_template_support = validate_telling
    engine._unknown_attribute_message = unknown_attribute_telling


def _told(refusal: str) -> str:
    match = _UNRECOGNIZED.fullmatch(refusal)
    if match is None:
        return refusal
    kinds = match["kinds"].split(", ")
    nobodys = [kind for kind in kinds if not schemas.is_known(kind)]
    return f"{match['said']}[{', '.join(nobodys)}]" if nobodys else f"{GAP} {', '.join(kinds)}; AWS does"

"""Elastic Load Balancing: listener rules, what they forward to, a listener's further certificates, trust stores.

The words of refusals are AWS's, as the issue or page at each shows them.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final
from xml.sax.saxutils import escape

from ministack.core.responses import get_account_id, get_region
from ministack.services import alb
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Act, Properties, RefusedError, register, revise

_Record = dict[str, Any]

_MOST_VALUES: Final = 5
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html"""


def listener_rules() -> None:
    """MiniStack gives two rules of a listener one priority, takes any number of condition values, drops the query of a
    condition, the weights of a forward and where users sign in, lets two load balancers forward to one target group,
    and deletes one that a rule or a listener forwards to."""
    handlers = provisioners._RESOURCE_HANDLERS
    rule, group = (handlers[f"AWS::ElasticLoadBalancingV2::{kind}"] for kind in ("ListenerRule", "TargetGroup"))
    create, update, delete = rule["create"], rule["update"], group["delete"]
    convert, show_condition, show_action = provisioners._elbv2_listener_actions, alb._condition_xml, alb._action_xml
    read_actions, read_conditions, matches = alb._parse_actions, alb._parse_conditions, alb._match_condition
    show_group = alb._tg_xml

    def create_checked(logical_id: str, properties: Properties, stack_name: str) -> Any:
        _check(properties["ListenerArn"], str(properties["Priority"]), _conditions(properties), _actions(properties))
        return create(logical_id, properties, stack_name)

    def update_checked(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Any:
        _check(new["ListenerArn"], str(new["Priority"]), _conditions(new), _actions(new), physical_id)
        return update(physical_id, old, new, *rest)

    def delete_unused(physical_id: str, properties: Properties) -> None:
        _refuse_if_used(physical_id)
        delete(physical_id, properties)

    def actions(properties: Properties, *rest: Any, **more: Any) -> list[_Record]:
        converted: list[_Record] = convert(properties, *rest, **more)
        for action, given in zip(converted, properties.get(more.get("prop", "DefaultActions")) or (), strict=False):
            kept = ("ForwardConfig", "AuthenticateOidcConfig", "AuthenticateCognitoConfig")
            action.update({name: given[name] for name in kept if name in given})
        return converted

    def create_api(stock: Act, request: Any) -> Any:
        listener, priority = alb._p(request, "ListenerArn"), alb._p(request, "Priority")
        _check(listener, priority, alb._parse_conditions(request), alb._parse_actions(request, "Actions"))
        return stock(request)

    def modify_api(stock: Act, request: Any) -> Any:
        _check(None, "", alb._parse_conditions(request), alb._parse_actions(request, "Actions"))
        return stock(request)

    def prioritise_api(stock: Act, request: Any) -> Any:
        wanted = dict(_members(request, "RulePriorities", "RuleArn", "Priority"))
        for arn, priority in wanted.items():
            for other, record in alb._rules.items():
                if record["ListenerArn"] == alb._rules.get(arn, {}).get("ListenerArn") and other not in wanted:
                    _refuse_priority(record, priority)
        return stock(request)

    def delete_api(stock: Act, request: Any) -> Any:
        _refuse_if_used(alb._p(request, "TargetGroupArn"))
        return stock(request)

    def parse_conditions(params: Any, prefix: str = "Conditions") -> list[_Record]:
        conditions: list[_Record] = read_conditions(params, prefix)
        for number, condition in enumerate(conditions, 1):
            pairs = list(_members(params, f"{prefix}.member.{number}.QueryStringConfig.Values", "Key", "Value"))
            if condition["Field"] == "query-string":
                condition.update(_query([{"Key": key, "Value": value} for key, value in pairs]))
        return conditions

    def parse_actions(params: Any, prefix: str = "DefaultActions") -> list[_Record]:
        parsed: list[_Record] = read_actions(params, prefix)
        for number, action in enumerate(parsed, 1):
            base = f"{prefix}.member.{number}.ForwardConfig.TargetGroups"
            groups = [
                {"TargetGroupArn": arn, **({"Weight": weight} if weight else {})}
                for arn, weight in _members(params, base, "TargetGroupArn", "Weight")
            ]
            if groups:
                action.setdefault("TargetGroupArn", groups[0]["TargetGroupArn"])
                action["ForwardConfig"] = {"TargetGroups": groups}
        return parsed

    def condition_xml(condition: _Record) -> str:
        if "QueryStringConfig" not in condition:
            return str(show_condition(condition))
        pairs = "".join(
            f"<member>{''.join(f'<{name}>{escape(str(pair[name]))}</{name}>' for name in pair)}</member>"
            for pair in condition["QueryStringConfig"]["Values"]
        )
        return (
            "<member><Field>query-string</Field>"
            f"<QueryStringConfig><Values>{pairs}</Values></QueryStringConfig></member>"
        )

    def action_xml(action: _Record) -> str:
        shown = str(show_action(action))
        groups = action.get("ForwardConfig", {}).get("TargetGroups") or [
            {"TargetGroupArn": action.get("TargetGroupArn")}
        ]
        if action["Type"] != "forward":
            return shown
        if len(groups) > 1:  # AWS names the one group of a forward, and none of several
            shown = shown.replace(f"<TargetGroupArn>{action.get('TargetGroupArn')}</TargetGroupArn>", "")
        members = "".join(
            f"<member><TargetGroupArn>{group['TargetGroupArn']}</TargetGroupArn>"
            f"<Weight>{group.get('Weight', 1)}</Weight></member>"
            for group in groups
        )
        config = f"<ForwardConfig><TargetGroups>{members}</TargetGroups></ForwardConfig>"
        return shown.removesuffix("</member>") + f"{config}</member>"

    def group_xml(record: _Record) -> str:
        arn = record["TargetGroupArn"]
        balancers = {
            alb._listeners[user["ListenerArn"]]["LoadBalancerArn"]
            for user in alb._rules.values()
            if arn in _targets(user["Actions"]) and user["ListenerArn"] in alb._listeners
        }
        return str(show_group({**record, "LoadBalancerArns": sorted(balancers)}))

    def match(condition: _Record, method: str, path: str, headers: Any, query: Mapping[str, Any]) -> bool:
        if "QueryStringConfig" not in condition:
            return bool(matches(condition, method, path, headers, query))
        return any(_asked(pair, query) for pair in condition["QueryStringConfig"]["Values"])

    rule.update(create=create_checked, update=update_checked)
    group["delete"] = delete_unused
    provisioners._elbv2_target_group_delete = delete_unused
    provisioners._elbv2_listener_actions = actions
    provisioners._flatten_listener_rule_conditions = _flat
    alb._parse_conditions, alb._parse_actions = parse_conditions, parse_actions
    alb._condition_xml, alb._action_xml, alb._tg_xml, alb._match_condition = condition_xml, action_xml, group_xml, match
    revise(alb, "_create_rule", create_api, refuse=alb._error)
    revise(alb, "_modify_rule", modify_api, refuse=alb._error)
    revise(alb, "_set_rule_priorities", prioritise_api, refuse=alb._error)
    revise(alb, "_delete_tg", delete_api, refuse=alb._error)


def listener_certificates() -> None:
    """AWS::ElasticLoadBalancingV2::ListenerCertificate is unknown to MiniStack, and so are the further certificates of
    a listener."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, _Record]:
        listener = _listener(properties["ListenerArn"])
        wanted = _arns(properties)
        listener["_further"] = [*_further(listener), *(arn for arn in wanted if arn not in _further(listener))]
        digest = sha256("".join([properties["ListenerArn"], *wanted]).encode()).hexdigest()
        return digest[:32], {"Id": digest[:32]}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, _Record]:
        listener, gone, wanted = _listener(new["ListenerArn"]), _arns(old), _arns(new)
        kept = [arn for arn in _further(listener) if arn not in gone]
        listener["_further"] = [*kept, *(arn for arn in wanted if arn not in kept)]
        return physical_id, {"Id": physical_id}

    def delete(physical_id: str, properties: Properties) -> None:
        listener = alb._listeners.get(properties["ListenerArn"])
        if listener is not None:
            listener["_further"] = [arn for arn in _further(listener) if arn not in _arns(properties)]

    def answer(action: str, arns: Iterable[str], default: Iterable[str] = ()) -> Any:
        members = "".join(
            f"<member><CertificateArn>{escape(arn)}</CertificateArn><IsDefault>{word}</IsDefault></member>"
            for word, group in (("true", default), ("false", arns))
            for arn in group
        )
        return alb._xml(200, action, f"<Certificates>{members}</Certificates>")

    def add(request: Any) -> Any:
        arns = alb._parse_certificate_arns(request)
        create("", {"ListenerArn": alb._p(request, "ListenerArn"), "Certificates": _certificates(arns)}, "")
        return answer("AddListenerCertificates", arns)

    def remove(request: Any) -> Any:
        arns = alb._parse_certificate_arns(request)
        delete("", {"ListenerArn": alb._p(request, "ListenerArn"), "Certificates": _certificates(arns)})
        return alb._empty("RemoveListenerCertificates")

    def describe(request: Any) -> Any:
        listener = _listener(alb._p(request, "ListenerArn"))
        return answer("DescribeListenerCertificates", _further(listener), listener.get("Certificates", ()))

    register("AWS::ElasticLoadBalancingV2::ListenerCertificate", create=create, update=update, delete=delete)
    alb._ACTION_MAP |= {
        "AddListenerCertificates": _refusing(add),
        "RemoveListenerCertificates": _refusing(remove),
        "DescribeListenerCertificates": _refusing(describe),
    }


def trust_stores() -> None:
    """AWS::ElasticLoadBalancingV2::TrustStore is unknown to MiniStack, and so are trust stores."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, _Record]:
        name = properties.get("Name") or provisioners._physical_name(stack_name, logical_id, max_len=32)
        number = sha256(f"{stack_name} {name}".encode()).hexdigest()[:16]
        arn = f"arn:aws:elasticloadbalancing:{get_region()}:{get_account_id()}:truststore/{name}/{number}"
        return arn, {"TrustStoreArn": arn, "Status": "ACTIVE", "NumberOfCaCertificates": "1"}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, _Record]:
        return physical_id, {"TrustStoreArn": physical_id, "Status": "ACTIVE", "NumberOfCaCertificates": "1"}

    kind = "AWS::ElasticLoadBalancingV2::TrustStore"
    register(kind, create=create, update=update, tagged=True)


def _check(
    listener: str | None, priority: str, conditions: list[_Record], actions: list[_Record], own: str | None = None
) -> None:
    """Refuse a rule as CreateRule and ModifyRule do. `own`: its ARN, once it has one."""
    if sum(_values(condition) for condition in conditions) > _MOST_VALUES:
        # https://github.com/aws-cloudformation/cfn-lint/issues/3833
        raise RefusedError("ValidationError", f"A rule can only have '{_MOST_VALUES}' condition values")
    if _targets(actions) - set(alb._tgs):
        raise RefusedError("TargetGroupNotFound", "One or more target groups not found")
    if listener in alb._listeners:
        _refuse_second_balancer(alb._listeners[listener]["LoadBalancerArn"], _targets(actions))
    for arn, record in alb._rules.items():
        if record["ListenerArn"] == listener and arn != own:
            _refuse_priority(record, priority)


def _refuse_priority(other: Mapping[str, Any], priority: str) -> None:
    if other["Priority"] == priority:  # https://github.com/stelligent/mu/issues/324
        raise RefusedError("PriorityInUse", f"Priority '{priority}' is currently in use")


def _refuse_second_balancer(balancer: str, targets: set[str]) -> None:
    for user in alb._rules.values():
        shared = sorted(_targets(user["Actions"]) & targets)
        its = alb._listeners.get(user["ListenerArn"])
        if shared and its is not None and its["LoadBalancerArn"] != balancer:
            # https://github.com/hashicorp/terraform-provider-aws/issues/22005
            message = f"The following target groups cannot be associated with more than one load balancer: {shared[0]}"
            raise RefusedError("TargetGroupAssociationLimit", message)


def _refuse_if_used(group: str) -> None:
    # A listener's default actions are those of its default rule. https://github.com/pulumi/pulumi/issues/5900
    if any(group in _targets(rule["Actions"]) for rule in alb._rules.values()):
        message = f"Target group '{group}' is currently in use by a listener or a rule"
        raise RefusedError("ResourceInUse", message)


def _targets(actions: Iterable[Mapping[str, Any]]) -> set[str]:
    return {
        group["TargetGroupArn"]
        for action in actions
        for group in (action, *action.get("ForwardConfig", {}).get("TargetGroups", ()))
        if group.get("TargetGroupArn")
    }


def _values(condition: Mapping[str, Any]) -> int:
    """How many values a condition has, wherever it has them."""
    further = (config["Values"] for name, config in condition.items() if name.endswith("Config") and "Values" in config)
    return max(len(values) for values in (condition.get("Values") or (), *further))


def _conditions(properties: Properties) -> list[_Record]:
    return _flat(properties["Conditions"])


def _actions(properties: Properties) -> list[_Record]:
    actions: list[_Record] = properties["Actions"]
    return actions


def _flat(conditions: Iterable[Mapping[str, Any]] | None) -> list[_Record]:
    flat = []
    for condition in conditions or ():
        field = condition["Field"]
        config: Any = next((value for name, value in condition.items() if name.endswith("Config")), {})
        if field == "query-string":
            flat.append({"Field": field, **_query(config["Values"])})
        elif field == "http-header":
            flat.append({"Field": field, "Values": [], "HttpHeaderConfig": config})
        else:
            flat.append({"Field": field, "Values": list(condition.get("Values") or config["Values"])})
    return flat


def _query(pairs: list[_Record]) -> _Record:
    return {"Values": [], "QueryStringConfig": {"Values": pairs}}


def _asked(pair: Mapping[str, str], query: Mapping[str, Any]) -> bool:
    """Whether a query has a key of a value. Neither minds case, and both know * and ? (QueryStringConditionConfig)."""
    return any(
        fnmatch.fnmatchcase(value.lower(), str(pair["Value"]).lower())
        for key, values in query.items()
        if not pair.get("Key") or fnmatch.fnmatchcase(key.lower(), pair["Key"].lower())
        for value in (values if isinstance(values, list) else [values])
    )


def _members(params: Any, prefix: str, first: str, second: str) -> Iterator[tuple[str, str]]:
    number = 1
    while True:
        base = f"{prefix}.member.{number}"
        pair = alb._p(params, f"{base}.{first}"), alb._p(params, f"{base}.{second}")
        if not any(pair):
            return
        yield pair
        number += 1


def _refusing(act: Act) -> Act:
    def answered(request: Any) -> Any:
        try:
            return act(request)
        except RefusedError as refusal:
            return alb._error(refusal.code, refusal.message)

    return answered


def _listener(arn: str) -> _Record:
    listener: _Record | None = alb._listeners.get(arn)
    if listener is None:
        raise RefusedError("ListenerNotFound", f"Listener '{arn}' not found.")
    return listener


def _further(listener: Mapping[str, Any]) -> list[str]:
    further: list[str] = listener.get("_further", [])
    return further


def _arns(properties: Properties) -> list[str]:
    return [certificate["CertificateArn"] for certificate in properties["Certificates"]]


def _certificates(arns: Iterable[str]) -> list[dict[str, str]]:
    return [{"CertificateArn": arn} for arn in arns]

"""Firewall: the web ACL that looks at each request before the load balancer answers it."""

from __future__ import annotations

from msgspec import Struct
from troposphere import Select, Split, Sub, logs, wafv2

from scaleout_cfn.config import Config, ExistingWebAcl, NewLoadBalancer, NewWebAcl
from scaleout_cfn.config.balancer import RuleGroup
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.keys import under_key
from scaleout_cfn.values import KeyArn, LoadBalancerName

#: What the config calls a rule group, to AWS's name of it.
RULE_GROUPS: dict[RuleGroup, str] = {
    "AdminProtection": "AWSManagedRulesAdminProtectionRuleSet",
    "AmazonIpReputation": "AWSManagedRulesAmazonIpReputationList",
    "AnonymousIp": "AWSManagedRulesAnonymousIpList",
    "Common": "AWSManagedRulesCommonRuleSet",
    "KnownBadInputs": "AWSManagedRulesKnownBadInputsRuleSet",
    "Linux": "AWSManagedRulesLinuxRuleSet",
    "PHP": "AWSManagedRulesPHPRuleSet",
    "SQLi": "AWSManagedRulesSQLiRuleSet",
    "Unix": "AWSManagedRulesUnixRuleSet",
    "Windows": "AWSManagedRulesWindowsRuleSet",
    "WordPress": "AWSManagedRulesWordPressRuleSet",
}
#: Headers whose values are kept out of logs and of the samples in the console.
SECRET_HEADERS = ("authorization", "cookie")


class Outputs(Struct, frozen=True):
    pass


def build(stack: Stack, config: Config, *, load_balancer_name: LoadBalancerName, key: KeyArn | None) -> Outputs:
    assert isinstance(config.load_balancer, NewLoadBalancer)
    settings = config.load_balancer.waf
    if isinstance(settings, ExistingWebAcl):
        web_acl: object = settings.web_acl_arn
    else:
        assert isinstance(settings, NewWebAcl)
        web_acl = _arn_of(_web_acl(stack, settings))
        if settings.logs:
            _logs(stack, config, web_acl, key)
    stack.add(
        wafv2.WebACLAssociation(
            "Association",
            ResourceArn=Sub(
                "arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:loadbalancer/${Name}",
                Name=load_balancer_name,
            ),
            WebACLArn=web_acl,
        )
    )
    return Outputs()


def _web_acl(stack: Stack, settings: NewWebAcl) -> wafv2.WebACL:
    """What lets everything through that no rule blocks."""
    counts = settings.mode == "count"
    rules = []
    if settings.rate_limit:
        rules.append(
            wafv2.WebACLRule(
                Name="RateLimit",
                Priority=0,
                Statement=wafv2.Statement(
                    RateBasedStatement=wafv2.RateBasedStatement(
                        Limit=settings.rate_limit, EvaluationWindowSec=settings.rate_window_s, AggregateKeyType="IP"
                    )
                ),
                Action=wafv2.RuleAction(Count=wafv2.CountAction())
                if counts
                else wafv2.RuleAction(Block=wafv2.BlockAction()),
                VisibilityConfig=_visible("RateLimit"),
            )
        )
    for place, name in enumerate(settings.rule_groups, 1):
        rules.append(
            wafv2.WebACLRule(
                Name=name,
                Priority=place,
                Statement=wafv2.Statement(ManagedRuleGroupStatement=_group(settings, name)),
                # A group has actions of its own. To count overrides what it says of the request as a whole.
                # https://docs.aws.amazon.com/waf/latest/developerguide/web-acl-rule-group-override-options.html
                OverrideAction=wafv2.OverrideAction(Count={}) if counts else wafv2.OverrideAction(None, **{"None": {}}),
                VisibilityConfig=_visible(name),
            )
        )
    protect = [
        wafv2.DataProtect(
            Action="SUBSTITUTION", Field=wafv2.FieldToProtect(FieldType="SINGLE_HEADER", FieldKeys=list(SECRET_HEADERS))
        )
    ]
    return stack.add(
        wafv2.WebACL(
            "WebAcl",
            Scope="REGIONAL",
            DefaultAction=wafv2.DefaultAction(Allow=wafv2.AllowAction()),
            Rules=rules,
            # Wider than a log's redaction, which the samples in the console pass by.
            # https://docs.aws.amazon.com/waf/latest/developerguide/data-protection-masking.html
            DataProtectionConfig=wafv2.DataProtectionConfig(DataProtections=protect),
            VisibilityConfig=_visible("WebAcl"),
        )
    )


def _group(settings: NewWebAcl, name: RuleGroup) -> wafv2.ManagedRuleGroupStatement:
    group = wafv2.ManagedRuleGroupStatement(VendorName="AWS", Name=RULE_GROUPS[name])
    if rules := settings.counted_rules.get(name):
        counts = wafv2.RuleAction(Count=wafv2.CountAction())
        group.RuleActionOverrides = [wafv2.RuleActionOverride(Name=rule, ActionToUse=counts) for rule in rules]
    return group


def _visible(name: str) -> wafv2.VisibilityConfig:
    return wafv2.VisibilityConfig(CloudWatchMetricsEnabled=True, MetricName=name, SampledRequestsEnabled=True)


def _arn_of(web_acl: wafv2.WebACL) -> Sub:
    """The ARN, made of the Ref, NAME|ID|SCOPE: whatever takes a GetAtt of what changes might be replaced, and a load
    balancer that is let go is behind nothing for a while.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-wafv2-webacl.html
    """
    parts = Split("|", web_acl.ref())
    return Sub(
        "arn:${AWS::Partition}:wafv2:${AWS::Region}:${AWS::AccountId}:regional/webacl/${Name}/${Id}",
        Name=Select(0, parts),
        Id=Select(1, parts),
    )


def _logs(stack: Stack, config: Config, web_acl: object, key: KeyArn | None) -> None:
    policy = "Retain" if config.observability.keep_logs else "Delete"
    group = logs.LogGroup(
        "Logs",
        # WAF takes no other beginning. A nested stack's name ends in what no other has.
        # https://docs.aws.amazon.com/waf/latest/developerguide/logging-cw-logs.html
        LogGroupName=Sub("aws-waf-logs-${AWS::StackName}"),
        RetentionInDays=config.observability.log_retention_days,
        DeletionPolicy=policy,
        UpdateReplacePolicy=policy,
    )
    stack.add(under_key(group, key))
    stack.add(
        wafv2.LoggingConfiguration(
            "Logging",
            ResourceArn=web_acl,
            # Without the :* that the group's own ARN ends in.
            LogDestinationConfigs=[
                Sub("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${Logs}", Logs=group.ref())
            ],
        )
    )

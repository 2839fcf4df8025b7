"""What AWS asks of a text, by kind: each function tells in words what is wrong with one, and nothing when it is right.

Of what nobody can know without an account (whether a certificate exists, whether a region has opened) nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from datetime import timedelta

#: By partition: the forms of its regions, and those there are, as botocore's partitions.json of 2026 has them.
PARTITIONS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "aws": (
        r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d",
        (
            *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
            *("ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4"),
            *("ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "eu-central-1"),
            *("eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3"),
            *("il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2"),
            *("us-west-1", "us-west-2"),
        ),
    ),
    "aws-cn": (r"cn-\w+-\d", ("cn-north-1", "cn-northwest-1")),
    "aws-us-gov": (r"us-gov-\w+-\d", ("us-gov-east-1", "us-gov-west-1")),
    "aws-eusc": (r"eusc-de-\w+-\d", ("eusc-de-east-1",)),
    "aws-iso": (r"us-iso-\w+-\d", ("us-iso-east-1", "us-iso-west-1")),
    "aws-iso-b": (r"us-isob-\w+-\d", ("us-isob-east-1", "us-isob-west-1")),
    "aws-iso-e": (r"eu-isoe-\w+-\d", ("eu-isoe-west-1",)),
    "aws-iso-f": (r"us-isof-\w+-\d", ("us-isof-east-1", "us-isof-south-1")),
}
DIRECTIONS = ("central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west")


def or_empty(problem_of: Callable[[str], str]) -> Callable[[str], str]:
    """The same check, for a text that may be left empty."""
    return lambda text: problem_of(text) if text else ""


def partition_of(region: str) -> str:
    """The partition whose regions are named like this one; empty when none is."""
    forms = ((partition, form) for partition, (form, _) in PARTITIONS.items())
    return next((partition for partition, form in forms if re.fullmatch(form, region, re.ASCII)), "")


def known_regions() -> list[str]:
    return [region for _, regions in PARTITIONS.values() for region in regions]


NO_REGION = "no region is named so, as in eu-west-1"


def problem_of_region(text: str) -> str:
    """A region that is not known passes when it is named like one: AWS opens several a year."""
    known = known_regions()
    if text in known or (partition_of(text) and text.split("-")[-2] in DIRECTIONS):
        return ""
    if text[:-1] in known and text[-1].isalpha():
        return f"it is an availability zone; write its region, {text[:-1]}"
    if near := _near(text.lower().replace("_", "-"), known):
        return f"no region is named so; did you mean {near}?"
    return NO_REGION


def problem_of_own_region(text: str) -> str:
    """The same of the config's key, which has an option beside it."""
    problem = problem_of_region(text) if text else ""
    way_out = "; for one that this version does not know, leave it empty and give --region"
    return problem + way_out if problem == NO_REGION else problem


def problem_of_account(text: str) -> str:
    """https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-identifiers.html"""
    if re.fullmatch(r"\d{12}", text, re.ASCII):
        return ""
    if re.fullmatch(r"\d{4}-\d{4}-\d{4}", text, re.ASCII):
        return f"write it without hyphens: {text.replace('-', '')}"
    digits = re.sub(r"\D", "", text)
    return f"an account has twelve digits, as in 123456789012{f'; it has {len(digits)}' if digits == text else ''}"


# --- ARNs: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html


class Arn(NamedTuple):
    """An ARN taken apart. `resource` is all that follows the account."""

    partition: str
    service: str
    region: str
    account: str
    resource: str


def arn_of(text: str) -> Arn | None:
    """The parts of an ARN; None when the text has not got six of them."""
    parts = text.split(":", 5)
    return Arn(*parts[1:]) if len(parts) == 6 and parts[0] == "arn" else None


#: Services whose ARNs have no region, and of which S3's have no account either.
_WITHOUT_REGION = {"iam": "IAM", "s3": "a bucket"}


def _an_arn(what: str, example: str, resources: Mapping[str, str], accounts: str = r"\d{12}") -> Callable[[str], str]:
    """The check for the ARN of one of some services, each with the form of its resource."""
    wanted = f"the ARN of {what} is wanted, as in {example}"

    def problem_of(text: str) -> str:
        arn = arn_of(text)
        if arn is None:
            return wanted
        if arn.service not in resources:
            return f"it is of {arn.service or 'no service'}; {wanted}"
        if arn.partition not in PARTITIONS:
            near = _near(arn.partition, list(PARTITIONS))
            return f"its partition {arn.partition} is unknown; {f'did you mean {near}?' if near else wanted}"
        if arn.service in _WITHOUT_REGION:
            if arn.region:
                return f"an ARN of {_WITHOUT_REGION[arn.service]} has no region, where this has {arn.region}; {wanted}"
        elif problem := problem_of_region(arn.region):
            return f"its region is {arn.region or 'empty'}: {problem}"
        elif partition_of(arn.region) != arn.partition:
            return (
                f"its region {arn.region} is in the partition {partition_of(arn.region)}, where it says"
                f" {arn.partition}; copy the ARN from AWS"
            )
        if arn.service == "s3":
            if arn.account:
                return f"an ARN of a bucket has no account, where this has {arn.account}; {wanted}"
        elif not re.fullmatch(accounts, arn.account, re.ASCII):
            return f"its account is {arn.account or 'empty'}: an account has twelve digits; {wanted}"
        if not re.fullmatch(resources[arn.service], arn.resource, re.ASCII):
            return f"its last part is {arn.resource or 'empty'}; {wanted}"
        return ""

    return problem_of


_UUID = "12345678-1234-1234-1234-123456789012"

#: https://docs.aws.amazon.com/acm/latest/APIReference/API_CertificateDetail.html
problem_of_certificate = _an_arn(
    "an ACM certificate",
    f"arn:aws:acm:eu-west-1:123456789012:certificate/{_UUID}",
    {"acm": r"certificate/[A-Za-z0-9-]+"},
)
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
problem_of_boundary = _an_arn(
    "an IAM policy", "arn:aws:iam::123456789012:policy/boundary", {"iam": r"policy/[\w+=,.@/-]+"}, r"\d{12}|aws"
)
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
problem_of_role = _an_arn("an IAM role", "arn:aws:iam::123456789012:role/deployer", {"iam": r"role/[\w+=,.@/-]+"})
#: https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws
problem_of_oidc_provider = _an_arn(
    "GitHub's OIDC provider in IAM",
    "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com",
    {"iam": r"oidc-provider/token\.actions\.githubusercontent\.com"},
)
#: https://docs.aws.amazon.com/codeconnections/latest/APIReference/API_Connection.html
problem_of_connection = _an_arn(
    "a connection of CodeConnections",
    f"arn:aws:codeconnections:eu-west-1:123456789012:connection/{_UUID}",
    dict.fromkeys(("codeconnections", "codestar-connections"), r"connection/[0-9a-f-]+"),
)
#: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
problem_of_function = _an_arn(
    "a Lambda function",
    "arn:aws:lambda:eu-west-1:123456789012:function:check-orders",
    {"lambda": r"function:[A-Za-z0-9_-]+(:[A-Za-z0-9$_-]+)?"},
)
_problem_of_key_arn = _an_arn(
    "a KMS key", f"arn:aws:kms:eu-west-1:123456789012:key/{_UUID}", {"kms": "(key|alias)/[A-Za-z0-9/_-]+"}
)
#: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/mutual-authentication.html
problem_of_trust_store = _an_arn(
    "a trust store",
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:truststore/clients/0a1b2c3d4e5f6071",
    {"elasticloadbalancing": r"truststore/[A-Za-z0-9-]+/[0-9a-f]+"},
)
#: https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-getting-started.html
problem_of_user_pool = _an_arn(
    "a user pool of Amazon Cognito",
    "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbCdEfGhI",
    {"cognito-idp": r"userpool/[a-z0-9-]+_[A-Za-z0-9]+"},
)
_problem_of_web_acl_arn = _an_arn(
    "a web ACL",
    f"arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/shop/{_UUID}",
    {"wafv2": r"(regional|global)/webacl/[\w-]+/[0-9a-f-]+"},
)
_problem_of_repository_arn = _an_arn(
    "an ECR repository",
    "arn:aws:ecr:eu-west-1:123456789012:repository/team/app",
    {"ecr": r"repository/[a-z0-9][a-z0-9._/-]*\*?"},
)
_problem_of_stream_arn = _an_arn(
    "a Firehose or Kinesis stream, or of an S3 bucket,",
    "arn:aws:firehose:eu-west-1:123456789012:deliverystream/logs",
    {"firehose": r"deliverystream/[\w.-]{1,64}", "kinesis": r"stream/[\w.-]{1,128}"},
)
_EXAMPLE_SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/db-AbCdEf"
_problem_of_secret_arn = _an_arn(
    "a Secrets Manager secret or an SSM parameter",
    _EXAMPLE_SECRET,
    {"ssm": r"parameter/[\w./-]+", "secretsmanager": "secret:.+"},
)


def problem_of_pull_from(text: str) -> str:
    """A repository of ECR, or with * at its end those of which the name begins so.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
    """
    arn = ecr_repository(text)
    return f"the ARN of the repository is wanted: {arn}" if arn else _problem_of_repository_arn(text)


def problem_of_key(text: str) -> str:
    """A KMS key of one region by its own ARN: no permission is by an alias, and ECS takes no key of several regions.

    https://docs.aws.amazon.com/kms/latest/developerguide/cmks-in-iam-policies.html
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ManagedStorageConfiguration.html
    """
    if problem := _problem_of_key_arn(text):
        return problem
    arn = arn_of(text)
    assert arn is not None
    kind, _, name = arn.resource.partition("/")
    if kind == "alias":
        return (
            "it is an alias, by which no permission is given; the key's own is what `aws kms describe-key --key-id"
            f" alias/{name} --query KeyMetadata.Arn` prints"
        )
    if name.startswith("mrk-"):
        return "it is a key of several regions, which ECS does not take for storage; give one of a single region"
    if not re.fullmatch("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", name):
        return f"the id of a key is {_UUID} or alike, and {name} is not; copy the ARN from AWS"
    return ""


def problem_of_secret(text: str) -> str:
    """An SSM parameter, or a secret with the six characters that Secrets Manager adds to its name, and perhaps a JSON
    key, a version's stage and a version's id behind colons, of which one of the last two stays empty.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-ssm-paramstore.html
    """
    if problem := _problem_of_secret_arn(text):
        return problem
    arn = arn_of(text)
    if arn is None or arn.service == "ssm":
        return ""
    _, name, *extra = arn.resource.split(":")
    if not re.fullmatch(r"[\w/+=.@-]+-[A-Za-z0-9]{6}", name, re.ASCII):
        return (
            f"the name {name} does not end in a hyphen and the six characters that Secrets Manager adds; copy the whole"
            f" ARN, as in {_EXAMPLE_SECRET}"
        )
    if extra and len(extra) != 3:
        return "behind the name stands nothing, or :json-key:version-stage:version-id, each of which may be empty"
    if extra and extra[1] and extra[2]:
        return f"version-stage {extra[1]} and version-id {extra[2]} exclude each other; leave one empty"
    return ""


def problem_of_log_destination(text: str) -> str:
    """A Firehose stream, a Kinesis stream or an S3 bucket."""
    arn = arn_of(text)
    if arn is None or arn.service != "s3" or arn.region or arn.account:
        return _problem_of_stream_arn(text)
    problem = problem_of_bucket(arn.resource)
    return f"its bucket is {arn.resource or 'empty'}: {problem}" if problem else ""


def problem_of_registry_secret(text: str) -> str:
    """A whole secret: its JSON has the keys username and password.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/private-auth.html
    """
    arn = arn_of(text)
    if arn is not None and arn.service == "ssm":
        return f"a registry's credentials are a Secrets Manager secret, as {_EXAMPLE_SECRET}"
    if problem := problem_of_secret(text):
        return problem
    extra = text.split(":")[7:]
    return f"the secret is read whole; leave out :{':'.join(extra)}" if extra else ""


def problem_of_env_file(text: str) -> str:
    """An object in S3 whose key ends in .env.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/use-environment-file.html
    """
    example = "arn:aws:s3:::shop-settings/web/prod.env"
    if url := re.fullmatch("s3://(.+)", text):
        return f"its ARN is wanted: arn:aws:s3:::{url[1]}"
    arn = arn_of(text)
    if arn is None or arn.service != "s3" or arn.region or arn.account or arn.partition not in PARTITIONS:
        return f"the ARN of an object in S3 is wanted, as in {example}"
    bucket, _, name = arn.resource.partition("/")
    if problem := problem_of_bucket(bucket):
        return f"its bucket is {bucket or 'empty'}: {problem}"
    if not name.endswith(".env") or re.search(r"[^ -~]|[*?]", name):
        return (
            f"its key is {name or 'empty'}; a file of variables is one object whose key ends in .env, as in {example}"
        )
    return ""


def problem_of_client_secret(text: str) -> str:
    """A secret that a dynamic reference reads.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html
    """
    arn = arn_of(text)
    if arn is not None and arn.service == "ssm":
        return (
            "an SSM parameter cannot be read into a listener's rule unseen; keep it in Secrets Manager, and give that"
            f" secret's ARN, as in {_EXAMPLE_SECRET}"
        )
    return problem_of_secret(text)


def problem_of_web_acl(text: str) -> str:
    """One that a load balancer can be put behind.

    https://docs.aws.amazon.com/waf/latest/APIReference/API_AssociateWebACL.html
    """
    problem = _problem_of_web_acl_arn(text)
    if not problem and ":global/" in text:
        return "its scope is CLOUDFRONT, and a load balancer takes REGIONAL; load_balancer.cloudfront takes it"
    return problem


def problem_of_cloudfront_web_acl(text: str) -> str:
    """https://docs.aws.amazon.com/waf/latest/developerguide/how-aws-waf-works-resources.html"""
    problem = _problem_of_web_acl_arn(text)
    if not problem and ":regional/" in text:
        return "its scope is REGIONAL, and CloudFront takes one of scope CLOUDFRONT, which are in us-east-1"
    return problem or _outside_us_east_1(text)


def problem_of_cloudfront_certificate(text: str) -> str:
    """https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cnames-and-https-requirements.html"""
    return problem_of_certificate(text) or _outside_us_east_1(text)


def _outside_us_east_1(text: str) -> str:
    arn = arn_of(text)
    if arn is None or arn.region == "us-east-1":
        return ""
    return f"is in {arn.region}, and CloudFront takes those of us-east-1 only, wherever the set is; make one there"


def ecr_repository(image: str) -> str:
    """The ARN of the private ECR repository that a reference to an image names; empty where it names another registry.

    https://docs.aws.amazon.com/general/latest/gr/ecr.html
    """
    found = re.match(r"(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z]+(?:-[a-z]+)+-\d+)\.[a-z.-]+/([^:@]+)", image)
    if found is None:
        return ""
    account, region, name = found.groups()
    return f"arn:{partition_of(region)}:ecr:{region}:{account}:repository/{name}"


# --- policies: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html

#: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html
problem_of_policy = _an_arn(
    "an IAM policy", "arn:aws:iam::aws:policy/AmazonSQSFullAccess", {"iam": r"policy/[\w+=,.@/-]+"}, r"\d{12}|aws"
)
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
problem_of_table = _an_arn(
    "a DynamoDB table",
    "arn:aws:dynamodb:eu-west-1:123456789012:table/orders",
    {"dynamodb": r"table/[A-Za-z0-9_.-]{3,255}"},
)
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
problem_of_queue = _an_arn(
    "an SQS queue", "arn:aws:sqs:eu-west-1:123456789012:orders", {"sqs": r"[A-Za-z0-9_-]{1,80}(?<!_fifo)(\.fifo)?"}
)
#: https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
problem_of_topic = _an_arn(
    "an SNS topic", "arn:aws:sns:eu-west-1:123456789012:orders", {"sns": r"[A-Za-z0-9_-]{1,256}(\.fifo)?"}
)
_problem_of_bucket_arn = _an_arn("an S3 bucket", "arn:aws:s3:::orders", {"s3": "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"})


def problem_of_used_key(text: str) -> str:
    """As of a set's own key, or one of several regions, which an application may use as any other."""
    return problem_of_key(re.sub("key/mrk-[0-9a-f]{32}$", f"key/{_UUID}", text))


def problem_of_bucket_arn(text: str) -> str:
    """The bucket itself: what is allowed of it, and what of the objects in it, is worked out."""
    bucket, slash, _ = text.partition("/")
    if slash and not _problem_of_bucket_arn(bucket):
        return f"the bucket itself is wanted, from which the objects follow: {bucket}"
    return _problem_of_bucket_arn(text)


def problem_of_resource(text: str) -> str:
    """What a statement may name: an ARN with or without wildcards, or a *."""
    example = "as in arn:aws:s3:::orders/*"
    arn = arn_of(text)
    if text == "*":
        return ""
    if arn is None:
        return f"an ARN has six parts with colons between them, {example}"
    if arn.partition not in PARTITIONS:
        return f"its partition is {arn.partition or 'empty'}; allowed are {', '.join(PARTITIONS)}"
    if not re.fullmatch("[a-z0-9-]+", arn.service):
        return f"its service is {arn.service or 'empty'}; name one in lower case, {example}"
    if arn.region and not set(arn.region) & {"*", "?"} and (problem := problem_of_region(arn.region)):
        return f"its region is {arn.region}: {problem}"
    if not re.fullmatch(r"\d{12}|aws|[\d*?]*[*?][\d*?]*|", arn.account, re.ASCII):
        return f"its account is {arn.account}: an account has twelve digits, or a * for any; {example}"
    if not arn.resource:
        return f"its last part is empty: it names nothing; write a * for everything, {example}"
    return _in_policy(text)


def is_of_everything(text: str) -> bool:
    """Whether what a statement names is all that a service, or AWS, has."""
    arn = arn_of(text)
    return set((arn.resource if arn else text).replace("/", "").replace(":", "")) == {"*"}


def problem_of_action(text: str) -> str:
    """An action that awacs knows, or a pattern that one of them fits. awacs follows AWS's own list:

    https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
    """
    example = "as in s3:GetObject"
    service, colon, name = text.partition(":")
    if text == "*":
        return f"every action there is; name those that are needed, {example}"
    if not colon or not re.fullmatch("[A-Za-z0-9-]+", service) or not re.fullmatch("[A-Za-z0-9*?]+", name):
        return f"an action is its service, a colon and its name, {example}"
    # Here and below: only a config with statements pays for them.
    from fnmatch import fnmatchcase
    from importlib import import_module
    from pkgutil import iter_modules

    import awacs
    from awacs.aws import Action

    try:
        known = import_module(f"awacs.{'awslambda' if service == 'lambda' else service.replace('-', '_')}")
    except ImportError:
        known = None
    if getattr(known, "prefix", "") != service:
        services = [
            module.name.replace("awslambda", "lambda").replace("_", "-") for module in iter_modules(awacs.__path__)
        ]
        near = _near(service.lower(), services)
        return f"no service is called {service}; {f'did you mean {near}:{name}?' if near else example}"
    actions = [value.action or "" for value in vars(known).values() if isinstance(value, Action)]
    if any(fnmatchcase(action, name) for action in actions):
        return ""
    if same := [action for action in actions if fnmatchcase(action.lower(), name.lower())]:
        return f"write it as AWS does: {service}:{same[0]}" if len(same) == 1 else "upper and lower case count here"
    import difflib

    begun = [action for action in actions if action.lower().startswith(name.lower())]
    if meant := begun or difflib.get_close_matches(name, actions, cutoff=0.7):
        return f"did you mean {' or '.join(f'{service}:{action}' for action in meant[:3])}?"
    return (
        f"{service} has no such action that this version knows; a newer awacs may know it, and a policy of your own in"
        " managed_policies may name it"
    )


def problem_of_operator(text: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"""
    from awacs import aws  # here, for only a config with conditions pays for it

    names = (getattr(kind, "condition", None) for kind in vars(aws).values() if isinstance(kind, type))
    # Whether a key is there has one operator only, and no form of it.
    operators = [name for name in names if isinstance(name, str) and ("Null" not in name or name == "Null")]
    if text in operators:
        return ""
    same = [name for name in operators if name.lower() == text.lower()]
    near = same[0] if same else _near(text, operators)
    return f"no operator is called so; {f'did you mean {near}?' if near else 'as in StringEquals or ArnLike'}"


def problem_of_condition_key(text: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    if re.fullmatch(r"[A-Za-z0-9./_-]+:[ -~]+", text):
        return ""
    return "a key is its service, a colon and its name, as in aws:PrincipalTag/team"


def problem_of_condition_value(operator: str, text: str) -> str:
    """What an operator compares with. A variable, as in ${aws:username}, stands for any text."""
    kind = operator.rpartition(":")[2].removesuffix("IfExists")
    if kind in ("Bool", "Null") and text not in ("true", "false"):
        return f'{kind} takes "true" and "false"'
    if kind.startswith("Numeric") and not re.fullmatch(r"-?\d+(\.\d+)?", text, re.ASCII):
        return f'{kind} takes a number in quotes, as in "300"'
    if kind.startswith("Date") and not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z)?|\d+", text, re.ASCII):
        return f'{kind} takes a date, as in "2026-12-31T00:00:00Z"'
    if kind.endswith("IpAddress"):
        from ipaddress import ip_network

        try:
            ip_network(text)
        except ValueError:
            return f'{kind} takes a range of addresses, as in "203.0.113.0/24"'
    return _in_policy(text)


def _in_policy(text: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-names"""
    bad = re.search(r"[^\t\n\r -\xff]", text)
    return f"a policy takes no {bad[0]!r}: its letters are those of Western European languages" if bad else ""


# --- networks and names


def problem_of_cidr(text: str) -> str:
    """The range of a VPC that is cut into eight subnets.

    A VPC is a /16 at most, a balancer's subnets a /27 at least, and eight of them a /24. EC2 takes none of the ranges
    that are not for hosts.
    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
    """
    example = "as in 10.0.0.0/16"
    address, slash, prefix = text.partition("/")
    numbers = address.split(".")
    if len(numbers) != 4 or not all(re.fullmatch(r"\d{1,3}", number, re.ASCII) for number in numbers):
        return f"an IPv4 range is wanted: four numbers with dots, a slash and a length, {example}"
    if wrong := [number for number in numbers if int(number) > 255 or str(int(number)) != number]:
        return f"{wrong[0]} in {address} is not 0 to 255, without zeros before it; {example}"
    if not slash or not re.fullmatch(r"\d{1,2}", prefix, re.ASCII) or not 16 <= int(prefix) <= 24:
        cut = f"its eight subnets would be /{int(prefix) + 3}" if prefix.isdecimal() and int(prefix) < 30 else ""
        because = f": {cut}, where a load balancer needs /27 at least and a VPC is a /16 at most" if cut else ""
        return f"its length is {f'/{prefix}' if slash else 'missing'}{because}; allowed is /16 to /24, {example}"
    bits = int.from_bytes(map(int, numbers))
    first_address = bits >> (32 - int(prefix)) << (32 - int(prefix))
    if bits != first_address:
        begins = ".".join(map(str, first_address.to_bytes(4)))
        return f"it has host bits set, which a range has not; write {begins}/{prefix}"
    if int(numbers[0]) in (0, 127, *range(224, 256)) or numbers[:2] == ["169", "254"]:
        return f"{text} is not for hosts (this host, loopback, link-local, multicast or reserved); {example}"
    return ""


def problem_of_allowed_cidr(text: str) -> str:
    """An IPv4 or IPv6 range, as a security group's rule takes it: without host bits.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
    """
    import ipaddress  # here, for few configs name a range, and its import takes its time

    example = "as in 192.0.2.0/24 or 2001:db8::/32"
    address, slash, length = text.partition("/")
    try:
        whole = ipaddress.ip_address(address)
    except ValueError:
        return f"{address or 'it'} is no IPv4 or IPv6 address; a range is wanted, {example}"
    if not slash:
        return f"one address is written {whole}/{whole.max_prefixlen}"
    if not re.fullmatch(r"\d{1,3}", length, re.ASCII) or int(length) > whole.max_prefixlen:
        return f"the length of an IPv{whole.version} range is /0 to /{whole.max_prefixlen}, {example}"
    network = ipaddress.ip_network(text, strict=False)
    if network.network_address != whole:
        return f"it has host bits set, which a range has not; write {network}"
    return "" if text == str(network) else f"write it as {network}"


def remark_on_cidr(text: str) -> str:
    """What AWS takes as a VPC's range and advises against; empty for the others."""
    first, second = (int(number) for number in text.split(".")[:2])
    if (first, second) == (172, 17):
        return f"{text} is a range that Docker and services of AWS use themselves; take another"
    # A VPC is a /16 at most, so that it lies in one of these or in none.
    is_private = first == 10 or (first, second) == (192, 168) or (first == 172 and 16 <= second <= 31)
    if is_private or (first == 100 and 64 <= second <= 127):
        return ""
    return (
        f"{text} is not private: hosts of the Internet that have these addresses are out of reach; private are"
        " 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16"
    )


def problem_of_resource_id(kind: str) -> Callable[[str], str]:
    """The check for ids of EC2: `vpc-` or `subnet-`, and 8 or 17 hexadecimal digits.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html
    """

    def problem_of(text: str) -> str:
        if re.fullmatch(f"{kind}-([0-9a-f]{{8}}|[0-9a-f]{{17}})", text):
            return ""
        return f"allowed is {kind}- and 17 (or, of old, 8) digits of 0 to 9 and a to f, as in {kind}-0123456789abcdef0"

    return problem_of


def problem_of_host_name(text: str) -> str:
    """https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html, and RFC 1123"""
    example = "as in shop.example.com"
    if scheme := re.match(r"[a-z]+://", text):
        return f"a name is wanted, without {scheme[0]} and what follows the name, {example}"
    if not text.isascii():
        return f"write a name of other letters in its ASCII form, which begins with xn--, {example}"
    if text != text.lower():
        return f"write it in lower case: {text.lower()}"
    if text.endswith("."):
        return f"write it without the dot at its end: {text.rstrip('.')}"
    if text.startswith("*"):
        return f"one name is wanted, no wildcard, {example}"
    if len(text) > 253:
        return f"it has {len(text)} characters; allowed are 253"
    labels = text.split(".")
    if len(labels) < 2:
        return f"a full name has two parts at least, with a dot between them, {example}"
    for label in labels:
        if not 1 <= len(label) <= 63:
            return f"a part between dots has 1 to 63 characters, {label or 'an empty one'} has {len(label)}; {example}"
        if not re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", label):
            return f"the part {label} may hold a to z, 0 to 9 and, inside, hyphens; {example}"
    if not re.fullmatch(r"[a-z]{2,}|xn--[a-z0-9-]+", labels[-1]):
        return f"no domain ends in {labels[-1]}; {example}"
    return ""


def problem_of_alias(text: str) -> str:
    """https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/CNAMEs.html"""
    return problem_of_host_name(text.removeprefix("*."))


def problem_of_https_url(text: str) -> str:
    """An endpoint of a provider: "a full URL, including the HTTPS protocol, the domain, and the path".

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AuthenticateOidcActionConfig.html
    """
    example = "as in https://id.example.com/oauth2/token"
    if not text.startswith("https://"):
        return f"an address that begins with https:// is wanted, {example}"
    if not re.fullmatch("[!-~]+", text):
        return f"an address holds visible ASCII characters, no spaces, {example}"
    host = re.split("[/?#]", text.removeprefix("https://"), maxsplit=1)[0]
    if "#" in text or "@" in host:
        return f"an address without user and fragment is wanted, {example}"
    if problem := problem_of_host_name(re.sub(r":\d{1,5}$", "", host)):
        return f"its host {host or 'is empty'}: {problem}"
    return ""


def problem_of_hosted_zone(text: str) -> str:
    """https://docs.aws.amazon.com/Route53/latest/APIReference/API_HostedZone.html"""
    if text.startswith("/hostedzone/"):
        return f"write the id alone: {text.removeprefix('/hostedzone/')}"
    if re.fullmatch("Z[A-Z0-9]{1,31}", text):
        return ""
    return "the id of a hosted zone is Z and up to 31 of A to Z and 0 to 9, as in Z0123456789ABCDEFGHIJ"


def problem_of_email(text: str) -> str:
    """An address as SNS takes it: RFC 5321 without quotes and comments."""
    example = "as in ops@example.com"
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or "@" in local:
        return f"a mail address has one @ between a name and a domain, {example}"
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", local):
        return f"the name {local} may hold letters, digits and signs, no spaces, and dots inside only, {example}"
    if len(local) > 64:
        return f"the name before the @ has {len(local)} characters; allowed are 64"
    if problem := problem_of_host_name(domain.lower()):
        return f"the domain {domain}: {problem.replace('shop.example.com', 'example.com')}"
    return ""


def problem_of_path(text: str) -> str:
    """The path of a health check.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
    """
    if re.match(r"[a-z]+://", text):
        return "a path is wanted, without scheme and host, as in /health"
    if not text.startswith("/"):
        return f"a path begins with a slash: /{text}" if text else "a path begins with a slash, as in /health"
    if len(text) > 1024:
        return f"it has {len(text)} characters; allowed are 1024"
    if not re.fullmatch("[!-~]+", text):
        return "a path holds visible ASCII characters; write others as percent and their code, a space as %20"
    return ""


def problem_of_path_of_roles(text: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html"""
    if not text.startswith("/") or not text.endswith("/"):
        return f"a path begins and ends with a slash: /{text.strip('/')}/" if text else "a path is / at least"
    if len(text) > 512:
        return f"it has {len(text)} characters; allowed are 512"
    if text != "/" and not re.fullmatch(r"(/[\w+=,.@-]+)+/", text, re.ASCII):
        return "between slashes stand letters, digits and + = , . @ _ -, as in /teams/shop/"
    return ""


def problem_of_bucket(text: str) -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
    example = "as in my-templates"
    if text.startswith("s3://"):
        return f"write the name alone: {text.removeprefix('s3://').partition('/')[0]}"
    if not 3 <= len(text) <= 63:
        return f"a bucket's name has 3 to 63 characters, {text or 'this'} has {len(text)}; {example}"
    if not re.fullmatch("[a-z0-9][a-z0-9.-]*[a-z0-9]", text):
        return f"a bucket's name holds a to z, 0 to 9 and, inside, dots and hyphens, {example}"
    if ".." in text or re.fullmatch(r"\d+\.\d+\.\d+\.\d+", text):
        return f"a bucket's name has no two dots together and is no IP address, {example}"
    begins = next((part for part in ("xn--", "sthree-", "amzn-s3-demo-") if text.startswith(part)), "")
    ends = next((part for part in ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3") if text.endswith(part)), "")
    if begins or ends:
        return f"names that {f'begin with {begins}' if begins else f'end in {ends}'} are kept by S3, {example}"
    return ""


# --- what runs


def problem_of_image(text: str) -> str:
    """A reference to an image: `[registry/]repository[:tag][@digest]`.

    https://github.com/distribution/reference/blob/main/reference.go
    """
    example = "as in 123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:v1"
    if scheme := re.match(r"[a-z]+://", text):
        return f"a reference to an image has no {scheme[0]}, {example}"
    if bad := re.search(r"[^!-~]", text):
        return f"it holds {'a space' if bad[0] == ' ' else repr(bad[0])}, {example}"
    name, at, digest = text.partition("@")
    if at and not re.fullmatch("sha256:[0-9a-f]{64}", digest):
        return "behind the @ stands a digest: sha256: and 64 digits of 0 to 9 and a to f"
    path, colon, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "")
    if colon and not re.fullmatch(r"\w[\w.-]{0,127}", tag, re.ASCII):
        return (
            f"the tag {tag or 'is empty; one'} holds 1 to 128 letters, digits, _ and, but at first, . and -; {example}"
        )
    first, slash, rest = path.partition("/")
    has_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    repository = rest if has_registry else path
    if repository != repository.lower():
        return f"the name of a repository is lower case: {repository.lower()}"
    if not re.fullmatch(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*", repository):
        return (
            f"the repository {repository or 'is empty; one'} holds a to z and 0 to 9, with one of . _ - between them"
            f" and slashes between its parts, {example}"
        )
    if has_registry and not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?", first):
        return f"the registry {first} is no host name with or without a port, {example}"
    if registry := re.fullmatch(r"(\w+)\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(amazonaws|on)\..+", first):
        account, region, _ = registry.groups()
        return problem_of_account(account) or (problem_of_region(region) and f"{region}: {problem_of_region(region)}")
    return ""


def problem_of_stack_name(text: str) -> str:
    """Letters, digits and hyphens: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html

    CloudFormation takes 128 characters. It makes the name of a nested stack of this one, a hyphen, up to 40 characters
    of our titles and 13 of its own; and the name of a capacity provider of the first of these, which may not begin as
    AWS's own do: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateCapacityProvider.html
    """
    example = "as in shop-prod"
    if not 1 <= len(text) <= 64:
        return f"a name has 1 to 64 characters, for those of nested stacks are longer; it has {len(text)}"
    if not re.fullmatch("[A-Za-z][A-Za-z0-9-]*", text):
        return f"a name holds letters, digits and hyphens, and begins with a letter, {example}"
    if taken := next((word for word in ("aws", "ecs", "fargate") if text.lower().startswith(word)), ""):
        return f"the capacity provider is named after it, and such names may not begin with {taken}; {example}"
    return ""


# --- https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html, the narrowest of all services


def problem_of_tag_key(text: str) -> str:
    return "keys that begin with aws: are AWS's own" if text.lower().startswith("aws:") else _in_tag("a key", 128, text)


def problem_of_tag_value(text: str) -> str:
    return _in_tag("a value", 256, text)


def _in_tag(what: str, most: int, text: str) -> str:
    if not 1 <= len(text) <= most:
        return f"{what} has 1 to {most} characters, this has {len(text)}"
    bad = re.search(r"[^\w .:/=+@-]", text)
    return f"{what} holds letters, digits, spaces and _ . : / = + - @, and {bad[0]!r} is none of them" if bad else ""


# --- repositories of source


def problem_of_repository(text: str) -> str:
    if url := re.match(r"(https?://|git@)[^/:]+[/:](.+?)(\.git)?/?$", text):
        return f"write owner and name alone: {url[2]}"
    if re.fullmatch(r"[\w.-]+(@\d+)?(/[\w.-]+(@\d+)?)+", text, re.ASCII):
        return ""
    return "owner and name are wanted, with a slash between them, of letters, digits and . _ -, as in example/shop"


def problem_of_branch(text: str) -> str:
    """https://git-scm.com/docs/git-check-ref-format"""
    if text.startswith("refs/heads/"):
        return f"write the branch alone: {text.removeprefix('refs/heads/')}"
    if not re.fullmatch(r"[\w./-]{1,255}", text):
        return "a branch has 1 to 255 letters, digits and . _ / -, as in main"
    parts = text.split("/")
    if (
        text[0] == "-"
        or ".." in text
        or any(not part or part[0] == "." or part.endswith((".", ".lock")) for part in parts)
    ):
        return (
            "git has no branch of that name: no part between slashes is empty, begins or ends with a dot or ends in"
            " .lock, and no two dots stand together"
        )
    return ""


def problem_of_folder(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        return "a folder inside the repository is wanted, as in . or services/web"
    if not re.fullmatch(r"[\w.][\w./-]*", text):
        return "a folder holds letters, digits and . _ / -, as in . or services/web"
    return ""


def _near(text: str, known: list[str]) -> str:
    """What is nearest, or what are, with an or between them; empty when nothing is near."""
    import difflib

    ratios = {word: difflib.SequenceMatcher(None, text, word).ratio() for word in known}
    best = max(ratios.values())
    return " or ".join(word for word, ratio in ratios.items() if ratio == best) if best >= 0.8 else ""


def is_case_of(pattern: str, wide: str) -> bool:
    """Whether all that a pattern of a listener's rule matches is matched by another, as far as that is certain.

    It is where they are the same, and where the other ends in its only wildcard, a *.
    """
    if pattern == wide:
        return True
    start, star, rest = wide.partition("*")
    return bool(star) and not rest and "?" not in start and pattern.startswith(start)


def span_of(text: str) -> timedelta | None:
    """A length of time, as 30s, 10m, 2h or 1d; None of what is none, or beyond all years."""
    from datetime import timedelta  # here, for a render has no use for it

    form = re.fullmatch(r"(\d+)([smhd])", text, re.ASCII)
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    try:
        return timedelta(**{units[form[2]]: int(form[1])}) if form else None
    except (OverflowError, ValueError):
        return None

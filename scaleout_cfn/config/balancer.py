"""The load balancer, and what stands before it: who may reach it, a firewall, clients' certificates, CloudFront."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from scaleout_cfn.config.ground import ARN, CERTIFICATE, HOST_NAME, HOSTED_ZONE
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.grammars import (
    or_empty,
    problem_of_alias,
    problem_of_allowed_cidr,
    problem_of_bucket,
    problem_of_certificate,
    problem_of_client_secret,
    problem_of_cloudfront_certificate,
    problem_of_cloudfront_web_acl,
    problem_of_host_name,
    problem_of_hosted_zone,
    problem_of_https_url,
    problem_of_path,
    problem_of_resource_id,
    problem_of_trust_store,
    problem_of_user_pool,
    problem_of_web_acl,
)

HEALTH_PATH = tunable(
    "A path that Route 53 asks this region's load balancer for by HTTPS, every 30 seconds from several places: without"
    " an answer of 200 to 399 the region gets no clients. Empty: the health of its targets decides.",
    pattern=r"^(/[!-~]{0,254})?$",
    problem_of=or_empty(problem_of_path),
)


class LatencyRouting(Section, frozen=True, kw_only=True, tag_field="kind", tag="latency"):
    """Of the regions that are healthy the one with the shortest way answers."""

    health_path: Annotated[str, HEALTH_PATH] = ""


class FailoverRouting(Section, frozen=True, kw_only=True, tag_field="kind", tag="failover"):
    """One region answers while it is healthy, and another one otherwise."""

    role: Annotated[
        Literal["primary", "secondary"], tunable("primary: answers while it is healthy. secondary: answers otherwise.")
    ]
    health_path: Annotated[str, HEALTH_PATH] = ""


TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
TLS = tunable(
    "The security policy of the listener.",
    pattern="^ELBSecurityPolicy-",
    allowed=f"the name of one of Elastic Load Balancing's policies, as {TLS_POLICY}",
)


class Http(Section, frozen=True, kw_only=True, tag_field="kind", tag="http"):
    """Plain HTTP on port 80."""


#: https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html
RuleGroup = Literal[
    "AdminProtection",
    "AmazonIpReputation",
    "AnonymousIp",
    "Common",
    "KnownBadInputs",
    "Linux",
    "PHP",
    "SQLi",
    "Unix",
    "Windows",
    "WordPress",
]


class AnyClient(Section, frozen=True, kw_only=True, tag_field="kind", tag="passthrough"):
    """Asks clients for a certificate and hands it to the service in a header, which has to check it itself."""


class TrustStore(Section, frozen=True, kw_only=True, tag_field="kind", tag="trust-store"):
    """Lets in only clients with a certificate of an authority in a trust store that is there already."""

    trust_store_arn: Annotated[
        str,
        tunable(
            "The trust store, in the stack's region.",
            pattern=ARN + "elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:truststore/.+$",
            problem_of=problem_of_trust_store,
        ),
    ]
    expired: Annotated[bool, tunable("Let in clients whose certificate has expired, too.")] = False


class CaBundle(Section, frozen=True, kw_only=True, tag_field="kind", tag="ca-bundle"):
    """Lets in only clients with a certificate of an authority in a bundle, of which a trust store is made."""

    bucket: Annotated[
        str,
        tunable(
            "The bucket that holds the bundle.",
            pattern="^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            problem_of=problem_of_bucket,
        ),
    ]
    key: Annotated[
        str,
        tunable(
            "The object that is the bundle: certificates of authorities as PEM.",
            pattern="^[!-~]{1,1024}$",
            allowed="the key of an object, of 1 to 1024 visible ASCII characters, as in clients/ca.pem",
        ),
    ]
    version: Annotated[
        str,
        tunable(
            "The version of the object, which a new bundle is told by; empty for that which is there at creation.",
            pattern="^[!-~]{0,1024}$",
            allowed="the id of a version, or nothing",
        ),
    ] = ""
    expired: Annotated[bool, tunable("Let in clients whose certificate has expired, too.")] = False


# Two sections have the same keys of TLS by the same declarations, and by no base: its keys would come first in both.
ClientCertificates: TypeAlias = Annotated[
    AnyClient | TrustStore | CaBundle | None, tunable("Mutual TLS: clients prove by a certificate who they are.")
]


class Certificate(Section, frozen=True, kw_only=True, tag_field="kind", tag="certificate"):
    """HTTPS on port 443 with a given certificate; port 80 redirects."""

    certificate_arn: Annotated[
        str,
        tunable(
            "An issued ACM certificate in the stack's region.",
            pattern=CERTIFICATE,
            problem_of=problem_of_certificate,
        ),
    ]
    domain_name: Annotated[
        str,
        tunable(
            "A name that the certificate is for: ServiceUrl's. A DNS record of your own leads it to the load balancer.",
            pattern=HOST_NAME,
            problem_of=problem_of_host_name,
        ),
    ]
    tls_policy: Annotated[str, TLS] = TLS_POLICY
    client_certificates: ClientCertificates = None


class Domain(Section, frozen=True, kw_only=True, tag_field="kind", tag="domain"):
    """HTTPS on port 443 with a certificate made for a domain, and the domain's alias records; port 80 redirects."""

    domain_name: Annotated[
        str,
        tunable(
            "The name that clients ask for.",
            pattern=HOST_NAME,
            problem_of=problem_of_host_name,
        ),
    ]
    hosted_zone_id: Annotated[
        str,
        tunable(
            "The public Route 53 hosted zone that holds the name.",
            pattern=HOSTED_ZONE,
            problem_of=problem_of_hosted_zone,
        ),
    ]
    tls_policy: Annotated[str, TLS] = TLS_POLICY
    client_certificates: ClientCertificates = None
    routing: Annotated[
        LatencyRouting | FailoverRouting | None,
        tunable("How records of the same names in several regions share them. Those of routes' hosts are the same."),
    ] = None


class NewWebAcl(Section, frozen=True, kw_only=True, tag_field="kind", tag="new"):
    """A web ACL of the set's own, by rules that AWS keeps."""

    mode: Annotated[
        Literal["count", "block"],
        tunable("count: what rules match is logged and let through, to find false alarms first. block: it gets 403."),
    ] = "count"
    rule_groups: Annotated[
        tuple[Annotated[RuleGroup, tunable("A rule group.")], ...],
        tunable("Rule groups of AWS without a price of their own, in the order in which they look at a request."),
    ] = ("AmazonIpReputation", "KnownBadInputs", "Common")
    counted_rules: Annotated[
        dict[
            Annotated[RuleGroup, tunable("A rule group.")],
            tuple[
                Annotated[
                    str,
                    tunable(
                        "A rule.",
                        pattern="^[0-9A-Za-z_-]{1,128}$",
                        allowed="the name of a rule, of letters, digits, _ and -, as in SizeRestrictions_BODY",
                    ),
                ],
                ...,
            ],
        ],
        tunable('Rules of a group that count in any mode, as in {Common = ["SizeRestrictions_BODY"]}.'),
    ] = {}
    rate_limit: Annotated[
        int,
        tunable(
            "Requests of one address in rate_window_s, beyond which they match: 10 and more, or 0 for any number.",
            ge=0,
            le=2_000_000_000,
        ),
    ] = 2000
    rate_window_s: Annotated[
        Literal[60, 120, 300, 600], tunable("Time that requests of one address are counted over.", unit="seconds")
    ] = 300
    logs: Annotated[
        bool, tunable("Log each request to CloudWatch, without what Authorization and Cookie say; CloudWatch bills it.")
    ] = True


class ExistingWebAcl(Section, frozen=True, kw_only=True, tag_field="kind", tag="existing"):
    """A web ACL that is there already, and the load balancer is put behind."""

    web_acl_arn: Annotated[
        str,
        tunable(
            "The web ACL, of scope REGIONAL and in the stack's region.",
            pattern=ARN + "wafv2:[a-z0-9-]+:[0-9]{12}:regional/webacl/.+$",
            problem_of=problem_of_web_acl,
        ),
    ]


class CloudFront(Section, frozen=True, kw_only=True):
    """A CloudFront distribution in front of the load balancer, which is internal, by a VPC origin."""

    aliases: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "A host name, with *. at its beginning for all of a domain.",
                    pattern=r"^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$",
                    problem_of=problem_of_alias,
                ),
            ],
            ...,
        ],
        tunable("Host names that it answers to, beside its own of cloudfront.net.", max_length=100),
    ] = ()
    certificate_arn: Annotated[
        str,
        tunable(
            "An issued ACM certificate for the aliases, in us-east-1; empty without aliases.",
            pattern=f"^$|{CERTIFICATE}",
            problem_of=or_empty(problem_of_cloudfront_certificate),
        ),
    ] = ""
    hosted_zone_id: Annotated[
        str,
        tunable(
            "The public Route 53 hosted zone of the aliases, which gets their records; empty for records of your own.",
            pattern=f"^$|{HOSTED_ZONE}",
            problem_of=or_empty(problem_of_hosted_zone),
        ),
    ] = ""
    cache_policy: Annotated[
        Literal[
            "CachingDisabled",
            "UseOriginCacheControlHeaders",
            "UseOriginCacheControlHeaders-QueryStrings",
        ],
        tunable("Which of CloudFront's managed cache policies it follows."),
    ] = "CachingDisabled"
    web_acl_arn: Annotated[
        str,
        tunable(
            "A web ACL of scope CLOUDFRONT, in us-east-1; empty for none.",
            pattern=f"^$|{ARN}wafv2:us-east-1:[0-9]{{12}}:global/webacl/.+$",
            problem_of=or_empty(problem_of_cloudfront_web_acl),
        ),
    ] = ""


class NewLoadBalancer(Section, frozen=True, kw_only=True, tag_field="kind", tag="new"):
    """An application load balancer of the set's own. A set without a web service has none."""

    scheme: Annotated[Literal["internet-facing", "internal"], tunable("Who can reach it.")] = "internet-facing"
    listener: Annotated[Http | Certificate | Domain, tunable("HTTP, or HTTPS by a given certificate or a domain.")] = (
        Http()
    )
    allowed_cidrs: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "A range.",
                    pattern=r"^[0-9a-f.:]+/[0-9]{1,3}$",
                    problem_of=problem_of_allowed_cidr,
                ),
            ],
            ...,
        ],
        tunable("IPv4 and IPv6 ranges that may reach it; without any and without prefix lists, everybody may."),
    ] = ()
    allowed_prefix_lists: Annotated[
        dict[
            Annotated[
                str,
                tunable(
                    "A prefix list.",
                    pattern="^pl-([0-9a-f]{8}|[0-9a-f]{17})$",
                    problem_of=problem_of_resource_id("pl"),
                ),
            ],
            Annotated[int, tunable("The entries that it counts as.", ge=1, le=1000)],
        ],
        tunable(
            "Managed prefix lists that may reach it, each with the entries that it may hold, as in {pl-3b927c52 = 55}:"
            " as so many rules of a security group it counts."
        ),
    ] = {}
    idle_timeout_s: Annotated[
        int,
        tunable(
            "Idle time after which a connection is closed; the container's must be longer.",
            unit="seconds",
            ge=1,
            le=4000,
        ),
    ] = 60
    access_logs: Annotated[bool, tunable("Write access logs to an own bucket, which outlives the stack.")] = False
    access_logs_days: Annotated[int, tunable("How long access logs are kept.", unit="days", ge=1, le=3650)] = 90
    deletion_protection: Annotated[bool, tunable("Refuse to delete the load balancer until this is off again.")] = False
    error_percent: Annotated[
        float,
        tunable(
            "Share of 5xx answers by the load balancer itself, over five minutes, that raises an alarm.",
            unit="percent",
            gt=0,
            le=100,
        ),
    ] = 5
    zonal_shift: Annotated[
        Literal["off", "shift", "autoshift"],
        tunable(
            "Whether requests may be led away from a zone: by whoever starts a zonal shift, or by AWS, too, which then"
            " practises it each week."
        ),
    ] = "off"
    maintenance: Annotated[
        bool, tunable("Answer every request with a maintenance page, and 503, instead of asking a service.")
    ] = False
    waf: Annotated[
        NewWebAcl | ExistingWebAcl | None, tunable("The web ACL that looks at each request before it is answered.")
    ] = None
    cloudfront: Annotated[CloudFront | None, tunable("CloudFront in front of it.")] = None


class ExistingLoadBalancer(Section, frozen=True, kw_only=True, tag_field="kind", tag="existing"):
    """A load balancer and listener that are there already, shared with others: the set adds its rules to them."""

    load_balancer_arn: Annotated[
        str,
        tunable(
            "The application load balancer.",
            pattern=ARN + "elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:loadbalancer/app/[A-Za-z0-9-]+/[0-9a-f]+$",
            allowed="the ARN of an application load balancer, with :loadbalancer/app/NAME/ID at its end",
        ),
    ]
    listener_arn: Annotated[
        str,
        tunable(
            "Its listener that gets the rules.",
            pattern=ARN + "elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:listener/app/[A-Za-z0-9-]+/[0-9a-f]+/[0-9a-f]+$",
            allowed="the ARN of a listener, with :listener/app/NAME/ID/ID at its end",
        ),
    ]
    security_group_id: Annotated[
        str,
        tunable(
            "The load balancer's security group, which is let in to the tasks and gets the rules to reach them.",
            pattern="^sg-[0-9a-f]+$",
            problem_of=problem_of_resource_id("sg"),
        ),
    ]
    url: Annotated[
        str,
        tunable(
            "Where its listener answers.",
            pattern=r"^https?://[^\s/]+$",
            allowed="an address without a path, as in https://shop.example.com",
        ),
    ]


def _url(meaning: str) -> Meta:
    return tunable(meaning, pattern="^https://[!-~]+$", problem_of=problem_of_https_url)


CLIENT_ID = tunable(
    "What the load balancer is to the provider: the id of a client that has a secret.",
    pattern="^[!-~]{1,256}$",
    allowed="the id as the provider shows it, without spaces",
)


class SignIn(Section, frozen=True, kw_only=True):
    """Who signs in where, for how long.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html
    """

    scope: Annotated[
        str,
        tunable(
            "What the provider is asked to tell of a user.",
            pattern="^(?=.{1,256}$)(.* )?openid( .*)?$",
            allowed="words with spaces between them, of which one is openid, as in openid email profile",
        ),
    ] = "openid"
    session_s: Annotated[int, tunable("Time after which a user signs in again.", unit="seconds", ge=1, le=604800)] = (
        43200
    )
    otherwise: Annotated[
        Literal["authenticate", "deny", "allow"],
        tunable(
            "What becomes of a request of nobody: authenticate sends it to the provider, deny answers 401, allow lets"
            " it through."
        ),
    ] = "authenticate"


class Oidc(SignIn, frozen=True, kw_only=True, tag_field="kind", tag="oidc"):
    """At a provider of OpenID Connect."""

    issuer: Annotated[str, _url("The issuer of the provider's tokens.")]
    authorization_endpoint: Annotated[str, _url("Where the provider lets users sign in.")]
    token_endpoint: Annotated[str, _url("Where the load balancer gets tokens from.")]
    user_info_endpoint: Annotated[str, _url("Where it is told who a user is.")]
    client_id: Annotated[str, CLIENT_ID]
    client_secret: Annotated[
        str,
        tunable(
            "The Secrets Manager secret that holds the client's secret, by ARN, with :KEY:: where it is one of several"
            " in JSON.",
            pattern=ARN + "secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$",
            problem_of=problem_of_client_secret,
        ),
    ]


class Cognito(SignIn, frozen=True, kw_only=True, tag_field="kind", tag="cognito"):
    """At a user pool of Amazon Cognito that is there already."""

    user_pool_arn: Annotated[
        str,
        tunable(
            "The user pool.",
            pattern=ARN + "cognito-idp:[a-z0-9-]+:[0-9]{12}:userpool/.+$",
            problem_of=problem_of_user_pool,
        ),
    ]
    client_id: Annotated[str, CLIENT_ID]
    domain: Annotated[
        str,
        tunable(
            "The domain of its hosted pages.",
            pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
            allowed="the prefix of a domain of Cognito's, or a whole domain of one's own, in lower case",
        ),
    ]

"""Signing in at the load balancer, before a request reaches a web service."""

from typing import Annotated, Literal

from msgspec import Meta

from scaleout_cfn.config.ground import ARN
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.grammars import problem_of_client_secret, problem_of_https_url, problem_of_user_pool


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

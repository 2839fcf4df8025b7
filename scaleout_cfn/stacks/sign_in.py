"""Signing in: the action of a listener's rule that comes before the forward to a service."""

from __future__ import annotations

from zlib import crc32

from troposphere import elasticloadbalancingv2 as elb

from scaleout_cfn.config import Cognito, Oidc
from scaleout_cfn.grammars import arn_of


def sign_in(settings: Oidc | Cognito) -> elb.ListenerRuleAction:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html"""
    where = settings.issuer if isinstance(settings, Oidc) else settings.user_pool_arn
    common = {
        "OnUnauthenticatedRequest": settings.otherwise,
        "Scope": settings.scope,
        "SessionTimeout": str(settings.session_s),
        # Services of one client share a session. Those of different ones would take it away from each other.
        "SessionCookieName": f"AWSELBAuthSessionCookie-{crc32(f'{where} {settings.client_id}'.encode()):08x}",
    }
    if isinstance(settings, Cognito):
        return elb.ListenerRuleAction(
            Type="authenticate-cognito",
            Order=1,
            AuthenticateCognitoConfig=elb.AuthenticateCognitoConfig(
                UserPoolArn=settings.user_pool_arn,
                UserPoolClientId=settings.client_id,
                UserPoolDomain=settings.domain,
                **common,
            ),
        )
    return elb.ListenerRuleAction(
        Type="authenticate-oidc",
        Order=1,
        AuthenticateOidcConfig=elb.ListenerRuleAuthenticateOidcConfig(
            Issuer=settings.issuer,
            AuthorizationEndpoint=settings.authorization_endpoint,
            TokenEndpoint=settings.token_endpoint,
            UserInfoEndpoint=settings.user_info_endpoint,
            ClientId=settings.client_id,
            ClientSecret=_dynamic_reference(settings.client_secret),
            **common,
        ),
    )


def _dynamic_reference(secret: str) -> str:
    """What CloudFormation puts the secret in the place of, which no template, change set or event shows.

    `secret` is an ARN with, perhaps, :json-key:version-stage:version-id behind it, as a container's is.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html
    """
    arn = arn_of(secret)
    assert arn is not None
    kind, name, *parts = arn.resource.split(":")
    whole = ":".join(["arn", *arn[:4], kind, name])
    return f"{{{{resolve:secretsmanager:{':'.join([whole, 'SecretString', *parts]).rstrip(':')}}}}}"

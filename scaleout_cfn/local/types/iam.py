"""IAM: instance profiles, service-linked roles and OpenID Connect providers."""

from __future__ import annotations

from typing import Any

from ministack.services import iam
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties, query, register


def instance_profiles() -> None:
    """The Ref of MiniStack's AWS::IAM::InstanceProfile is its ARN. On AWS it is its name
    (aws-resource-iam-instanceprofile)."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::IAM::InstanceProfile"]
    create, update, delete = handler["create"], handler["update"], handler["delete"]

    def named(made: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
        arn, attributes = made
        return arn.rpartition("/")[2], attributes

    def arn_of(name: str) -> str:
        return str(iam._instance_profiles.get(name, {}).get("Arn", name))

    handler.update(
        create=lambda *given: named(create(*given)),
        update=lambda name, *given: named(update(arn_of(name), *given)),
        delete=lambda name, properties: delete(arn_of(name), properties),
    )


def service_linked_role() -> None:
    """AWS::IAM::ServiceLinkedRole is unknown to MiniStack, whose IAM makes such roles."""
    actions = {
        "CreateServiceLinkedRole": iam._create_service_linked_role,
        "DeleteServiceLinkedRole": iam._delete_service_linked_role,
    }

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        answer = query(actions, "CreateServiceLinkedRole", AWSServiceName=properties["AWSServiceName"])
        name = answer.findtext(".//{*}RoleName") or ""
        return name, {"RoleName": name}

    def delete(physical_id: str, properties: Properties) -> None:
        query(actions, "DeleteServiceLinkedRole", RoleName=physical_id)

    register("AWS::IAM::ServiceLinkedRole", create=create, delete=delete)


def oidc_provider() -> None:
    """AWS::IAM::OIDCProvider is unknown to MiniStack, whose IAM has OpenID Connect providers."""
    actions = {
        "CreateOpenIDConnectProvider": iam._create_oidc_provider,
        "DeleteOpenIDConnectProvider": iam._delete_oidc_provider,
    }

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        lists = {
            f"{member}.member.{number}": value
            for member, source in (("ClientIDList", "ClientIdList"), ("ThumbprintList", "ThumbprintList"))
            for number, value in enumerate(properties.get(source, []), 1)
        }
        answer = query(actions, "CreateOpenIDConnectProvider", Url=properties["Url"], **lists)
        arn = answer.findtext(".//{*}OpenIDConnectProviderArn") or ""
        return arn, {"Arn": arn}

    def delete(physical_id: str, properties: Properties) -> None:
        query(actions, "DeleteOpenIDConnectProvider", OpenIDConnectProviderArn=physical_id)

    register("AWS::IAM::OIDCProvider", create=create, delete=delete, tagged=True)

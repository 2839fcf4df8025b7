"""What roles may do: S8xx."""

from __future__ import annotations

from typing import Any

from .cases import Case, allowing, container, resources, role, service, tasks
from .cases_tasks import SERVICE, TASKS, WEB, fargate_image, fargate_logs, log_options
from .sets import Set, passed

ROOT = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}


def secret(templates: Set, allowed: Any, value: Any = None, **properties: Any) -> None:
    """Container web takes a secret of the stack, which its execution role may read by `allowed`."""
    resources(templates, "service")["Key"] = {"Type": "AWS::SecretsManager::Secret", "Properties": properties}
    container(templates)["Secrets"] = [{"Name": "KEY", "ValueFrom": value or {"Ref": "Key"}}]
    policies = allowing("secretsmanager:Get*", resource=allowed)
    tasks(templates)["ExecutionRoleArn"] = role(templates, Policies=policies)


def by_ref(templates: Set) -> None:
    secret(templates, {"Ref": "Key"}, {"Fn::Sub": "${Key}:password::"})


def by_wildcard(templates: Set) -> None:
    arn = {"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:shop/*"}
    secret(templates, arn, Name="shop/key")


def by_a_literal(templates: Set) -> None:
    arn = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:shop/key"
    secret(templates, f"{arn}-??????", f"{arn}:password::")


def by_a_policy_of_its_own(templates: Set) -> None:
    secret(templates, {"Ref": "Key"})
    (policy,) = resources(templates, "service")["Execution"]["Properties"].pop("Policies")
    resources(templates, "service")["Reading"] = {
        "Type": "AWS::IAM::Policy",
        "Properties": {**policy, "Roles": [{"Ref": "Execution"}]},
    }


def by_a_managed_policy(templates: Set) -> None:
    by_a_policy_of_its_own(templates)
    reading = resources(templates, "service")["Reading"]
    reading["Type"] = "AWS::IAM::ManagedPolicy"
    del reading["Properties"]["PolicyName"], reading["Properties"]["Roles"]
    resources(templates, "service")["Execution"]["Properties"]["ManagedPolicyArns"] = [{"Ref": "Reading"}]


def elsewhere(templates: Set) -> None:
    """The role and the secret in the cluster's stack, their ARNs passed to the service's."""
    secret(templates, {"Ref": "Key"})
    for name, value in (("Key", {"Ref": "Key"}), ("Execution", {"Fn::GetAtt": ["Execution", "Arn"]})):
        resources(templates, "cluster")[name] = resources(templates, "service").pop(name)
        templates["cluster.yaml"]["Outputs"][name] = {"Value": value}
        templates["service.yaml"]["Parameters"][name] = {"Type": "String"}
        passed(templates, "Service")[name] = {"Fn::GetAtt": ["Cluster", f"Outputs.{name}"]}
    tasks(templates)["ExecutionRoleArn"] = {"Ref": "Execution"}


def parameter(templates: Set) -> None:
    arn = {"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/shop/*"}
    container(templates)["Secrets"] = [{"Name": "KEY", "ValueFrom": "/shop/key"}]
    policies = allowing("ssm:GetParameters", resource=arn)
    tasks(templates)["ExecutionRoleArn"] = role(templates, Policies=policies)


def encrypted(templates: Set) -> None:
    by_ref(templates)
    statement = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    resources(templates, "service")["Lock"] = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}}
    resources(templates, "service")["Key"]["Properties"] = {"KmsKeyId": {"Fn::GetAtt": ["Lock", "Arn"]}}
    statement_of(templates, "kms:Decrypt", {"Fn::GetAtt": ["Lock", "Arn"]})


def statement_of(templates: Set, action: str, resource: Any) -> None:
    statements = statements_of(templates)
    statements.append({"Effect": "Allow", "Action": action, "Resource": resource})


def statements_of(templates: Set) -> list[dict[str, Any]]:
    (policy,) = resources(templates, "service")["Execution"]["Properties"]["Policies"]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


def allowed_action(action: str) -> Any:
    def change(templates: Set) -> None:
        statements_of(templates)[0]["Action"] = action

    return change


def allowed_resource(arn: Any) -> Any:
    def change(templates: Set) -> None:
        statements_of(templates)[0]["Resource"] = arn

    return change


def no_decrypt(templates: Set) -> None:
    del statements_of(templates)[1]


def another_secret(templates: Set) -> None:
    """The policy of its own allows another secret of the stack."""
    resources(templates, "service")["Other"] = {"Type": "AWS::SecretsManager::Secret", "Properties": {}}
    policy = resources(templates, "service")["Reading"]["Properties"]["PolicyDocument"]
    policy["Statement"][0]["Resource"] = {"Ref": "Other"}


def on_somebody_else(templates: Set) -> None:
    role(templates, "Somebody")
    resources(templates, "service")["Reading"]["Properties"]["Roles"] = [{"Ref": "Somebody"}]


def no_policy_elsewhere(templates: Set) -> None:
    del resources(templates, "cluster")["Execution"]["Properties"]["Policies"]


def pulled(templates: Set) -> None:
    fargate_image(templates)
    actions = ("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    tasks(templates)["ExecutionRoleArn"] = role(templates, Policies=allowing(*actions))


def logged(templates: Set) -> None:
    fargate_logs(templates)
    log_options(templates).update({"awslogs-create-group": "true", "awslogs-group": "/ecs/web"})
    policies = allowing("logs:CreateLogStream", "logs:PutLogEvents", "logs:CreateLogGroup")
    tasks(templates)["ExecutionRoleArn"] = role(templates, Policies=policies)


def entered(templates: Set) -> None:
    service(templates)["EnableExecuteCommand"] = True
    arn = role(templates, "Own", Policies=allowing("ssmmessages:*"))
    tasks(templates)["TaskRoleArn"] = arn


def no_policies(name: str) -> Any:
    def change(templates: Set) -> None:
        resources(templates, "service")[name]["Properties"]["Policies"] = []

    return change


def no_task_role(templates: Set) -> None:
    del tasks(templates)["TaskRoleArn"]


def trusting(templates: Set) -> None:
    tasks(templates)["TaskRoleArn"] = role(templates, "Own")


def trust_instances(templates: Set) -> None:
    policy = resources(templates, "service")["Own"]["Properties"]["AssumeRolePolicyDocument"]
    policy["Statement"][0]["Principal"]["Service"] = ["ec2.amazonaws.com", "ecs.amazonaws.com"]


def scheduled(templates: Set) -> None:
    """Tasks that a rule of EventBridge runs each night."""
    arn = role(templates, "Night", Policies=allowing("ecs:RunTask", "iam:PassRole"))
    trust = resources(templates, "service")["Night"]["Properties"]["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Principal"]["Service"] = "events.amazonaws.com"
    tasks(templates)["ExecutionRoleArn"] = {"Fn::ImportValue": "role"}
    network = service(templates)["NetworkConfiguration"]["AwsvpcConfiguration"]
    resources(templates, "service")["Nightly"] = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "ScheduleExpression": "cron(0 3 * * ? *)",
            "Targets": [
                {
                    "Id": "tasks",
                    "Arn": {"Fn::ImportValue": "cluster"},
                    "RoleArn": arn,
                    "EcsParameters": {
                        "TaskDefinitionArn": {"Ref": "Tasks"},
                        "NetworkConfiguration": {"AwsVpcConfiguration": network},
                    },
                }
            ],
        },
    }


def may_run_only(templates: Set) -> None:
    (policy,) = resources(templates, "service")["Night"]["Properties"]["Policies"]
    policy["PolicyDocument"]["Statement"][0]["Action"] = "ecs:RunTask"


def file_of_environment(templates: Set) -> None:
    value = "arn:aws-cn:s3:::shop/web.env"
    container(templates)["EnvironmentFiles"] = [{"Type": "s3", "Value": value}]
    tasks(templates)["ExecutionRoleArn"] = role(templates, Policies=allowing("s3:GetObject"))


SECRET = f"{WEB}.Secrets.0.ValueFrom"

CASES = (
    Case("S801", by_ref, allowed_action("ssm:GetParameters"), SECRET, "secretsmanager:GetSecretValue of it"),
    Case(
        "S801",
        by_wildcard,
        allowed_resource({"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:*:*:secret:store/*"}),
        SECRET,
        "Execution, the execution role",
    ),
    Case(
        "S801",
        by_a_literal,
        allowed_resource("arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:shop/other-??????"),
        SECRET,
        "takes secret KEY",
    ),
    Case("S801", by_a_policy_of_its_own, another_secret, SECRET, "takes secret KEY"),
    Case("S801", by_a_policy_of_its_own, on_somebody_else, SECRET, "takes secret KEY"),
    Case("S801", by_a_managed_policy, another_secret, SECRET, "takes secret KEY"),
    Case("S801", elsewhere, no_policy_elsewhere, SECRET, "takes secret KEY"),
    Case(
        "S801",
        parameter,
        allowed_resource({"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/key"}),
        SECRET,
        "ssm:GetParameters of it",
    ),
    Case("S802", encrypted, no_decrypt, SECRET, "kms:Decrypt of Lock"),
    Case("S803", pulled, allowed_action("ecr:BatchGetImage"), f"{WEB}.Image", "ecr:GetAuthorizationToken"),
    Case("S804", logged, allowed_action("logs:*LogStream"), f"{WEB}.LogConfiguration", "logs:CreateLogGroup"),
    Case("S805", entered, no_policies("Own"), f"{SERVICE}.EnableExecuteCommand", "ssmmessages:OpenDataChannel"),
    Case("S805", entered, no_task_role, f"{SERVICE}.EnableExecuteCommand", "Tasks has no TaskRoleArn"),
    Case("S806", trusting, trust_instances, f"{TASKS}.TaskRoleArn", "does not trust ecs-tasks"),
    Case("S807", scheduled, may_run_only, "service Resources.Nightly.Properties.Targets.0.RoleArn", "iam:PassRole"),
    Case("S808", file_of_environment, no_policies("Execution"), f"{WEB}.EnvironmentFiles", "s3:GetObject"),
)

"""Templates in a bucket: keys, addresses, links, and the bucket itself."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from scaleout_cfn.aws.client import Aws, Identity, Target, pinned
from scaleout_cfn.composing import compose
from scaleout_cfn.config import Config
from scaleout_cfn.deploy import publish
from scaleout_cfn.deploy.bootstrap import bootstrap, tls_only
from scaleout_cfn.deploy.desired import Desired, fingerprint_in, parameters_for, token
from scaleout_cfn.errors import AccessError, RefusedError, UsageError

from .helpers import PLACE, Small, published
from .world import ACCOUNT, REGION, Fault, World

ME = Identity(ACCOUNT, "arn:aws:iam::123456789012:user/ci", REGION, "aws", "amazonaws.com")


def test_the_key_of_a_file_is_the_hash_of_its_text() -> None:
    for file in published().files:
        assert file.key == f"templates/{hashlib.sha256(file.text.encode()).hexdigest()}.yaml"
        assert file.url == f"{PLACE.url}/{file.key}"


def test_the_same_config_gives_the_same_files_and_another_word_changes_only_the_root() -> None:
    again = publish.prepare(compose(Config()), PLACE), publish.prepare(compose(Config()), PLACE)
    assert again[0] == again[1]
    one, two = published(Small(word="one")), published(Small(word="two"))
    assert one.files[:-1] == two.files[:-1]
    assert one.root.url != two.root.url


def test_the_default_set_needs_iam_and_no_more() -> None:
    assert publish.prepare(compose(Config()), PLACE).capabilities == ("CAPABILITY_IAM",)


@pytest.mark.parametrize(
    ("region", "partition", "suffix", "bucket", "endpoint", "url"),
    [
        ("eu-west-1", "aws", "amazonaws.com", "b", "", "https://b.s3.eu-west-1.amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn", "b", "", "https://b.s3.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com", "b", "", "https://b.s3.us-gov-west-1.amazonaws.com"),
        ("eu-west-1", "aws", "amazonaws.com", "a.b", "", "https://s3.eu-west-1.amazonaws.com/a.b"),
        ("eu-west-1", "aws", "amazonaws.com", "b", "http://127.0.0.1:4566", "http://127.0.0.1:4566/b"),
    ],
)
def test_the_address_fits_region_partition_bucket_and_endpoint(
    region: str, partition: str, suffix: str, bucket: str, endpoint: str, url: str
) -> None:
    aws = Aws(Target(region=region, endpoint_url=endpoint, keys=(ACCOUNT, "x")))
    identity = Identity(ACCOUNT, "arn", region, partition, suffix)
    assert publish.bucket_at(aws, identity, bucket) == publish.Bucket(bucket, url)


def test_an_upload_is_conditional_checked_and_bound_to_the_owner() -> None:
    world = World()
    assert publish.upload(world.aws(), published(), ACCOUNT) == 3
    for _, _, given in world.calls:
        assert (given["IfNoneMatch"], given["ExpectedBucketOwner"]) == ("*", ACCOUNT)
        assert given["ChecksumSHA256"]
    assert publish.upload(world.aws(), published(), ACCOUNT) == 0


def test_an_upload_that_broke_off_is_finished_by_the_next() -> None:
    world = World(faults=[Fault("PutObject", "SlowDown", times=99, status=503, skip=1)])
    with pytest.raises(Exception, match="SlowDown"):
        publish.upload(world.aws(), published(), ACCOUNT)
    assert published().root.key not in world.objects
    world.faults.clear()
    publish.upload(world.aws(), published(), ACCOUNT)
    assert set(world.objects) == {file.key for file in published().files}


def test_somebody_elses_bucket_is_refused() -> None:
    world = World(buckets={"artifacts": "999999999999"})
    with pytest.raises(AccessError, match="put_object"):
        publish.upload(world.aws(), published(), ACCOUNT)


@pytest.mark.parametrize(
    ("partition", "host"),
    [("aws", "https://eu-west-1.console.aws.amazon.com/"), ("aws-cn", "https://console.amazonaws.cn/")],
)
def test_the_quick_create_link_opens_the_console_with_the_form_filled_in(partition: str, host: str) -> None:
    identity = Identity(ACCOUNT, "arn", REGION, partition, "amazonaws.com")
    link = publish.quick_create(identity, published(), "web", {"WebImageUri": "a/b:1 &c"})
    assert link.startswith(f"{host}cloudformation/home?region=eu-west-1#/stacks/create/review?")
    query = parse_qs(link.partition("review?")[2])
    assert query == {"templateURL": [published().root.url], "stackName": ["web"], "param_WebImageUri": ["a/b:1 &c"]}


def test_a_secret_is_not_in_the_link() -> None:
    link = publish.quick_create(ME, published(Small(secret=True)), "web", {"Password": "hunter2", "WebImageUri": "x"})
    assert "hunter2" not in unquote(link)


class S3(World):
    """A world in which buckets can be made and set up."""

    def s3_HeadBucket(self, Bucket: str, ExpectedBucketOwner: str) -> dict[str, Any]:
        from .cloudformation import Refused

        if Bucket not in self.buckets:
            raise Refused("404", "Not Found", 404)
        if self.buckets[Bucket] != ExpectedBucketOwner:
            raise Refused("403", "Forbidden", 403)
        return {}

    def s3_CreateBucket(self, Bucket: str, **_: Any) -> dict[str, Any]:
        self.buckets[Bucket] = ACCOUNT
        return {}

    def s3_put(self, **_: Any) -> dict[str, Any]:
        return {}

    s3_PutPublicAccessBlock = s3_PutBucketEncryption = s3_PutBucketVersioning = s3_PutBucketPolicy = s3_put


def test_bootstrap_makes_a_private_versioned_encrypted_tls_only_bucket_and_can_be_repeated() -> None:
    world = S3(buckets={})
    assert bootstrap(world.aws(), ME, "new") is True
    sent = {operation: given for _, operation, given in world.calls}
    assert sent["CreateBucket"]["CreateBucketConfiguration"] == {"LocationConstraint": REGION}
    assert all(sent["PutPublicAccessBlock"]["PublicAccessBlockConfiguration"].values())
    assert sent["PutBucketVersioning"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert "PutBucketEncryption" in sent
    assert '"aws:SecureTransport": "false"' in sent["PutBucketPolicy"]["Policy"]
    assert bootstrap(world.aws(), ME, "new") is False


def test_bootstrap_does_not_touch_a_bucket_of_another_account() -> None:
    world = S3(buckets={"new": "999999999999"})
    with pytest.raises(AccessError):
        bootstrap(world.aws(), ME, "new")
    assert world.sent() == ["HeadBucket"]


def test_the_tls_rule_names_the_partition() -> None:
    identity = Identity(ACCOUNT, "arn", "cn-north-1", "aws-cn", "amazonaws.com.cn")
    assert "arn:aws-cn:s3:::b/*" in tls_only(identity, "b")


@pytest.mark.parametrize(
    "pin", [{"account_id": "999999999999", "region": ""}, {"account_id": "", "region": "us-east-1"}]
)
def test_another_account_or_region_than_the_pinned_is_refused(pin: dict[str, str]) -> None:
    with pytest.raises(RefusedError, match="the config says") as refusal:
        pinned(ME, **pin)
    assert refusal.value.exit_code == 6
    pinned(ME, account_id=ACCOUNT, region=REGION)


def test_a_token_fits_aws_and_carries_the_fingerprint() -> None:
    desired = Desired("web", published(), {"WebImageUri": "x"})
    made = token("deploy", desired.fingerprint, "some state")
    assert fingerprint_in(made) == desired.fingerprint == fingerprint_in(f"scaleout-cfn {made}")
    assert made == token("deploy", desired.fingerprint, "some state") != token("deploy", desired.fingerprint, "other")
    assert fingerprint_in("Console-CreateStack-0123456789abcdef-01234567") == ""


def test_whatever_is_desired_differently_has_another_fingerprint() -> None:
    base = Desired("web", published(), {"WebImageUri": "x"})
    others = [
        Desired("web2", published(), {"WebImageUri": "x"}),
        Desired("web", published(Small(word="b")), {"WebImageUri": "x"}),
        Desired("web", published(), {"WebImageUri": "y"}),
        Desired("web", published(), {"WebImageUri": "x"}, {"a": "b"}),
        Desired("web", published(), {"WebImageUri": "x"}, role_arn="arn:role"),
    ]
    assert len({one.fingerprint for one in (base, *others)}) == 6


def test_a_parameter_without_any_value_is_named() -> None:
    with pytest.raises(UsageError, match="parameter Password: has no value"):
        parameters_for(published(Small(secret=True)), None, {}, {})
    with pytest.raises(UsageError, match="parameter Nonsense: the root has none of that name"):
        parameters_for(published(), None, {"Nonsense": "x"}, {})

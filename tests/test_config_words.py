"""What a config's texts may be is checked whole, and an error says it in words: no error holds a pattern."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn import grammars
from scaleout_cfn.config import Config
from scaleout_cfn.config.file import load, refusal
from scaleout_cfn.config.tunables import Section, bare, fields_of, pattern_of, sections_of
from scaleout_cfn.errors import ConfigError, UsageError
from scaleout_cfn.grammars import partition_of, problem_of_region
from scaleout_cfn.toml_lines import key_lines

UUID = "12345678-1234-1234-1234-123456789012"


def texts(section: type[Section] = Config, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every text of every kind of section, entries of lists and tables among them: key, type, Meta."""
    for field in fields_of(section):
        yield from _texts_in(field.type, f"{path}.{field.name}".lstrip("."))


def _texts_in(annotation: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    inner, meta = bare(annotation)
    for choice in sections_of(inner):
        yield from texts(choice, f"{key}:{choice.__name__}")
    if inner is str and meta is not None:
        yield key, inner, meta
    for part in get_args(inner):
        if isinstance(part, type) and issubclass(part, Section):
            yield from texts(part, key)
        elif not sections_of(inner) and part is not Ellipsis:
            yield from _texts_in(part, f"{key}[]")


PATTERNED = {key: (inner, meta) for key, inner, meta in texts() if pattern_of(meta)}


@pytest.mark.parametrize("key", PATTERNED)
def test_no_error_of_a_text_holds_a_pattern(key: str) -> None:
    inner, meta = PATTERNED[key]
    for wrong in (
        "?",
        "a b",
        "UPPER case!",
        "x" * 2000,
        "arn:aws:s3:::b",
        "a\nb",
        "ä",
        "-",
        "..",
        "[x]",
        "http://x",
        7,
    ):
        said = refusal(wrong, inner, meta)
        assert said
        assert "matching" not in said
        assert "regex" not in said
        pieces = ("(?", "[a-z", "[A-Z", "[0-9", r"\d", r"\w", ")?", "]{", "^", "$")
        assert not any(piece in said.replace(str(wrong), "") for piece in pieces), said


def test_all_texts_are_looked_at() -> None:
    assert len(PATTERNED) > 30


RIGHT: dict[str, list[str]] = {
    "account": ["123456789012", "000000000001"],
    "certificate": [f"arn:aws:acm:eu-west-1:123456789012:certificate/{UUID}"],
    "secret": [
        "arn:aws:ssm:us-east-1:123456789012:parameter/shop/key",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a/b-c-AbC123:password::",
        "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:db-AbCdEf::AWSCURRENT:",
    ],
    "boundary": ["arn:aws:iam::123456789012:policy/team/b", "arn:aws:iam::aws:policy/PowerUserAccess"],
    "role": ["arn:aws:iam::123456789012:role/deployer", "arn:aws-cn:iam::123456789012:role/path/to/r"],
    "oidc_provider": ["arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"],
    "connection": [f"arn:aws:codestar-connections:eu-west-1:123456789012:connection/{UUID}"],
    "cidr": [
        "10.0.0.0/16",
        "172.31.0.0/20",
        "192.168.7.0/24",
        "100.64.0.0/16",
        "8.8.0.0/16",
        "10.255.255.0/24",
        "126.0.0.0/16",
        "128.0.0.0/16",
        "169.253.0.0/16",
        "169.255.0.0/16",
        "223.255.0.0/16",
        "1.0.0.0/16",
    ],
    "allowed_cidr": ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.1/32", "::/0", "2001:db8::/32", "2001:db8::1/128"],
    "alias": ["shop.example.com", "*.example.com"],
    "web_acl": [f"arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/shop_1/{UUID}"],
    "cloudfront_web_acl": [f"arn:aws:wafv2:us-east-1:123456789012:global/webacl/shop/{UUID}"],
    "cloudfront_certificate": [f"arn:aws:acm:us-east-1:123456789012:certificate/{UUID}"],
    "trust_store": ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:truststore/clients/0a1b2c3d4e5f6071"],
    "user_pool": ["arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbCdEfGhI"],
    "client_secret": [
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/oidc-AbCdEf",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/oidc-AbCdEf:secret::",
    ],
    "https_url": ["https://id.example.com", "https://id.example.com:8443/a/b?c=d"],
    "host_name": [
        "1a.example",
        "shop.example.com",
        "a.b.example.co",
        "xn--bcher-kva.example",
        "1.example.museum",
        f"{'a' * 63}.example.com",
        ".".join(["a" * 61] * 4) + ".museu",
    ],
    "hosted_zone": ["Z1", "Z0123456789ABCDEFGHIJ", "Z" + "A" * 31],
    "email": ["ops@example.com", "a.b+c@sub.Example.org", "a" * 64 + "@example.com"],
    "pull_from": [
        "arn:aws:ecr:eu-west-1:123456789012:repository/team/app",
        "arn:aws-cn:ecr:cn-north-1:123456789012:repository/team/*",
    ],
    "path": ["/", "/health", "/a/b?c=d", "/%20", "/" + "a" * 1023],
    "bucket": ["my.templates-1", "abc", "b" * 63],
    "image": [
        "nginx",
        "nginx:1.27",
        "library/nginx",
        "localhost:5000/a/b:v1",
        "ghcr.io/Owner/app".lower(),
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/web@sha256:" + "0" * 64,
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a/web:v1@sha256:" + "f" * 64,
        "a__b/c.d-e--f",
        "web:" + "t" * 128,
    ],
    "stack_name": ["web", "A", "shop-prod-2", "w" * 64],
    "tag_key": ["team", "cost center", "env:stage", "Äpfel", "k" * 128],
    "tag_value": ["a", "x@y.example", "v" * 256],
    "repository": ["shop/web", "My.Org/web_1", "group/sub/project", "owner@1/name@2"],
    "branch": ["main", "release/1.x", "feature/a_b"],
    "folder": [".", "webapp", "services/web"],
    "region": ["eu-west-1", "us-gov-west-1", "cn-northwest-1", "eusc-de-east-1", "eu-west-9", "sa-west-1"],
}

#: A wrong text of each kind, and what of its cure has to be told.
WRONG: list[tuple[str, str, str]] = [
    ("host_name", "shop.example.c0m", "no domain ends in c0m"),
    ("account", "12345", "it has 5"),
    ("account", "1234-5678-9012", "123456789012"),
    ("account", "12345678901x", "twelve digits"),
    ("certificate", "arn:aws:iam::123456789012:server-certificate/x", "it is of iam"),
    ("certificate", f"arn:aw:acm:eu-west-1:123456789012:certificate/{UUID}", "aw is unknown; did you mean aws?"),
    ("certificate", f"arn:x:acm:eu-west-1:123456789012:certificate/{UUID}", "x is unknown; the ARN of an ACM"),
    ("certificate", f"arn:aws:acm:eu-wst-1:123456789012:certificate/{UUID}", "did you mean eu-west-1?"),
    ("certificate", f"arn:aws:acm::123456789012:certificate/{UUID}", "its region is empty"),
    ("certificate", f"arn:aws-cn:acm:eu-west-1:123456789012:certificate/{UUID}", "is in the partition aws"),
    ("certificate", f"arn:aws:acm:eu-west-1:1234:certificate/{UUID}", "its account is 1234"),
    ("certificate", "arn:aws:acm:eu-west-1:123456789012:certificate/", "its last part is certificate/"),
    ("certificate", "shop.example.com", "the ARN of an ACM certificate is wanted"),
    ("secret", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db", "does not end in a hyphen and the six"),
    ("secret", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf:password", ":json-key:version-stage:"),
    ("secret", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf::a:b", "exclude each other"),
    ("secret", "arn:aws:ssm:eu-west-1:123456789012:secret:db-AbCdEf", "its last part is"),
    ("secret", "arn:aws:s3:::bucket/key", "it is of s3"),
    ("boundary", "arn:aws:iam:eu-west-1:123456789012:policy/b", "has no region"),
    ("boundary", "arn:aws:iam::123456789012:role/b", "an IAM policy"),
    ("role", "arn:aws:iam::123456789012:user/me", "the ARN of an IAM role is wanted"),
    ("oidc_provider", "arn:aws:iam::123456789012:oidc-provider/example.com", "token.actions.githubusercontent.com"),
    ("connection", f"arn:aws:codebuild:eu-west-1:123456789012:connection/{UUID}", "it is of codebuild"),
    (
        "pull_from",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1",
        "is wanted: arn:aws:ecr:eu-west-1:123456789012:repository/team/app",
    ),
    ("pull_from", "team/app", "the ARN of an ECR repository is wanted"),
    ("pull_from", "arn:aws:ecr:eu-west-1:123456789012:repository/*", "its last part is repository/*"),
    ("pull_from", "arn:aws:ecr-public::123456789012:repository/app", "it is of ecr-public"),
    ("cidr", "10.0.0.1/16", "write 10.0.0.0/16"),
    ("cidr", "10.0.0.0", "its length is missing"),
    ("cidr", "10.0.0.0/33", "its length is /33"),
    ("cidr", "10.0.0.0/25", "its length is /25: its eight subnets would be /28, where a load balancer needs /27 at"),
    ("cidr", "10.0.0.0/15", "its length is /15: its eight subnets would be /18, where"),
    ("cidr", "10.0.0.0/29", "its eight subnets would be /32, where"),
    ("cidr", "10.0.0.0/30", "its length is /30; allowed is /16 to /24"),
    ("cidr", "10.0.0.256/24", "256 in 10.0.0.256 is not 0 to 255"),
    ("cidr", "10.0.1.0/20", "write 10.0.0.0/20"),
    ("cidr", "10.0.255.0/18", "write 10.0.192.0/18"),
    ("cidr", "255.0.0.0/16", "not for hosts"),
    ("cidr", "10.0.300.0/16", "300"),
    ("cidr", "010.0.0.0/16", "without zeros before it"),
    ("cidr", "10.0/16", "four numbers"),
    ("cidr", "fd00::/16", "IPv4"),
    ("cidr", "127.0.0.0/16", "not for hosts"),
    ("cidr", "0.0.0.0/16", "not for hosts"),
    ("cidr", "169.254.0.0/16", "not for hosts"),
    ("cidr", "224.0.0.0/16", "not for hosts"),
    ("allowed_cidr", "192.0.2.1", "one address is written 192.0.2.1/32"),
    ("allowed_cidr", "2001:db8::1", "one address is written 2001:db8::1/128"),
    ("allowed_cidr", "192.0.2.1/24", "host bits set, which a range has not; write 192.0.2.0/24"),
    ("allowed_cidr", "2001:0db8::/32", "write it as 2001:db8::/32"),
    ("allowed_cidr", "192.0.2.0/33", "/0 to /32"),
    ("allowed_cidr", "192.0.2.0/-1", "/0 to /32"),
    ("allowed_cidr", "2001:db8::/129", "/0 to /128"),
    ("allowed_cidr", "office", "office is no IPv4 or IPv6 address"),
    ("allowed_cidr", "/24", "it is no IPv4 or IPv6 address"),
    ("alias", "*.*.example.com", "no wildcard"),
    ("alias", "*.com", "two parts"),
    ("web_acl", f"arn:aws:wafv2:us-east-1:123456789012:global/webacl/shop/{UUID}", "load_balancer.cloudfront takes it"),
    ("web_acl", f"arn:aws:waf-regional:eu-west-1:123456789012:webacl/{UUID}", "it is of waf-regional"),
    ("cloudfront_web_acl", f"arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/shop/{UUID}", "CLOUDFRONT"),
    ("cloudfront_web_acl", f"arn:aws:wafv2:eu-west-1:123456789012:global/webacl/shop/{UUID}", "is in eu-west-1"),
    ("cloudfront_certificate", f"arn:aws:acm:eu-west-1:123456789012:certificate/{UUID}", "those of us-east-1 only"),
    ("cloudfront_certificate", f"arn:aws:iam::123456789012:certificate/{UUID}", "it is of iam"),
    ("trust_store", "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/a/0a", "its last part is"),
    ("user_pool", "eu-west-1_AbCdEfGhI", "the ARN of a user pool of Amazon Cognito is wanted"),
    ("client_secret", "hunter2", "is wanted"),
    ("client_secret", "arn:aws:ssm:eu-west-1:123456789012:parameter/secret", "keep it in Secrets Manager"),
    ("client_secret", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/oidc", "six characters"),
    ("https_url", "http://id.example.com/token", "begins with https://"),
    ("https_url", "https://id.example.com/to ken", "no spaces"),
    ("https_url", "https://me@id.example.com/token", "without user and fragment"),
    ("https_url", "https://id.example.com/token#x", "without user and fragment"),
    ("https_url", "https:///token", "its host is empty"),
    ("https_url", "https://id/token", "two parts"),
    ("host_name", "https://shop.example.com/", "without https://"),
    ("host_name", "Shop.example.com", "write it in lower case: shop.example.com"),
    ("host_name", "shop.example.com.", "without the dot"),
    ("host_name", "*.example.com", "no wildcard"),
    ("host_name", "bücher.example", "xn--"),
    ("host_name", "localhost", "two parts"),
    ("host_name", "a..example.com", "an empty one"),
    ("host_name", f"{'a' * 64}.example.com", "has 64"),
    ("host_name", "-a.example.com", "the part -a"),
    ("host_name", "a_b.example.com", "the part a_b"),
    ("host_name", "10.0.0.1", "no domain ends in 1"),
    ("host_name", ".".join(["a" * 60] * 5), "allowed are 253"),
    ("hosted_zone", "/hostedzone/Z123", "write the id alone: Z123"),
    ("hosted_zone", "Z" + "A" * 32, "up to 31"),
    ("hosted_zone", "example.com", "as in Z0123456789ABCDEFGHIJ"),
    ("email", "ops", "one @"),
    ("email", "ops@", "one @"),
    ("email", "a@b@example.com", "one @"),
    ("email", "a b@example.com", "no spaces"),
    ("email", ".a@example.com", "dots inside only"),
    ("email", "ops@localhost", "the domain localhost"),
    ("email", "a" * 65 + "@example.com", "65"),
    ("path", "health", "a path begins with a slash: /health"),
    ("path", "", "a path begins with a slash, as in /health"),
    ("path", "http://x/health", "without scheme"),
    ("path", "/a b", "%20"),
    ("path", "/" + "a" * 1024, "1025"),
    ("bucket", "s3://my-bucket/x", "my-bucket"),
    ("bucket", "ab", "has 2"),
    ("bucket", "b" * 64, "has 64"),
    ("bucket", "", "this has 0"),
    ("bucket", "My-bucket", "a to z"),
    ("bucket", "a..b", "two dots"),
    ("bucket", "10.0.0.1", "IP address"),
    ("bucket", "xn--abc", "begin with xn--"),
    ("bucket", "abc-s3alias", "end in -s3alias"),
    ("image", "https://ghcr.io/x", "no https://"),
    ("image", "bad image!", "a space"),
    ("image", "ghcr.io/Owner/app", "lower case: owner/app"),
    ("image", "web:", "the tag is empty"),
    ("image", "web:-a", "the tag -a"),
    ("image", "web:" + "t" * 129, "holds 1 to 128 letters"),
    ("image", "re gistry.example.com/web", "a space"),
    ("image", "-registry.example.com/web", "the registry -registry.example.com is no host name"),
    ("image", "web@sha256:abc", "a digest"),
    ("image", "12.dkr.ecr.us-east-1.amazonaws.com/web:v1", "twelve digits"),
    ("image", "123456789012.dkr.ecr.us-est-1.amazonaws.com/web:v1", "did you mean us-east-1 or us-west-1?"),
    ("image", "a//b", "the repository a//b"),
    ("stack_name", "aws-shop", "may not begin with aws"),
    ("stack_name", "Fargate1", "may not begin with fargate"),
    ("stack_name", "1web", "begins with a letter"),
    ("stack_name", "web_1", "letters, digits and hyphens"),
    ("stack_name", "w" * 65, "it has 65"),
    ("stack_name", "", "it has 0"),
    ("tag_key", "AWS:x", "AWS's own"),
    ("tag_key", "a,b", "','"),
    ("tag_key", "k" * 129, "129"),
    ("tag_key", "", "has 0"),
    ("tag_value", "a;b", "';'"),
    ("tag_value", "v" * 257, "257"),
    ("tag_value", "", "has 0"),
    ("repository", "https://github.com/shop/web.git", "shop/web"),
    ("repository", "git@github.com:shop/web.git", "shop/web"),
    ("repository", "web", "owner and name"),
    ("branch", "refs/heads/main", "write the branch alone: main"),
    ("branch", "a..b", "no two dots"),
    ("branch", "/main", "no part between slashes is empty"),
    ("branch", "a b", "as in main"),
    ("folder", "/webapp", "inside the repository"),
    ("folder", "../webapp", "inside the repository"),
    ("region", "eu-wst-1", "did you mean eu-west-1?"),
    ("region", "EU-WEST-1", "did you mean eu-west-1?"),
    ("region", "eu-west-1a", "write its region, eu-west-1"),
    ("region", "mars-north-1", "as in eu-west-1"),
    ("own_region", "mars-north-1", "leave it empty and give --region"),
    ("region", "Frankfurt", "as in eu-west-1"),
]


def check(kind: str) -> Callable[[str], str]:
    found: Callable[[str], str] = getattr(grammars, f"problem_of_{kind}")
    return found


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in RIGHT.items() for text in texts])
def test_a_right_text_passes_its_check(kind: str, text: str) -> None:
    assert check(kind)(text) == ""


@pytest.mark.parametrize(("kind", "text", "said"), WRONG)
def test_a_wrong_text_is_told_with_its_cure(kind: str, text: str, said: str) -> None:
    assert said in check(kind)(text)


@pytest.mark.parametrize(
    ("cidr", "said"),
    [
        *(
            (f"{begins}.0.0/16", "")
            for begins in ("10.0", "10.255", "172.16", "172.31", "192.168", "100.64", "100.127")
        ),
        ("172.17.0.0/16", "Docker"),
        *(
            (f"{begins}.0.0/16", "is not private")
            for begins in ("9.0", "11.0", "172.15", "172.32", "171.17", "192.167", "192.169", "191.168", "100.63")
        ),
        ("100.128.0.0/16", "is not private"),
    ],
)
def test_a_range_that_is_another_s_or_docker_s_is_remarked_on(cidr: str, said: str) -> None:
    """RFC 1918 and RFC 6598."""
    assert grammars.problem_of_cidr(cidr) == ""
    remark = grammars.remark_on_cidr(cidr)
    assert said in remark
    assert bool(said) == bool(remark)


@given(st.text(max_size=40), st.sampled_from([*RIGHT]))
def test_no_check_falls_over_any_text(text: str, kind: str) -> None:
    assert isinstance(check(kind)(text), str)
    assert isinstance(check(kind)(f"arn:aws:acm:{text}"), str)


@pytest.mark.parametrize("kind", ["vpc", "subnet"])
def test_ids_of_ec2_have_8_or_17_hexadecimal_digits(kind: str) -> None:
    problem_of = grammars.problem_of_resource_id(kind)
    assert problem_of(f"{kind}-0a1b2c3d") == problem_of(f"{kind}-0123456789abcdef0") == ""
    for wrong in (f"{kind}-", f"{kind}-0a1b2c3", f"{kind}-0A1B2C3D", "igw-0a1b2c3d", f"{kind}-0123456789abcdefg"):
        assert f"as in {kind}-0123456789abcdef0" in problem_of(wrong)


def test_every_known_region_is_of_one_partition_and_passes() -> None:
    for partition, (_, regions) in grammars.PARTITIONS.items():
        for region in regions:
            assert partition_of(region) == partition
            assert problem_of_region(region) == ""


# --- one entry, its own key and line


def problems_of(folder: Path, text: str) -> list[str]:
    path = folder / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(path)
    return [problem.removeprefix(f"{path}:") for problem in refused.value.problems]


def test_each_wrong_entry_of_a_table_or_list_is_told_by_its_own_key_and_line(tmp_path: Path) -> None:
    day = 'min_tasks = 2\nmax_tasks = 4\nat = "rate(1 day)"\n'
    problems = problems_of(
        tmp_path,
        '[services.web.environment]\nA = "x"\nPORT = 8080\nDEBUG = true\n'
        '[capacity.nodes]\ninstance_types = [\n  "t3.small",\n  "small",\n]\n'
        f'[[services.web.scaling.schedules]]\nname = "a"\n{day}'
        f'[[services.web.scaling.schedules]]\nname = "b b"\n{day}timezone = "Europe/Nowhere"\n'
        '[tags]\n"a.b" = "x,"\n',
    )
    assert [problem.partition("; ")[0] for problem in problems] == [
        "3: services.web.environment.PORT: got 8080",
        "4: services.web.environment.DEBUG: got true",
        "16: services.web.scaling.schedules[1].name: got 'b b'",
        "20: services.web.scaling.schedules[1].timezone: got 'Europe/Nowhere'",
        "8: capacity.nodes.instance_types[1]: got 'small'",
        "22: tags.a.b: got 'x,'",
    ]
    assert 'write it in quotes: "8080"' in problems[0]
    assert 'write it in quotes: "true"' in problems[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[services.web.scaling]\nmax_tasks = 4\n\n[services.web.scaling]\n",
            "4: services.web.scaling: is there twice, first in line 1; delete one",
        ),
        ("a = 1\na = 2\n", "2: a: is there twice, first in line 1; delete one of them"),
        (
            "[services.web.scaling]\nmax_tasks = 4\nmax_tasks = 5\n",
            "3: services.web.scaling.max_tasks: is there twice, first in line 2",
        ),
        ("tags = {a = '1', a = '2'}", "1: tags.a: is there twice, first in line 1"),
        ("tags = {a = '1'}\n[tags]\nb = '2'\n", "2: tags: is there twice, first in line 1"),
        ("bucket = 3\nbucket.x = 5", "2: bucket.x: line 1 gives bucket already"),
        ("stack_name = web\n", "1: Invalid value: texts stand in quotes"),
    ],
)
def test_what_toml_does_not_allow_twice_is_told_with_the_line_to_delete(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert problem.startswith(said)


def test_a_byte_order_mark_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b'\xef\xbb\xbfstack_name = "shop"\r\n')
    assert load(path).stack_name == "shop"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes('stack_name = "shop"\n'.encode(encoding))
    with pytest.raises(UsageError, match=r"is UTF-16, .*; save it as UTF-8"):
        load(path)


@given(st.text(alphabet="ab[]{}\"'=.,#\n\\ ", max_size=60))
def test_lines_of_any_text_are_found_without_an_end(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in key_lines(text).values())

"""Clients, how often they ask, what errors of AWS mean. The only module that touches botocore, and only when called.

botocore and not boto3, whose credential chain and configuration it is: boto3 loads transfers, too, that nobody here
makes.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from scaleout_cfn.errors import AccessError, ApiError, Failure, Next, RefusedError, UsageError

#: Tries of a call that reads, beyond those that botocore makes itself.
READ_TRIES = 6
#: The domains of the partitions that are not under amazonaws.com, as botocore's endpoints.json has them.
SUFFIXES = {
    "aws-cn": "amazonaws.com.cn",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
    "aws-eusc": "amazonaws.eu",
}


@dataclass(frozen=True)
class Target:
    """Where to deploy to, and as whom. Empty: botocore's own chain decides.

    `keys` are an access key and its secret, for an emulator. `poll_s` is the usual time between two polls.
    """

    profile: str = ""
    region: str = ""
    role_arn: str = ""
    endpoint_url: str = ""
    keys: tuple[str, str] | None = None
    poll_s: float = 3.0


@dataclass(frozen=True)
class Identity:
    """Who deploys where. `suffix` is the partition's domain: amazonaws.com, amazonaws.com.cn ..."""

    account_id: str
    arn: str
    region: str
    partition: str
    suffix: str


#: What a page names the next one by, and how that is asked for.
_PAGES = {"NextToken": "NextToken", "nextToken": "nextToken", "NextMarker": "Marker"}


class Aws:
    """Calls to AWS with their errors told apart.

    `read` repeats what failed without an answer. `write` sends once: whether an unclear call was carried out is for
    the caller to find out by reading.
    """

    def __init__(self, target: Target, pace: Pace | None = None) -> None:
        self.target = target
        self.pace = pace or Pace(target.poll_s)
        self._session: Any = None
        self._clients: dict[tuple[str, bool], Any] = {}
        self._lock = threading.RLock()

    @property
    def region(self) -> str:
        """The region that is deployed to. Raises UsageError when nothing names one."""
        # As the AWS CLI, and every SDK but Python's: AWS_REGION before AWS_DEFAULT_REGION and the profile.
        # https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-envvars.html
        region = self.target.region or os.environ.get("AWS_REGION") or self._configured("region")
        if not region:
            raise UsageError(
                "no region: give --region, `region` in the config, AWS_REGION or AWS_DEFAULT_REGION, or a profile that"
                " has one"
            )
        return str(region)

    def identity(self) -> Identity:
        """Who the credentials are, by STS. Raises AccessError where there are none.

        The first call of a command: where nothing answers it, somebody waits for a word, so it is not repeated for
        long.
        """
        region = self.region
        try:
            caller = self.once("sts", "get_caller_identity")
        except ApiError as error:
            if error.kind not in ("throttled", "unclear"):
                raise
            caller = self.once("sts", "get_caller_identity")
        partition = str(caller["Arn"]).split(":")[1]
        suffix = SUFFIXES.get(partition, "amazonaws.com")
        return Identity(caller["Account"], caller["Arn"], region, partition, suffix)

    def endpoint(self, service: str) -> str:
        """Where a service's calls go; empty where nobody says otherwise, and AWS's own address is used."""
        if self.target.endpoint_url:
            return self.target.endpoint_url
        scoped = self._core().get_scoped_config()
        asked = any(name.startswith("AWS_ENDPOINT_URL") for name in os.environ)
        if not asked and "endpoint_url" not in scoped and "services" not in scoped:
            return ""
        return str(self.client(service).meta.endpoint_url)

    def renew(self) -> None:
        """Forget session and clients, so that the next call reads the credentials anew."""
        with self._lock:
            self._session = None
            self._clients.clear()

    def ends_within(self, seconds: float) -> bool:
        """Whether the session's credentials are known to end so soon. Unknown where nothing says when they end."""
        credentials = None if self.target.keys else self._core().get_credentials()
        needed = getattr(credentials, "refresh_needed", None)  # only credentials with an end have it
        return bool(needed and needed(refresh_in=seconds))

    def read(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """A call that changes nothing, repeated while AWS cannot answer."""
        for left in range(READ_TRIES - 1, -1, -1):
            try:
                return self.once(service, operation, **arguments)
            except ApiError as error:
                if error.kind not in ("throttled", "unclear") or not left:
                    raise
                self.pace.slower()
                self.pace.wait()
        raise AssertionError("unreachable")

    def pages(self, service: str, operation: str, /, **arguments: Any) -> Iterator[dict[str, Any]]:
        """All pages of a call: NextToken out and in, or, of load balancers, NextMarker out and Marker in."""
        while True:
            page = self.read(service, operation, **arguments)
            yield page
            given = next((key for key in _PAGES if page.get(key)), None)
            if given is None:
                return
            arguments[_PAGES[given]] = page[given]

    def once(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """One call, with botocore's own few retries. Raises ApiError or AccessError."""
        return self._call(self.client(service), service, operation, arguments)

    def write(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """A call that changes something, sent once; again only after AWS said that it was too busy to take it.

        Raises ApiError of kind `unclear` when it may have been carried out or not.
        """
        for left in range(READ_TRIES - 1, -1, -1):
            try:
                return self._call(self.client(service, once=True), service, operation, arguments)
            except ApiError as error:
                if error.kind != "throttled" or not left:
                    raise
                self.pace.slower()
                self.pace.wait()
        raise AssertionError("unreachable")

    def client(self, service: str, *, once: bool = False) -> Any:
        """The client of a service; `once` is the one whose calls are never repeated by botocore."""
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        with self._lock:
            if (service, once) not in self._clients:
                attempts = 1 if once else 4
                config = Config(
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    connect_timeout=5,
                    read_timeout=25,
                    tcp_keepalive=True,
                    user_agent_extra="scaleout-cfn",
                )
                keys = self.target.keys or (None, None)
                try:
                    self._clients[service, once] = self._core().create_client(
                        service,
                        region_name=self.region,
                        endpoint_url=self.target.endpoint_url or None,
                        aws_access_key_id=keys[0],
                        aws_secret_access_key=keys[1],
                        config=config,
                    )
                except (BotoCoreError, ValueError) as error:
                    raise setup_error(error) from None
            return self._clients[service, once]

    def _core(self) -> Any:
        import botocore.session

        with self._lock:
            if self._session is None:
                self._session = botocore.session.get_session()
                if self.target.profile:
                    self._session.set_config_variable("profile", self.target.profile)
            return self._session

    def _configured(self, name: str) -> Any:
        from botocore.exceptions import BotoCoreError

        try:
            return self._core().get_config_variable(name)
        except BotoCoreError as error:  # there is no such profile
            raise setup_error(error) from None

    def _call(self, client: Any, service: str, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            answer: dict[str, Any] = getattr(client, operation)(**arguments)
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            raise translated(error, service, operation) from None
        self.pace.faster()
        return answer


def pinned(identity: Identity, *, account_id: str, region: str) -> None:
    """Raise RefusedError unless account and region are those that the config names."""
    for what, got, wanted in (("account_id", identity.account_id, account_id), ("region", identity.region, region)):
        if wanted and got != wanted:
            raise RefusedError(
                f"{what}: the config says {wanted}, the credentials and options lead to {got}",
                state="nothing was written",
                next=Next(words="use the profile of that account, or another --env of the config"),
            )


EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "AuthorizationError",
    "Forbidden",
    "403",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
}
THROTTLED = {
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
MISSING = {
    "ChangeSetNotFound",
    "ClusterNotFoundException",
    "ChangeSetNotFoundException",
    "NoSuchBucket",
    "NoSuchEntity",
    "NoSuchKey",
    "NotFound",
    "ObjectNotFoundException",
    "404",
    "ResourceNotFoundException",
    "ServiceNotFoundException",
}
EXISTS = {"AlreadyExistsException", "BucketAlreadyOwnedByYou", "PreconditionFailed", "TokenAlreadyExistsException"}


def translated(error: Exception, service: str, operation: str) -> ApiError | AccessError:
    response = getattr(error, "response", None)  # None on some connection errors
    if not isinstance(response, dict) or "Error" not in response:
        name = type(error).__name__
        if name in _CREDENTIALS:
            kind: Failure = "expired" if name in _LOGIN else "denied"
            hint = "log in again: aws sso login" if name in _LOGIN else "set up credentials: aws configure"
            return AccessError(f"{error}; {hint}", kind=kind, next=Next("doctor"))
        refused = name in ("ParamValidationError", "NoRegionError", "UnknownServiceError")
        return ApiError(operation, "refused" if refused else "unclear", name, str(error))
    code, message = str(response["Error"].get("Code", "")), str(response["Error"].get("Message", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    kind = classify(code, message, status)
    if kind in ("expired", "denied"):
        cure = "renew the credentials" if kind == "expired" else "`policies` writes what is needed"
        return AccessError(f"{service} {operation}: {code}: {message}; {cure}", kind=kind, next=Next("doctor"))
    return ApiError(operation, kind, code, message)


def classify(code: str, message: str, status: int) -> Failure:
    if code in EXPIRED:
        return "expired"
    if code in DENIED:
        return "denied"
    if code in THROTTLED or message.startswith("Rate exceeded"):
        return "throttled"
    if code in MISSING or (code == "ValidationError" and "does not exist" in message):
        return "missing"
    if code in EXISTS:
        return "exists"
    return "unclear" if status >= 500 else "refused"


_LOGIN = {"SSOTokenLoadError", "TokenRetrievalError", "UnauthorizedSSOTokenError", "LoginRefreshRequired"}
_CREDENTIALS = _LOGIN | {
    "CredentialRetrievalError",
    "InvalidConfigError",
    "NoAuthTokenError",
    "NoCredentialsError",
    "PartialCredentialsError",
}


def setup_error(error: Exception) -> Exception:
    name = type(error).__name__
    if name in _CREDENTIALS:
        return translated(error, "", "")
    return UsageError(f"{error}; give --profile, --region or --endpoint-url as AWS knows them")


@dataclass(frozen=True)
class Patience:
    """How long to watch, and to put up with expired credentials, in seconds. None is no bound."""

    wait_s: float | None = None
    access_s: float | None = 120.0

    def end(self, pace: Pace) -> float | None:
        """The time on the pace's clock at which to stop, when watching begins now."""
        return None if self.wait_s is None else pace.clock() + self.wait_s


USUAL = Patience()


class Pace:
    """Waits between polls, longer after a throttled answer and slowly shorter again.

    `base_s` is the usual distance, `most_s` the longest. `clock`, `sleep` and `jitter` (0 to 1) are arguments, so
    that tests run on a clock of their own.
    """

    def __init__(
        self,
        base_s: float = 3.0,
        most_s: float = 30.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.base_s = base_s
        self.most_s = max(most_s, base_s)
        self.clock = clock
        self.interval_s = base_s
        self._sleep = sleep
        self._jitter = jitter

    def wait(self) -> None:
        """Sleep for the present distance, 30 percent more or less: many deployers must not poll in step."""
        self._sleep(self.interval_s * (0.7 + 0.6 * self._jitter()))

    def turns(self, end: float | None) -> Iterator[None]:
        """A turn for each look, the usual distance apart, until the clock shows `end`; without an end for None."""
        while True:
            yield
            if end is not None and self.clock() >= end:
                return
            self.wait()

    def slower(self) -> None:
        self.interval_s = min(self.most_s, self.interval_s * 2)

    def faster(self) -> None:
        self.interval_s = max(self.base_s, self.interval_s * 0.9)

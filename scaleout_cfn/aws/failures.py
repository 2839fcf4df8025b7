"""What errors of botocore's and codes of AWS's mean for a caller. Pure."""

from __future__ import annotations

from scaleout_cfn.errors import AccessError, ApiError, Failure, Next, UsageError

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
    """What botocore raised, as one of ours."""
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
    """What an error code of AWS means for a caller."""
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

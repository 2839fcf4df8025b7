"""A sample service: random letters as JSON.

`python main.py` serves it on http://127.0.0.1:8080 for development. In the container uWSGI imports `app`.
"""

from __future__ import annotations

import json
import logging
import random
import re
import string
from operator import add

from flask import Flask, Response, has_request_context, request
from werkzeug.exceptions import BadRequest, HTTPException

DEFAULT_COUNT = 52
MAX_COUNT = 10_000
COUNT = re.compile("[1-9][0-9]{0,4}")
KEYS = [f'{index}":"' for index in range(MAX_COUNT)]
LETTERS = string.ascii_letters.encode()
# Each byte stands for a letter, but for the last 48: with them some letters would be likelier than others.
LETTER_OF_BYTE = bytes(LETTERS[byte % len(LETTERS)] for byte in range(256))
UNFAIR = bytes(range(256 - 256 % len(LETTERS), 256))

app = Flask(__name__, static_folder=None)


@app.get("/")
def greeting() -> Response:
    return Response("Hello. Random letters are at /api, more or fewer of them at /api?count=5\n", mimetype="text/plain")


@app.get("/api")
def letters() -> Response:
    """`{"0": "e", "1": "D", ... "51": "r"}`: indices to random ASCII letters, as many as `?count=` says."""
    # Indices and letters need no escaping, and joined they cost a third of what a dictionary and json.dumps do.
    body = '{"' + '","'.join(map(add, KEYS, _random_letters(_count()))) + '"}'
    response = Response(body, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


@app.get("/health")
def health() -> Response:
    """For a run without the container, where nginx answers before this is asked."""
    return Response("ok\n", mimetype="text/plain")


@app.errorhandler(HTTPException)
def problem(error: HTTPException) -> Response:
    """Every error is a problem document (RFC 9457), with the headers that belong to it, such as Allow."""
    headers = dict(error.get_headers()) | {"Content-Type": "application/problem+json"}
    body = {"type": "about:blank", "title": error.name, "status": error.code, "detail": error.description}
    return Response(json.dumps(body), status=error.code, headers=headers)


def _random_letters(count: int) -> str:
    """ASCII letters, each as likely as any other: at a fifth of what random.choices costs."""
    letters = ""
    while len(letters) < count:
        letters += random.randbytes(2 * count).translate(LETTER_OF_BYTE, UNFAIR).decode()
    return letters[:count]


def _count() -> int:
    if not request.query_string:
        return DEFAULT_COUNT
    given = request.args.getlist("count")
    if not given:
        return DEFAULT_COUNT
    if len(given) > 1 or not COUNT.fullmatch(given[0]) or int(given[0]) > MAX_COUNT:
        got = ", ".join(repr(value[:20]) for value in given[:3])
        raise BadRequest(
            f"count: got {got}; give one whole number from 1 to {MAX_COUNT}, or leave it out for {DEFAULT_COUNT}."
        )
    return int(given[0])


class JsonLines(logging.Formatter):
    """One line of JSON a record, traceback and all, with the load balancer's trace id to find the request by."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        if has_request_context():
            line["trace"] = request.headers.get("X-Amzn-Trace-Id", "")
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


if __name__ == "__main__":
    app.run(port=8080)
else:
    _handler = logging.StreamHandler()
    _handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[_handler], level=logging.INFO)

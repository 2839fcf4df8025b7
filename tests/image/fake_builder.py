"""A builder for tests, put on PATH as docker, podman, buildah or finch. It writes down how it was called.

`plan.json` beside `calls.jsonl` tells it what to do: `fail` maps a verb to what it says before it ends with 1, `echo`
makes it say its input, `platform` is that of what it builds, `hang` makes a build wait to be ended. A push puts a
manifest into the registry over HTTP, where `registry` is true.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.request
from pathlib import Path

NAME, HOME, ARGUMENTS = Path(sys.argv[0]).name, Path(os.environ["FAKE_BUILDER"]), sys.argv[1:]
VERB = next((one for one in ARGUMENTS if not one.startswith("-") and one != "image"), "")


def content(path: Path) -> object:
    return json.loads(path.read_text()) if path.is_file() else {}


def main() -> int:
    plan, images = content(HOME / "plan.json"), content(HOME / "images.json")
    assert isinstance(plan, dict) and isinstance(images, dict)
    config = Path(os.environ.get("REGISTRY_AUTH_FILE", "/nonexistent"))
    given = sys.stdin.read() if VERB in ("login", "build") else ""
    call = {
        "program": NAME,
        "argv": ARGUMENTS,
        "stdin": given,
        "environment": dict(os.environ),
        "config": content(config),
        "folder": sorted(str(one.name) for one in config.parent.iterdir()) if config.exists() else [],
        "mode": oct(config.stat().st_mode & 0o777) if config.exists() else "",
    }
    with (HOME / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(call) + "\n")
    if plan.get("echo"):
        print(f"{VERB} got {given or call['config']}")
    failure = plan.get("fail", {}).get(f"{NAME} {VERB}", plan.get("fail", {}).get(VERB))
    if failure is not None:
        print(failure, file=sys.stderr)
        return 1
    if VERB == "build":
        print("step 1 of 1", flush=True)
        if plan.get("hang"):
            os.read(os.open(HOME / "gate", os.O_RDONLY), 1)
        platforms = plan.get("platform") or [ARGUMENTS[ARGUMENTS.index("--platform") + 1]]
        images[ARGUMENTS[ARGUMENTS.index("--tag") + 1]] = platforms[
            min(len(platforms) - 1, 1 if "--no-cache" in ARGUMENTS else 0)
        ]
    elif VERB == "inspect":
        if ARGUMENTS[-1] not in images:
            print("no such image", file=sys.stderr)
            return 1
        print(images[ARGUMENTS[-1]])
    elif VERB == "tag":
        images[ARGUMENTS[-1]] = images[ARGUMENTS[-2]]
    elif VERB == "login":
        entry = base64.b64encode(f"AWS:{given}".encode()).decode()
        config.write_text(json.dumps({"auths": {ARGUMENTS[-1]: {"auth": entry}}}))
    elif VERB == "push" and plan.get("registry"):
        host, _, rest = ARGUMENTS[-1].partition("/")
        name, _, tag = rest.rpartition(":")
        manifest = json.dumps({"schemaVersion": 2, "of": tag}).encode()
        request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{tag}", manifest, method="PUT")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20)
    (HOME / "images.json").write_text(json.dumps(images))
    return 0


sys.exit(main())

"""A base image for tests: a Debian as small as the public one, from the same packages."""

from __future__ import annotations

import subprocess
from pathlib import Path

#: What the sample's Dockerfile begins with.
BASE = "public.ecr.aws/docker/library/debian:trixie-slim"
SOURCES = """\
deb http://deb.debian.org/debian trixie main
deb http://deb.debian.org/debian trixie-updates main
deb http://deb.debian.org/debian-security trixie-security main
"""


def make_base(tar: Path) -> None:
    """Write its root file system. Needs root and mmdebstrap, and takes half a minute."""
    slim = [f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("doc", "man", "locale")]
    keyring = "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg"
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", keyring, *slim, "--dpkgopt=force-unsafe-io"]
    done = subprocess.run(
        [*command, "trixie", str(tar), "-"], input=SOURCES, text=True, timeout=400, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]

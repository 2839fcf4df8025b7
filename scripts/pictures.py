"""The pictures of the documents, from real runs: python scripts/pictures.py [FOLDER]

What a terminal shows is that of the program at a pseudo-terminal, written by rich as SVG: a simulation, and a set's
plan, rollout and status on the emulator that `deploy --local` starts. The plot is the program's own. FOLDER is
docs/pictures by default. What a clock or a draw of ids would change is fixed, so that the same code gives the same
bytes, with the same version of matplotlib and its fonts for the plot. It takes a minute and a half, and a POSIX system.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
COLUMNS = 100
#: Fonts from elsewhere are left out: a document asks nobody for anything.
SVG = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.S)
#: What is another at each run, as what it is shown.
FIXED = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ, [\d a-z]+ left", "2026-11-28 14:00:00Z, 1 h 59 min left"),
    (r"(\d\d:){2}\d\dZ", "12:00:00Z"),
    (r"\b(?=\d*[A-F])[0-9A-F]{12,14}\b", "1A2B3C4D5E6F"),
    (r"\b[0-9a-f]{15}-\w{8}\b", "1a2b3c4d5e6f789-0a1b2c3d"),
)
CROWD = "--traffic flash-crowd --task-rps 50"
#: The picture, the command that makes it, and how the lines begin that it shows: the first, and the one after the last.
SIMULATED = ("simulate", f"simulate quota.toml {CROWD}", "flash-crowd:", "CPU is")
#: Those on the emulator, in their order.
REHEARSED = (
    ("", "deploy --local --keep --yes --image web=nginx:1.27", "", ""),
    (
        "plan",
        "diff --local --image web=nginx:1.28 --set services.web.scaling.memory.enabled=true"
        " --set load_balancer.idle_timeout_s=90",
        "diff web",
        "✓",
    ),
    ("", "deploy --local --yes --image web=nginx:1.28 --timeout 0.3", "", ""),
    ("rollout", "rollout --local --timeout 0", "rollout web", "✗"),
    ("status", "status --local", "status web", "WebUrl"),
)


def shown(command: str, folder: Path) -> str:
    """What a command shows on a terminal, with its colours."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "GITHUB_ACTIONS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "scaleout_cfn", *shlex.split(command)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=folder,
        env={**kept, "TERM": "xterm-256color", "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": str(ROOT)},
    )
    os.close(follower)
    read = bytearray()
    while True:
        try:
            read += (part := os.read(leader, 65536))
        except OSError:  # Linux's end of a terminal
            break
        if not part:
            break
    os.close(leader)
    process.wait()
    text = read.decode().replace("\r\n", "\n")
    # What moved while something was waited for is gone again: lines that were erased, by a move up or at their place.
    text = re.sub(r"[^\n]*\n[^\n]*\x1b\[1A\x1b\[2K", "", text)
    return re.sub(r"[^\n]*\r\x1b\[2K|\x1b\[\?25[lh]", "", text)


def picture(name: str, command: str, text: str) -> str:
    """A terminal with the command and what it shows, as SVG."""
    for pattern, word in FIXED:
        text = re.sub(pattern, word, text)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(Text.assemble(("$ ", "bold"), f"scaleout-cfn {command}"))
    console.print(Text.from_ansi(text.rstrip()))
    return console.export_svg(title="scaleout-cfn", code_format=SVG, unique_id=name) + "\n"


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    pages = (ROOT / "docs" / "deployments.md").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "quota.toml").write_text('[services.web]\ncpu_is = "quota"\n', encoding="utf-8")
        (work / "scaleout.toml").write_text(re.findall(r"```toml\n(.*?)```", pages, re.S)[0], encoding="utf-8")
        try:
            for name, command, first, after in (SIMULATED, *REHEARSED):
                text = shown(command, work)
                if name:
                    lines = text.splitlines()
                    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
                    start = next(number for number, line in enumerate(plain) if line.startswith(first))
                    end = next(number for number, line in enumerate(plain) if line.startswith(after))
                    shot = picture(name, command, "\n".join(lines[start:end]))
                    (folder / f"{name}.svg").write_text(shot, encoding="utf-8")
                print(command)
        finally:
            shown("destroy --local --yes", work)
        shown(f"simulate quota.toml {CROWD} --plot {(folder / 'flash-crowd.png').resolve()}", work)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "pictures", help="where to write")
    main(parser.parse_args().folder)

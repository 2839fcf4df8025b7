#!/usr/bin/env python
"""Rewrites scaleout_cfn/data/instance_types.json from EC2 DescribeInstanceTypes. Needs boto3.

Credentials come from boto3's own chain; the one action called is ec2:DescribeInstanceTypes. A region lists
only the types that it offers, so a large one gives the fullest file. The same data gives the same bytes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "scaleout_cfn" / "data" / "instance_types.json"

Row = tuple[int, int, int, str] | tuple[int, int, int, str, int]
"""vCPUs, memory in MiB, network interfaces of the default network card, architecture, and NVIDIA GPUs if any."""


def describe(client: Any) -> dict[str, Row]:
    """Every type that can run the Amazon Linux 2023 ECS image, by name."""
    pages = client.get_paginator("describe_instance_types").paginate()
    rows = {kind["InstanceType"]: row(kind) for page in pages for kind in page["InstanceTypes"]}
    return {name: found for name, found in rows.items() if found is not None}


def row(kind: Mapping[str, Any]) -> Row | None:
    """The figures of one type; None for one that cannot be a node.

    Mac architectures are x86_64_mac and arm64_mac. Amazon Linux 2023 does not run on a1 (Graviton 1):
    https://docs.aws.amazon.com/linux/al2023/ug/system-requirements.html
    """
    architectures = {"x86_64", "arm64"} & set(kind["ProcessorInfo"]["SupportedArchitectures"])
    if not architectures or kind["InstanceType"].startswith("a1."):
        return None
    network = kind["NetworkInfo"]
    # With several network cards the maximum is their sum; what ECS attaches goes to the default card.
    enis = network["MaximumNetworkInterfaces"]
    for card in network.get("NetworkCards", ()):
        if card["NetworkCardIndex"] == network.get("DefaultNetworkCardIndex", 0):
            enis = card["MaximumNetworkInterfaces"]
    figures = kind["VCpuInfo"]["DefaultVCpus"], kind["MemoryInfo"]["SizeInMiB"], enis, min(architectures)
    # ECS gives tasks those of NVIDIA: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-gpu.html
    cards = kind.get("GpuInfo", {}).get("Gpus", ())
    gpus = sum(card["Count"] for card in cards if card["Manufacturer"] == "NVIDIA")
    return (*figures, gpus) if gpus else figures


def text(rows: Mapping[str, Row], *, as_of: str, source: str) -> str:
    """The file: JSON, one line a family with its sizes, sorted by name."""
    families: dict[str, dict[str, Row]] = {}
    for name in sorted(rows):
        family, _, size = name.partition(".")
        families.setdefault(family, {})[size] = rows[name]
    lines = ",\n".join(
        f"{json.dumps(family)}: {json.dumps(sizes, separators=(',', ':'))}" for family, sizes in families.items()
    )
    return f'{{"as_of": {json.dumps(as_of)},\n"source": {json.dumps(source)},\n"types": {{\n{lines}\n}}}}\n'


def write(file: Path, content: str) -> None:
    """Replaces the file at once, so that none ever sees a half of it."""
    beside = file.with_name(file.name + ".new")
    beside.write_text(content, encoding="utf-8", newline="\n")
    os.replace(beside, file)


def refresh(client: Any, *, region: str, as_of: str, file: Path = FILE) -> int:
    """Asks EC2, rewrites the file and tells the number of types. Raises ValueError on an empty answer."""
    rows = describe(client)
    if not rows:
        raise ValueError(f"EC2 lists no instance types in {region}; the file is left as it was")
    write(file, text(rows, as_of=as_of, source=f"EC2 DescribeInstanceTypes in {region}"))
    return len(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--region", default="us-east-1", help="the region to ask, by default %(default)s")
    region = parser.parse_args(arguments).region
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        print("boto3 is missing: pip install boto3", file=sys.stderr)
        return 2
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    try:
        number = refresh(boto3.client("ec2", region_name=region), region=region, as_of=today)
    except (BotoCoreError, ClientError, ValueError) as error:
        print(f"EC2 DescribeInstanceTypes in {region}: {error}", file=sys.stderr)
        return 2
    print(f"{FILE}: {number} types as of {today}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

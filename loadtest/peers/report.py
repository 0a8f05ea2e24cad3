"""What goes with every figure: the machine, the commit, the command; and how a file of results is written."""

import argparse
import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from statistics import median


def parser(about: str) -> argparse.ArgumentParser:
    """With the options that every benchmark has."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--models", type=Path, required=True, help="folder of the peers' weights")
    made.add_argument("--out", type=Path, default=Path("bench-results"), help="folder for the JSON")
    made.add_argument("--commit", default="unknown", help="the commit that is measured, for the record")
    return made


def options(made: argparse.ArgumentParser) -> argparse.Namespace:
    chosen = made.parse_args()
    # programs are started from the root of the repository
    chosen.models = chosen.models.resolve()
    return chosen


def machine() -> dict:
    facts = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines())
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = facts.get("flags", "").split()
    return {
        "processor": facts.get("model name", "unknown"),
        "cores": len(os.sched_getaffinity(0)),
        "vnni": "avx512_vnni" in flags or "avx_vnni" in flags,
        "system": f"{platform.system().lower()} {platform.machine()}",
        "load_before": os.getloadavg()[0],
    }


def command() -> str:
    # where things lie on this machine is nobody's business
    return shlex.join(Path(word).name if word.startswith("/") else word for word in sys.argv)


def spread(values: list[float]) -> dict[str, float] | None:
    return {"median": median(values), "least": min(values), "most": max(values)} if values else None


def shown(found: dict[str, float] | None, digits: int = 1) -> str:
    if found is None:
        return ""
    middle, least, most = (f"{found[name]:.{digits}f}" for name in ("median", "least", "most"))
    return middle if least == most else f"{middle} ({least} to {most})"


def table(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in lines)


def write(folder: Path, name: str, content: dict) -> Path:
    at = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{at}.json"
    file.write_text(json.dumps({"at": at, "command": command(), **content}, indent=2) + "\n")
    return file

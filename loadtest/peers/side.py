"""What the peers' programs share: their options, one thread, what was used, and the file they answer with."""

import argparse
import json
import os
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

# before anything that makes threads is loaded
os.environ.update(
    OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", MOONSHINE_ORT_SINGLE_THREAD="1"
)

import soundfile  # noqa: E402


class Cost:
    """Processor time of this whole process, user and system, all threads, by what it went into."""

    def __init__(self):
        self.parts = defaultdict(float)

    @contextmanager
    def of(self, part: str):
        before = time.process_time()
        yield
        self.parts[part] += time.process_time() - before


def parser(about: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=about)
    made.add_argument("--streams", type=Path, required=True, help="folder of mono WAVs, 16 kHz")
    made.add_argument("--calls", type=int, required=True, help="how many of them, in the order of their names")
    made.add_argument("--partials", required=True, type=interval, help="seconds from one partial to the next, or off")
    made.add_argument("--models", type=Path, required=True, help="folder of the weights")
    made.add_argument("--json", type=Path, required=True, help="file for the answer")
    return made


def interval(text: str) -> float | None:
    return None if text == "off" else float(text)


def sounds(chosen: argparse.Namespace) -> dict[str, "soundfile.np.ndarray"]:
    files = sorted(chosen.streams.glob("*.wav"))[: chosen.calls]
    return {file.name: soundfile.read(file, dtype="float32")[0] for file in files}


def answer(chosen: argparse.Namespace, cost: Cost, texts: dict[str, str], **more) -> None:
    content = {"cpu_seconds": sum(cost.parts.values()), "parts": dict(cost.parts), "texts": texts, **more}
    chosen.json.write_text(json.dumps(content, indent=1) + "\n")

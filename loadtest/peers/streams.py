"""The audio that every side hears: one mono WAV a channel, 16 kHz, and `streams.json` with what was said in each.

From a corpus (a folder with `manifest.tsv`: `path`, `transcript`): every channel below `harper_valley/` as it is, and
four rows of clips below `librispeech_test_other/` with pauses of 0.7 to 1.3 s between. Without one: both sides of
`tests/audio/sample_call.flac`. Further streams are the same ones, turned by an offset, so that no two are at the same
word at the same time; only the ones that are not turned have a reference.
"""

import csv
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE = 16_000
SAMPLE_CALL = Path(__file__).parents[2] / "tests/audio/sample_call.flac"
ROWS, CLIPS_A_ROW, NOISE = 4, 9, 1e-4
# how far each further round of the same streams is turned
TURN = 2.5


@dataclass
class Stream:
    file: str
    source: str
    seconds: float
    # samples it was turned by
    turned: int
    # what was said, unless it was turned or cut short
    reference: str | None


def read(path: Path) -> np.ndarray:
    """The first channel of a recording at 16 kHz."""
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    sound = sound[:, 0]
    return sound if rate == RATE else soxr.resample(sound, rate, RATE)


def plain(transcript: str) -> str:
    """Without marks of noise, which nobody says."""
    return re.sub(r"\[[^]]*\]|<[^>]*>", "", transcript)


def telephone(sound: np.ndarray) -> np.ndarray:
    """At 8 kHz, each sample in 8 bits by the mu-law, and back at 16 kHz."""
    narrow = np.clip(soxr.resample(sound, RATE, RATE // 2), -1, 1)
    coded = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
    decoded = np.sign(coded) * np.expm1(np.abs(coded) * np.log(256)) / 255
    return soxr.resample(decoded, RATE // 2, RATE).astype(np.float32)


def manifest(corpus: Path) -> list[dict[str, str]]:
    """The recordings of a corpus: `path`, `transcript` and more of each."""
    with open(corpus / "manifest.tsv", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def from_corpus(corpus: Path) -> list[tuple[str, np.ndarray, str]]:
    recordings = manifest(corpus)
    calls = [row for row in recordings if row["path"].startswith("harper_valley/")]
    found = [("call", read(corpus / row["path"]), plain(row["transcript"])) for row in calls]
    clips = [row for row in recordings if row["path"].startswith("librispeech_test_other/") and row["transcript"]]
    random = np.random.RandomState(1)
    for row in range(ROWS):
        parts, said = [], []
        for clip in clips[row::ROWS][:CLIPS_A_ROW]:
            pause = random.randn(int(RATE * (0.7 + 0.6 * random.rand()))) * NOISE
            parts += [read(corpus / clip["path"]), pause.astype(np.float32)]
            said.append(clip["transcript"])
        found.append(("read", np.concatenate(parts), " ".join(said)))
    return found


def from_sample_call() -> list[tuple[str, np.ndarray, str]]:
    sound, rate = soundfile.read(SAMPLE_CALL, dtype="float32", always_2d=True)
    assert rate == RATE, f"{SAMPLE_CALL} is not at {RATE} Hz"
    turns = json.loads(SAMPLE_CALL.with_suffix(".json").read_text())
    sides = ("left", "right")
    said = (" ".join(turn["text"] for turn in turns if turn["channel"] == side) for side in sides)
    return [("sample call", sound[:, side], text) for side, text in enumerate(said)]


def write(folder: Path, corpus: Path | None, count: int, seconds: float | None) -> list[Stream]:
    """Writes `count` streams, each cut to `seconds` when given. The first ones are those that are not turned."""
    originals = from_corpus(corpus) if corpus else from_sample_call()
    streams = []
    for index in range(count):
        source, sound, said = originals[index % len(originals)]
        turned = round(index // len(originals) * TURN * RATE) % len(sound)
        sound = np.roll(sound, turned)
        whole = seconds is None or len(sound) <= seconds * RATE
        if not whole:
            sound = sound[: round(seconds * RATE)]
        file = f"{index:03}.wav"
        soundfile.write(folder / file, sound, RATE, subtype="PCM_16")
        reference = said if whole and not turned and index < len(originals) else None
        streams.append(Stream(file, source, len(sound) / RATE, turned, reference))
    (folder / "streams.json").write_text(json.dumps([asdict(stream) for stream in streams], indent=1) + "\n")
    return streams


def distinct(corpus: Path | None) -> int:
    """How many streams there are before they repeat themselves, turned."""
    if not corpus:
        return 2
    with open(corpus / "manifest.tsv") as file:
        return sum(line.startswith("harper_valley/") for line in file) + ROWS

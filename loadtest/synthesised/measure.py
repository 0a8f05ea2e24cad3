"""Has made-up sayings spoken by a synthetic voice, recognised and redacted by Sotto, and counts what is left of them.

    pip install --no-deps --require-hashes -r requirements.txt
    sotto-redaction-bench --count 80 --seed 5 --print | python measure.py --sotto target/release/sotto --seed 5

Each saying becomes a recording with two sides: the question on the left, the answer on the right. `sotto transcribe`
hears it twice, with redaction and without; the second says what there was to hide. What counts as left is decided here,
without the redactor's own reading of numbers: three digits in a row that nobody hid, any word of a name or an address.
SOTTO_MODELS must name the models (`models/fetch` prints them). The voice is the same on both sides, its pace changes
from saying to saying. Sound and texts stay in the folder of the recordings.
"""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import soundfile
from hibari import SAMPLE_RATE, Hibari

RATE = 16_000
PEAK = 0.5
# rms of a quiet line: silence on a call is never all zeros
NOISE = 1e-4
ANSWER_AFTER, PAUSE, TAIL = 0.7, 0.8, 1.0
PACES = (0.9, 1.0, 1.1)
# files of one call of sotto
BATCH = 40

KINDS = ("card", "national_id", "account", "phone", "date_of_birth", "email", "name")
NUMBERS = ("card", "national_id", "account", "phone")
# digits in a row that are a leak
LEAK = 3

UNITS = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth"
).split()
MONTHS = "january february march april may june july august september october november december".split()
# words of a spoken address that say nothing of whose it is
JOINTS = {"at", "dot", "underscore", "co"}
# words that say nothing of anybody, even where a name was misheard as one
LITTLE = set("a an and at i i'm in is it it's my of on or so the this to we you your".split())
# other words between two digits of one run
BETWEEN = 2
# how alike a word is to one of the sentence around the secret to be taken for it
ALIKE = 0.7


# speech


def aloud(saying: dict, text: str) -> str:
    """A text as it is spoken: numbers of people digit by digit, as callers read them, and the dots of addresses."""
    kind = saying["kind"]
    if kind == "email":
        return re.sub(r"(?<=\w)\.(?=\w)", " dot ", text.replace("@", " at "))
    if kind in NUMBERS or kind is None:
        # money, years and counts are left to the voice
        least = 1 if kind else 5
        pattern = rf"(?<!\d)\d{{{least},}}(?!\d)"
        return re.sub(pattern, lambda found: " ".join(UNITS[int(digit)] for digit in found[0]), text)
    return text


def speak(voice: Hibari, text: str, seed: int) -> np.ndarray:
    sound = np.asarray(voice(text, seed=seed, speed=PACES[seed % len(PACES)]), np.float32)
    length = round(len(sound) * RATE / SAMPLE_RATE)
    sound = np.fft.irfft(np.fft.rfft(sound)[: length // 2 + 1], length) * (length / len(sound))
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1]
    return sound * (PEAK / np.abs(sound).max())


def record(voice: Hibari, saying: dict, seed: int) -> np.ndarray:
    """Both sides, at 16 kHz."""
    parts, at = [], 0
    if saying["question"]:
        parts.append((0, at, speak(voice, saying["question"], seed)))
        at = len(parts[0][2])
    at += round(ANSWER_AFTER * RATE)
    for text in saying["utterances"]:
        parts.append((1, at, speak(voice, aloud(saying, text), seed)))
        at += len(parts[-1][2]) + round(PAUSE * RATE)
    length = parts[-1][1] + len(parts[-1][2]) + round(TAIL * RATE)
    call = np.random.default_rng(seed).normal(0, NOISE, (length, 2))
    for side, start, sound in parts:
        call[start : start + len(sound), side] += sound
    return call


def record_all(sayings: list[dict], seed: int, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    voice, files = Hibari(), []
    for index, saying in enumerate(sayings):
        files.append(folder / f"{index:05}.wav")
        soundfile.write(files[-1], record(voice, saying, seed * 1000 + index), RATE, subtype="PCM_16")
    return files


# recognition


def transcribe(sotto: str, files: list[Path], *options: str) -> dict[str, list[dict]]:
    """What was written down of every file, in the order of time."""
    written = {str(file): [] for file in files}
    for start in range(0, len(files), BATCH):
        batch = [str(file) for file in files[start : start + BATCH]]
        command = [sotto, "transcribe", "--json", *options, *batch]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        for line in map(json.loads, answer.stdout.splitlines()):
            # one file alone is not named
            written[line.get("file", batch[0])].append(line)
    for lines in written.values():
        lines.sort(key=lambda line: line["start"])
    return written


def text(lines: list[dict], side: int) -> str:
    return " | ".join(line["text"] for line in lines if line["type"] == "final" and line["channel"] == side)


def partials(lines: list[dict], side: int) -> list[str]:
    found = [line for line in lines if line["type"] == "partial" and line["channel"] == side]
    return [f"{line['stable']} {line['tail']}".strip() for line in found]


# numbers and words


def tokens(line: str) -> list[str]:
    """Words in lower case; markers and the bars between utterances stay."""
    return re.findall(r"\[[a-z-]+\]|\||[^\W_]+(?:'[^\W_]+)?", line.lower())


def digits_of(words: list[str], at: int) -> tuple[str, int]:
    """The digits said from word `at` on, and how many words they take."""
    word = words[at]
    after = words[at + 1] if at + 1 < len(words) else ""
    times = {"double": 2, "triple": 3, "treble": 3}.get(word)
    if times and (unit := digits_of(words, at + 1)[0] if after else "") and len(unit) == 1:
        return unit * times, 2
    if any(c.isdigit() for c in word) and not word.startswith("["):
        return "".join(c for c in word if c.isdigit()), 1
    if word in UNITS:
        return str(UNITS.index(word)), 1
    if word in ("oh", "o"):
        return "0", 1
    if word in TEENS:
        return str(TEENS.index(word) + 10), 1
    if word in ORDINALS:
        return str(ORDINALS.index(word)), 1
    tens = {**{name: index + 2 for index, name in enumerate(TENS)}, "twentieth": 2, "thirtieth": 3}.get(word)
    if tens:
        unit = next((names.index(after) for names in (UNITS, ORDINALS[:10]) if after in names[1:]), None)
        return (str(tens * 10 + unit), 2) if unit else (str(tens * 10), 1)
    return "", 1


def runs(line: str) -> list[str]:
    """Digits said in a row, with a word or two between, perhaps over utterances; a marker ends them."""
    words, found, since = tokens(line), [], BETWEEN + 1
    at = 0
    while at < len(words):
        digits, taken = digits_of(words, at)
        if digits:
            if since > BETWEEN:
                found.append("")
            found[-1] += digits
            since = 0
        elif words[at].startswith("["):
            since = BETWEEN + 1
        elif words[at] != "|":
            since += 1
        at += taken
    return found


def common(one: str, other: str) -> int:
    return SequenceMatcher(None, one, other, False).find_longest_match().size


def alike(word: str, others: list[str]) -> bool:
    return any(SequenceMatcher(None, word, other, False).ratio() >= ALIKE for other in others)


def heard_secret(saying: dict, heard: str) -> list[str]:
    """The words that were recognised where the secret was said, however they were misheard."""
    said, secret = [], []
    for utterance, words in zip(saying["utterances"], saying["secrets"]):
        spoken, hidden = tokens(aloud(saying, utterance)), tokens(aloud(saying, " ".join(words)))
        start = next((at for at in range(len(spoken)) if spoken[at : at + len(hidden)] == hidden), 0)
        said += spoken
        secret += [start <= at < start + len(hidden) for at in range(len(spoken))]
    words, found = [word for word in tokens(heard) if word != "|"], []
    for tag, from_, to, heard_from, heard_to in SequenceMatcher(None, said, words, False).get_opcodes():
        if tag == "insert":
            inside = any(secret[max(0, from_ - 1) : from_ + 1])
        else:
            inside = any(secret[from_:to])
        if inside and tag == "equal":
            found += [words[heard_from + at] for at in range(to - from_) if secret[from_ + at]]
        elif inside:
            beside = [said[at] for at in range(from_, to) if not secret[at]]
            found += [word for word in words[heard_from:heard_to] if not alike(word, beside)]
    return [word for word in found if word not in JOINTS | LITTLE]


def birth_parts(saying: dict) -> tuple[str, str]:
    """The digits of day and year, and the month's name."""
    secret = " ".join(saying["secrets"][0])
    month, rest = re.split(r"[/ ]", secret, maxsplit=1)
    name = MONTHS[int(month) - 1] if month.isdigit() else month.lower()
    return "".join(runs(rest)).lstrip("0"), name


# counting


@dataclass
class Row:
    """What came of the sayings of one kind."""

    said: int = 0
    # something of the secret was recognised, all of it was
    heard: int = 0
    heard_whole: int = 0
    # of those heard, nothing is left
    hidden: int = 0
    leaks: int = 0
    # one or two digits are left: no leak, but not nothing
    scraps: int = 0
    # sayings of numbers with a partial that shows three digits of them
    open_partials: int = 0
    markers: Counter = field(default_factory=Counter)


def number(saying: dict) -> str:
    return "".join(digits for words in saying["secrets"] for digits in runs(aloud(saying, " ".join(words))))


def open_partials(saying: dict, texts: list[str]) -> list[str]:
    if saying["kind"] not in NUMBERS:
        return []
    return [text for text in texts if any(common(number(saying), run) >= LEAK for run in runs(text))]


def judge(saying: dict, heard: str, shown: str) -> tuple[bool, bool, list[str], list[str]]:
    """Whether some of the secret was recognised, whether all of it, what is left, and which digits too few to count."""
    kind = saying["kind"]
    left = runs(shown)
    if kind in NUMBERS:
        secret, said = number(saying), "".join(runs(heard))
        some = common(secret, said) >= min(LEAK, len(secret))
        return some, said == secret, [run for run in left if len(run) >= LEAK], [run for run in left if len(run) < LEAK]
    if kind == "date_of_birth":
        secret, month = birth_parts(saying)
        said, named = "".join(runs(heard)), month in tokens(heard)
        # a day or a month is enough to be a leak here
        kept = [run for run in left if len(run) > 1] + [month] * (month in tokens(shown))
        whole = named and said.lstrip("0") == secret
        return named or common(secret, said) > 1, whole, kept, [run for run in left if len(run) < 2]
    found = heard_secret(saying, heard)
    beside = Counter(tokens(heard)) - Counter(found)
    kept = list(((Counter(tokens(shown)) - beside) & Counter(found)).elements())
    whole = [word for word in tokens(aloud(saying, " ".join(saying["secrets"][0]))) if word not in JOINTS]
    return bool(found), found == whole, kept, []


def count(
    sayings: list[dict], asked: list[str], heard: list[str], shown: list[str], thought: list[list[str]]
) -> tuple[dict[str, Row], list[dict]]:
    """Figures by kind, and the sayings of which something is left."""
    rows, wrong = {kind: Row() for kind in (*KINDS, "harmless")}, []
    for index, saying in enumerate(sayings):
        kind = saying["kind"] or "harmless"
        row = rows[kind]
        row.said += 1
        markers = re.findall(r"\[([a-z-]+)\]", shown[index])
        row.markers.update(markers)
        if saying["kind"]:
            some, whole, left, scraps = judge(saying, heard[index], shown[index])
            row.heard += some
            row.heard_whole += whole
            row.leaks += bool(left)
            row.hidden += some and not left
            row.scraps += bool(scraps)
        else:
            left, scraps = markers, []
            row.leaks += bool(markers)
        early = open_partials(saying, thought[index])
        row.open_partials += bool(early)
        if left or scraps or early:
            wrong.append({
                "index": index,
                "kind": kind,
                "left": left,
                "scraps": scraps,
                "partials": early,
                "asked": asked[index],
                "said": " | ".join(saying["utterances"]),
                "heard": heard[index],
                "shown": shown[index],
            })
    return rows, wrong


def print_table(rows: dict[str, Row]) -> None:
    names = ("said", "heard", "heard_whole", "hidden", "leaks", "scraps", "open_partials")
    print(f"{'kind':<14}" + "".join(f"{name:>15}" for name in names) + "  markers")
    for kind, row in rows.items():
        markers = ", ".join(f"{name} {times}" for name, times in row.markers.most_common())
        if kind == "harmless":
            print(f"{kind:<14}{row.said:>15}  false alarms: {row.leaks}  {markers}")
        else:
            print(f"{kind:<14}" + "".join(f"{getattr(row, name):>15}" for name in names) + f"  {markers}")


def machine() -> dict:
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": names[0] if names else "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system().lower()} {platform.machine()}",
    }


def report(options: argparse.Namespace, rows: dict[str, Row], seconds: float) -> Path:
    at = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    # where things lie on this machine is nobody's business
    command = [Path(word).name if word.startswith("/") else word for word in sys.argv]
    kinds = {kind: vars(row) for kind, row in rows.items() if kind != "harmless"}
    harmless = rows["harmless"]
    content = {
        "at": at,
        "command": shlex.join(command),
        "commit": options.commit,
        "machine": machine(),
        "seed": options.seed,
        "speech_seconds": round(seconds, 1),
        "kinds": kinds,
        "harmless": {"said": harmless.said, "false_alarms": harmless.leaks, "markers": harmless.markers},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"redaction-spoken-{at}.json"
    file.write_text(json.dumps(content, indent=2) + "\n")
    return file


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="The sayings come from standard input, one JSON object a line."
    )
    parser.add_argument("--sotto", default="target/release/sotto", help="the binary that is measured")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the sayings; also the voice's")
    parser.add_argument("--audio", type=Path, default=Path("target/synthesised"), help="folder for the recordings")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="folder for the JSON")
    parser.add_argument("--commit", default="unknown", help="the commit that is measured, for the record")
    parser.add_argument("--partials", action="store_true", help="look at partials too; takes three times as long")
    parser.add_argument("--show", action="store_true", help="print every saying of which something is left")
    return parser.parse_args()


def main() -> None:
    chosen = options()
    sayings = [json.loads(line) for line in sys.stdin]
    files = record_all(sayings, chosen.seed, chosen.audio)
    seconds = sum(soundfile.info(file).duration for file in files)
    print(f"{len(files)} recordings, {seconds / 60:.0f} minutes", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        clear = Path(folder) / "clear.toml"
        clear.write_text("[pipeline.redaction]\n" + "".join(f"{kind} = false\n" for kind in KINDS))
        plain = transcribe(chosen.sotto, files, "--config", str(clear))
    hidden = transcribe(chosen.sotto, files, *["--partials"] * chosen.partials)
    heard, shown = ([text(lines[str(file)], 1) for file in files] for lines in (plain, hidden))
    asked = [text(hidden[str(file)], 0) for file in files]
    thought = [partials(hidden[str(file)], 1) for file in files]
    rows, wrong = count(sayings, asked, heard, shown, thought)
    print_table(rows)
    for case in wrong if chosen.show else ():
        print("\n" + "\n".join(f"{name:<9}{value}" for name, value in case.items()))
    every = zip(files, sayings, asked, heard, shown)
    lines = (json.dumps({"file": f.name, **saying, "asked": a, "heard": h, "shown": s}) for f, saying, a, h, s in every)
    (chosen.audio / "heard.jsonl").write_text("".join(line + "\n" for line in lines))
    print(f"written: {report(chosen, rows, seconds)}")


if __name__ == "__main__":
    main()

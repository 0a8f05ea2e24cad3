"""Words that Sotto and its peers get wrong, streaming, on every set of a corpus, and on the same recordings as a telephone
sends them (8 kHz, mu-law).

All have the same weights but the last row, Sotto as it comes, whose finals are written by base. Every recording is a
stream of its own. sherpa-onnx decodes each utterance once, cut as in the cost benchmark.
"""

import argparse
import csv
import json
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import report
import soundfile
import streams
import words
from shipped import telephone

HERE = Path(__file__).parent
INTERFACE = "--streams {streams} --calls {calls} --partials {partials} --json {json}"
SIDES = {
    "Sotto (tiny)": "{sotto} --partials-by tiny --finals-by tiny",
    "sherpa-onnx 2.0.1": "{python} {here}/sherpa.py --models {models}",
    "moonshine-voice 0.1.5": "{python} {here}/moonshine.py --models {models}",
    "Sotto (base)": "{sotto} --partials-by tiny --finals-by base",
}
PARTIALS = {"sherpa-onnx 2.0.1": "off"}
# streams that a side plays at once; Sotto plays them in real time
AT_ONCE = 48


@dataclass
class Recording:
    file: str
    source: str
    reference: str


def write(corpus: Path, folder: Path, heard_as) -> list[Recording]:
    """Every mono recording with a transcript, as WAV files of 16 kHz."""
    with open(corpus / "manifest.tsv", newline="") as file:
        manifest = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    made = []
    for row in manifest:
        if not row["transcript"] or soundfile.info(corpus / row["path"]).channels > 1:
            continue
        name = f"{len(made):05}.wav"
        soundfile.write(folder / name, heard_as(streams.read(corpus / row["path"])), streams.RATE, subtype="PCM_16")
        made.append(Recording(name, row["path"].split("/")[0], streams.plain(row["transcript"])))
    return made


def texts(side: str, chosen: argparse.Namespace, folder: Path, made: list[Recording]) -> dict[str, str]:
    found = {}
    for first in range(0, len(made), AT_ONCE):
        with tempfile.TemporaryDirectory() as some:
            part = Path(some)
            batch = made[first : first + AT_ONCE]
            for recording in batch:
                (part / recording.file).symlink_to(folder / recording.file)
            answer = part / "answer.json"
            paths = {"python": sys.executable, "here": HERE, "streams": part, "models": chosen.models, "json": answer}
            values = {name: shlex.quote(str(path)) for name, path in paths.items()}
            template = f"{SIDES[side]} {INTERFACE}"
            command = template.format(**values, sotto=chosen.sotto, calls=len(batch), partials=PARTIALS.get(side, "0.5"))
            subprocess.run(shlex.split(command), check=True, stdout=sys.stderr, cwd=HERE.parents[1])
            found |= json.loads(answer.read_text())["texts"]
    return found


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with manifest.tsv")
    parser.add_argument("--models", type=Path, required=True, help="folder of the peers' weights")
    parser.add_argument("--sotto", default="target/release/sotto-peers-side", help="Sotto's side")
    parser.add_argument("--sides", default=",".join(SIDES), help="only these, by comma")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="folder for the JSON")
    parser.add_argument("--commit", default="unknown", help="the commit that is measured, for the record")
    chosen = parser.parse_args()
    # programs are started from the root of the repository
    chosen.models = chosen.models.resolve()
    return chosen


def main() -> None:
    chosen = options()
    machine, found, sides = report.machine(), {}, chosen.sides.split(",")
    for source, heard_as in (("as recorded", lambda sound: sound), ("telephone", telephone)):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            made = write(chosen.corpus, folder, heard_as)
            found[source] = {}
            for side in sides:
                found[source][side] = words.error_rates(made, texts(side, chosen, folder, made))
                print(f"{source}: {side} {found[source][side]['all']:.2f} %", file=sys.stderr, flush=True)
    for source, rates in found.items():
        sets = sorted(rates[sides[0]], key=lambda name: (name == "all", name))
        rows = [[name, *(f"{rates[side][name]:.2f}" for side in sides)] for name in sets]
        print(report.table([source, *sides], rows))
    content = {"commit": chosen.commit, "machine": machine, "word_error_percent": found}
    print(f"written: {report.write(chosen.out, 'peers-accuracy', content)}")


if __name__ == "__main__":
    main()

"""Words that Sotto and its peers get wrong, streaming, on every set of a corpus, and on the same recordings as a telephone
sends them (8 kHz, mu-law).

All have the same weights but the last row, Sotto as it comes, whose finals are written by base. Every recording is a
stream of its own. sherpa-onnx decodes each utterance once, cut as in the cost benchmark.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import report
import run
import soundfile
import streams
import words

SIDES = {
    "Sotto (tiny)": (run.SOTTO, "0.5"),
    "sherpa-onnx 2.0.1": (run.peer("sherpa"), "off"),
    "moonshine-voice 0.1.5": (run.peer("moonshine"), "0.5"),
    "Sotto (base)": (f"{run.SOTTO} --finals-by base", "0.5"),
}
# streams that a side plays at once; Sotto plays them in real time
AT_ONCE = 48


@dataclass
class Recording:
    file: str
    source: str
    reference: str


def write(corpus: Path, folder: Path, heard_as) -> list[Recording]:
    """Every mono recording with a transcript, as WAV files of 16 kHz."""
    made = []
    for row in streams.manifest(corpus):
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
            command, partials = SIDES[side]
            found |= run.answer(command, chosen, part, len(batch), partials)["texts"]
    return found


def options() -> argparse.Namespace:
    parser = report.parser(__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with manifest.tsv")
    parser.add_argument("--sotto", default="target/release/sotto-peers-side", help="Sotto's side")
    parser.add_argument("--sides", default=",".join(SIDES), help="only these, by comma")
    return report.options(parser)


def main() -> None:
    chosen = options()
    machine, found, sides = report.machine(), {}, chosen.sides.split(",")
    for source, heard_as in (("as recorded", lambda sound: sound), ("telephone", streams.telephone)):
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

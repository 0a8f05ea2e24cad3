"""Words that Sotto and its peers get wrong, streaming, on every set of a corpus, and on the same recordings as a telephone
sends them (8 kHz, mu-law).

All have the same weights but the last one, Sotto as it comes, whose finals are written by base; Sotto with tiny has
margins that suit it (`tiny.toml`). Every recording is a stream of its own. sherpa-onnx decodes each utterance once, cut as
in the cost benchmark. Beside the rates stands how far Sotto is from whichever peer is best on a set, and how much of that
may be chance.
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
    "Sotto (tiny)": (run.SOTTO + " --settings {here}/tiny.toml", "0.5"),
    "sherpa-onnx 2.0.1": (run.peer("sherpa"), "off"),
    "moonshine-voice 0.1.5": (run.peer("moonshine"), "0.5"),
    "Sotto (base)": (f"{run.SOTTO} --finals-by base", "0.5"),
}
PEERS = ("sherpa-onnx 2.0.1", "moonshine-voice 0.1.5")
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


def compared(found: dict[str, dict[str, words.Errors]], name: str) -> dict[str, tuple[float, float, float]]:
    """How far Sotto is from the best of the peers on a set, with each of its recognisers."""
    peers = [found[side][name] for side in PEERS if side in found]
    if not peers:
        return {}
    best = min(peers, key=words.Errors.percent)
    return {side: words.apart(found[side][name], best) for side in found if side not in PEERS}


def row(found: dict[str, dict[str, words.Errors]], name: str, apart: dict[str, tuple[float, float, float]]) -> list[str]:
    differences = [f"{more:+.1f} ({low:+.1f} to {high:+.1f})" for more, low, high in apart.values()]
    rates = [f"{found[side][name].percent():.2f}" for side in found]
    return [name, str(sum(next(iter(found.values()))[name].words)), *rates, *differences]


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
                found[source][side] = words.errors(made, texts(side, chosen, folder, made))
                print(f"{source}: {side} {found[source][side]['all'].percent():.2f} %", file=sys.stderr, flush=True)
    summary = {}
    for source, by_side in found.items():
        sets = sorted(by_side[sides[0]], key=lambda name: (name == "all", name))
        apart = {name: compared(by_side, name) for name in sets}
        head = [source, "words", *sides, *(f"{side} less the best peer" for side in apart["all"])]
        print(report.table(head, [row(by_side, name, apart[name]) for name in sets]))
        summary[source] = {
            name: {
                "percent": {side: by_side[side][name].percent() for side in sides},
                "less_the_best_peer": apart[name],
            }
            for name in sets
        }
    each = {source: {side: of["all"].wrong for side, of in by_side.items()} for source, by_side in found.items()}
    content = {"commit": chosen.commit, "machine": machine, "word_errors": summary, "wrong_words_of_each_recording": each}
    print(f"written: {report.write(chosen.out, 'peers-accuracy', content)}")


if __name__ == "__main__":
    main()

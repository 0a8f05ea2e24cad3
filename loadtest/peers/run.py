"""Sotto beside its peers: what each costs per second of speech, in turns, on the same audio with the same weights.

Every side is a program that is given a folder of streams and answers with a file (README.md says which). A round runs
each side once, one after another and never two at a time; the next round begins with another. Ratios are taken within
a round. A peer hears every different stream once, Sotto those and their turned copies: peers share nothing between
streams but voice activity, so that more streams cost them as much more; Sotto's calls share passes.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cuts
import report
import streams
import words

HERE = Path(__file__).parent
INTERFACE = "--streams {streams} --partials {partials} --calls {calls} --json {json}"
# as it comes, and with the cuts of the peers
SOTTO = "{sotto} " + INTERFACE
SOTTO_CUT = SOTTO + " --settings {here}/cuts.toml"
# a run that hangs
LIMIT = 3600


@dataclass(frozen=True)
class Side:
    name: str
    label: str
    command: str
    partials: str
    # of Sotto's sides, the one that does the same work; None is Sotto
    beside: str | None = None
    # how many times less Sotto has to cost
    promised: float | None = None


def peer(name: str, extra: str = "") -> str:
    return f"{{python}} {{here}}/{name}.py --models {{models}} {INTERFACE} {extra}"


SIDES = (
    Side("sotto", "Sotto, partials", SOTTO_CUT, "0.5"),
    Side("sotto-as-it-comes", "- finals after 0.25 s, with context", SOTTO, "0.5", "sotto"),
    Side("sotto-finals", "Sotto, finals only", SOTTO_CUT, "off"),
    Side("sotto-finals-as-it-comes", "- after 0.25 s, with context", SOTTO, "off", "sotto-finals"),
    Side("moonshine", "moonshine-voice 0.1.5, one thread, no copies of audio", peer("moonshine"), "0.5", "sotto", 10),
    Side("moonshine-copies", "- one thread, else as it comes", peer("moonshine", "--copies"), "0.5", "sotto", 10),
    Side("moonshine-as-it-comes", "- as it comes", peer("moonshine", "--as-it-comes"), "0.5", "sotto", 10),
    Side("sherpa", "sherpa-onnx 2.0.1, growing windows", peer("sherpa"), "0.5", "sotto", 3.5),
    Side("sherpa-finals", "sherpa-onnx 2.0.1, each utterance once", peer("sherpa"), "off", "sotto-finals", 2),
)
# the same run with what was decoded for finals left out where the last partial's text could stand for it
SPARED = Side("sherpa-spared", "- the last window kept as the final", "", "0.5", "sotto", 3.5)


@dataclass
class Heard:
    """What a side was given."""

    streams: int
    audio_seconds: float
    speech_seconds: float


def answer(command: str, chosen: argparse.Namespace, folder: Path, calls: int, partials: str) -> dict:
    """What a side's program answers about the streams of a folder."""
    file = folder / "answer.json"
    file.unlink(missing_ok=True)
    paths = {"python": sys.executable, "here": HERE, "streams": folder, "models": chosen.models, "json": file}
    values = {name: shlex.quote(str(path)) for name, path in paths.items()}
    program = shlex.split(command.format(**values, sotto=chosen.sotto, calls=calls, partials=partials))
    subprocess.run(program, check=True, timeout=LIMIT, stdout=sys.stderr, cwd=HERE.parents[1])
    return json.loads(file.read_text())


def run(side: Side, chosen: argparse.Namespace, folder: Path, heard: Heard) -> dict:
    before, begun = os.times(), time.monotonic()
    result = answer(side.command, chosen, folder, heard.streams, side.partials)
    after, took = os.times(), time.monotonic() - begun
    # loading and reading are in this one; what is counted can only be less
    whole = after.children_user + after.children_system - before.children_user - before.children_system
    assert 0 < result["cpu_seconds"] <= whole + 0.1, f"{side.name} counted {result['cpu_seconds']} of {whole} s"
    return result | {"process_cpu_seconds": whole, "wall_seconds": took}


def per_speech_second(seconds: float, heard: Heard) -> float:
    return seconds / heard.speech_seconds * 1000


def spared(result: dict) -> float:
    return result["cpu_seconds"] - result["parts"].get("finals_covered", 0)


def summary(sides: list[Side], rounds: list[dict[str, dict]], given: dict[str, Heard], made: list) -> list[dict]:
    costs = {
        side.name: [per_speech_second(round_[side.name]["cpu_seconds"], given[side.name]) for round_ in rounds]
        for side in sides
    }
    rows = list(sides)
    if "sherpa" in costs:
        costs[SPARED.name] = [per_speech_second(spared(round_["sherpa"]), given["sherpa"]) for round_ in rounds]
        rows.insert(rows.index(next(side for side in sides if side.name == "sherpa")) + 1, SPARED)
    found = []
    for side in rows:
        own = costs.get(side.beside)
        ratios = [cost / sotto for cost, sotto in zip(costs[side.name], own)] if own else []
        last = rounds[-1].get(side.name, {})
        found.append(
            {
                "side": side.name,
                "label": side.label,
                "cpu_ms_per_speech_second": report.spread(costs[side.name]),
                "rounds": costs[side.name],
                "times_sotto": report.spread(ratios),
                "promised": side.promised,
                "word_error_percent": words.error_rates(made, last["texts"]) if last else None,
            }
        )
    return found


def table(found: list[dict]) -> str:
    head = ["", "CPU ms per second of speech", "times Sotto's", "promised", "word error rate"]
    rows = []
    for row in found:
        rate = row["word_error_percent"] or {}
        # "all" alone when there is one source
        shown = [f"{value:.1f} %" if name == "all" else f"{name} {value:.1f}" for name, value in rate.items()]
        shown = shown[:1] if len(shown) == 2 else shown
        promised = f"{row['promised']:g}" if row["promised"] else ""
        cost, ratio = report.shown(row["cpu_ms_per_speech_second"]), report.shown(row["times_sotto"], 2)
        rows.append([row["label"], cost, ratio, promised, ", ".join(shown)])
    return report.table(head, rows)


def options() -> argparse.Namespace:
    parser = report.parser(__doc__)
    parser.add_argument("--corpus", type=Path, help="folder with manifest.tsv; otherwise the sample call")
    parser.add_argument("--sotto", default="target/release/sotto-peers-side", help="Sotto's side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, default=64, help="channels for Sotto; 64 are 32 calls with two sides")
    parser.add_argument("--finals-streams", type=int, help="channels for Sotto without partials; otherwise three times")
    parser.add_argument("--peer-streams", type=int, help="channels for the peers; otherwise every different one")
    parser.add_argument("--seconds", type=float, help="of each stream; otherwise all")
    parser.add_argument("--sides", help=f"only these, by comma: {','.join(side.name for side in SIDES)}")
    return report.options(parser)


def main() -> None:
    chosen = options()
    names = chosen.sides.split(",") if chosen.sides else [side.name for side in SIDES]
    sides = [side for side in SIDES if side.name in names]
    machine = report.machine()
    own = min(chosen.peer_streams or streams.distinct(chosen.corpus), chosen.streams)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        finals = chosen.finals_streams or 3 * chosen.streams
        made = streams.write(folder, chosen.corpus, max(chosen.streams, finals), chosen.seconds)
        voice = cuts.Voice(chosen.models / "silero_vad_16k_op15.onnx")
        sounds = [streams.read(folder / stream.file) for stream in made]
        speech = [
            cuts.speech_seconds(cuts.utterances(probability, len(sound)))
            for sound, probability in zip(sounds, voice.probabilities(sounds))
        ]
        del sounds
        given = {}
        for side in sides:
            sottos = finals if side.partials == "off" else chosen.streams
            count = sottos if side.command.startswith("{sotto}") else own
            given[side.name] = Heard(count, sum(stream.seconds for stream in made[:count]), sum(speech[:count]))
        rounds: list[dict[str, dict]] = []
        for number in range(chosen.rounds):
            start = number % len(sides)
            done = {}
            for side in sides[start:] + sides[:start]:
                heard = given[side.name]
                done[side.name] = run(side, chosen, folder, heard)
                cost = per_speech_second(done[side.name]["cpu_seconds"], heard)
                print(f"round {number + 1}: {side.name} {cost:.1f} ms", file=sys.stderr, flush=True)
            rounds.append(done)
    found = summary(sides, rounds, given, made)
    print(table(found))
    content = {
        "commit": chosen.commit,
        "machine": machine,
        "corpus": bool(chosen.corpus),
        "streams": [vars(stream) | {"speech_seconds": seconds} for stream, seconds in zip(made, speech)],
        "heard": {name: asdict(heard) for name, heard in given.items()},
        "summary": found,
        "rounds": rounds,
    }
    # texts of calls stay here: one round's words are enough to score, and none are kept
    for stream in content["streams"]:
        del stream["reference"]
    for round_ in rounds:
        for result in round_.values():
            result.pop("texts", None)
    print(f"written: {report.write(chosen.out, 'peers', content)}")


if __name__ == "__main__":
    main()

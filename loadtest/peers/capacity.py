"""How much Sotto and each peer keep up with on this machine, in real time, all cores: doubled until it fails, then
bisected.

Sotto: two-sided calls through its own door, 8 kHz mu-law, sealed and stored, searched by `sotto-load capacity` with the
objective that it has by default; redaction is off, since it may hold a final back until it knows what follows. Once with
tiny for both passes and cuts as the peers have them, once so without partials, and once as it comes.

sherpa-onnx: two-sided calls behind its own offline WebSocket server, finals only, best of its settings. Each side has a
connection; an utterance is sent when the silence that ends it has lasted, the cuts being those of the cost benchmark.
Voice activity runs beside it in real time, since somebody has to make the cuts. It keeps up when 95 of 100 finals are
there 500 ms after that moment.

moonshine-voice: streams with partials each 0.5 s and its own voice activity, one process a core; one thread each and
answers without copies of the audio, and once more with every option as it comes. It keeps up when 95 of 100 passes are
done 500 ms after the last sound they took in was said, and come at most 20 % later one after another than they should.
"""

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from queue import Empty

import side  # first: one thread
import cuts
import moonshine
import numpy as np
import report
import soundfile
import streams
from websockets.asyncio.client import connect

RATE = streams.RATE
KEPT_MS, STRETCH = 500, 1.2
# its multiples modulo 1 spread evenly, however many there are
GOLDEN = 0.618034
# how long after the last utterance answers are waited for
GRACE = 3
CORES = len(os.sched_getaffinity(0))
# threads that decode, threads of each, utterances at once
SETTINGS = tuple(dict.fromkeys([(CORES, 1, 1), (CORES, 1, 5), (1, CORES, 1), (1, CORES, 5)]))


def percentiles(values: list[float]) -> dict[str, float | None]:
    """None is never."""
    at = np.percentile(values, (50, 95, 99), method="higher") if values else [np.inf] * 3
    shown = [round(float(value), 1) if np.isfinite(value) else None for value in at]
    return dict(zip(("p50", "p95", "p99"), shown))


def kept(latencies: dict[str, float | None]) -> bool:
    return latencies["p95"] is not None and latencies["p95"] <= KEPT_MS


def turned(channel: int, length: int) -> int:
    """Samples by which a channel is ahead: both sides of a call by the same share of it, calls by different ones."""
    return round(channel // 2 * GOLDEN % 1 * length)


# Sotto

# different calls that are made of the streams
CALLS = 64
SOTTO = {
    "sotto": ("Sotto, partials each 0.5 s, tiny for both, the peers' cuts", "tiny", True),
    "sotto-finals": ("Sotto, finals only, tiny, the peers' cuts", "tiny", False),
    "sotto-base": ("Sotto, partials each 0.5 s by tiny, finals by base, as it comes", "base", True),
}
PEERS_CUTS = tomllib.loads(Path(__file__).with_name("cuts.toml").read_text())["endpoint"]
CONFIGURATION = """
data = "{folder}/data"
[listen]
calls = "127.0.0.1:{calls}"
api = "127.0.0.1:{api}"
[capacity]
calls = 10000
calls_per_tenant = 10000
connections = 20100
slowest_partials = 60
[recognisers]
partials = "tiny"
finals = "{finals}"
[pipeline.partials]
enabled = {partials}
[pipeline.endpoint]
{endpoint}
[pipeline.redaction]
{redaction}
"""
REDACTION = ("card", "national_id", "account", "phone", "date_of_birth", "email", "name")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def started(name: str, command: list[str], log: Path, ready) -> subprocess.Popen:
    """A server that has said that it is ready."""
    with open(log, "w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    for _ in range(300):
        if ready():
            return process
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    sys.exit(f"{name} does not start:\n{log.read_text()}")


class Sotto:
    """A server of its own, with a key for whoever sends calls."""

    def __init__(self, program: str, folder: Path, finals: str, partials: bool, endpoint: dict):
        self.program, self.folder = program, folder
        self.calls, self.api = free_port(), free_port()
        self.configuration = folder / "sotto.toml"
        redaction = "\n".join(f"{name} = false" for name in REDACTION)
        endpoint = "\n".join(f"{name} = {value}" for name, value in endpoint.items())
        values = {"folder": folder, "calls": self.calls, "api": self.api, "finals": finals}
        values |= {"redaction": redaction, "endpoint": endpoint}
        self.configuration.write_text(CONFIGURATION.format(**values, partials=str(partials).lower()))

    def ready(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.api, timeout=1)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def __enter__(self) -> "Sotto":
        command = [self.program, "--config", str(self.configuration)]
        self.process = started("Sotto", [*command, "serve"], self.folder / "server.log", self.ready)
        made = subprocess.run([*command, "keys", "create", "load"], capture_output=True, text=True, check=True)
        self.key = made.stdout.strip()
        return self

    def memory(self) -> float:
        """The most it has had, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1000

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait()


def write_calls(given: "Given", folder: Path) -> list[Path]:
    """Two-sided calls of the same streams, turned like the peers'."""
    made = []
    for call in range(CALLS):
        sides = []
        for channel in (2 * call, 2 * call + 1):
            sound = given.sounds[channel % len(given.sounds)]
            sides.append(np.roll(sound, -turned(channel, len(sound))))
        length = max(map(len, sides))
        made.append(folder / f"{call:02}.wav")
        soundfile.write(made[-1], np.stack([np.resize(side, length) for side in sides], 1), RATE, subtype="PCM_16")
    return made


def sotto_keeps(name: str, chosen: argparse.Namespace, given: "Given") -> dict:
    _, finals, partials = SOTTO[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sounds = write_calls(given, folder)
        endpoint = PEERS_CUTS if finals == "tiny" else {}
        with Sotto(f"{chosen.programs}/sotto", folder, finals, partials, endpoint) as server:
            command = [f"{chosen.programs}/sotto-load", "capacity", "--two-sided", "given", "--quiet"]
            command += ["--url", f"ws://127.0.0.1:{server.calls}/v1/stream", "--api", f"http://127.0.0.1:{server.api}"]
            command += ["--hold", f"{chosen.hold:g}s", "--from", str(chosen.start), "--confirm", "1", "--name", name]
            command += ["--out", str(folder)] + [word for sound in sounds for word in ("--audio", str(sound))]
            if endpoint:
                command += ["--silence", str(endpoint["silence"]), "--post-roll", str(endpoint["post_roll"])]
            # a number that is not kept is no failure
            subprocess.run(command, stdout=sys.stderr, env=os.environ | {"SOTTO_KEY": server.key})
            found = json.loads((folder / f"{name}.json").read_text())["capacity"]
            return found | {"peak_memory_mb": server.memory()}


# sherpa-onnx


class Server:
    """sherpa-onnx's offline WebSocket server, from the wheel `sherpa-onnx-bin`."""

    def __init__(self, models: Path, setting: tuple[int, int, int], folder: Path):
        self.models, self.setting, self.folder = models, setting, folder

    def __enter__(self) -> "Server":
        self.port = free_port()
        work, threads, batch = self.setting
        program = Path(sys.executable).parent / "sherpa-onnx-offline-websocket-server"
        options = {
            "port": self.port,
            "num-work-threads": work,
            "num-threads": threads,
            "max-batch-size": batch,
            "tokens": self.models / "tokens.txt",
            "moonshine-encoder": self.models / "encoder_model.ort",
            "moonshine-merged-decoder": self.models / "decoder_model_merged.ort",
            "log-file": self.folder / "server.log",
        }
        words = [str(program), *(f"--{name}={value}" for name, value in options.items())]
        self.process = started("sherpa-onnx's server", words, self.folder / "server.out", self.ready)
        return self

    def ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait()


def schedule(sound: np.ndarray, found: list[cuts.Utterance], ahead: int, hold: float) -> list[tuple[float, bytes]]:
    """When each utterance of a channel that plays round and round is over, and the message that carries it."""
    events = []
    for utterance in found:
        window = sound[utterance.start : utterance.end].astype("<f4").tobytes()
        at = (utterance.end - ahead) % len(sound) / RATE
        while at < hold:
            events.append((at, struct.pack("<ii", RATE, len(window)) + window))
            at += len(sound) / RATE
    return sorted(events, key=lambda event: event[0])


async def speak(port: int, events: list[tuple[float, bytes]], start: float, latencies: list[float]) -> None:
    async with connect(f"ws://127.0.0.1:{port}", max_size=None, compression=None, ping_interval=None) as server:
        for at, message in events:
            await asyncio.sleep(start + at - time.monotonic())
            await server.send(message)
            await server.recv()
            latencies.append((time.monotonic() - start - at) * 1000)


async def play(port: int, channels: list[list[tuple[float, bytes]]], start: float, hold: float) -> list[float]:
    """What each final took, in ms; never where there was none."""
    latencies: list[float] = []
    speakers = [asyncio.create_task(speak(port, events, start, latencies)) for events in channels]
    done, late = await asyncio.wait(speakers, timeout=start + hold + GRACE - time.monotonic())
    for speaker in late:
        speaker.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for speaker in done:
        speaker.result()
    return latencies + [np.inf] * (sum(map(len, channels)) - len(latencies))


def listen(models: Path, sounds: list[np.ndarray], start: float, hold: float, said: multiprocessing.Queue) -> None:
    """Voice activity of all channels in real time, frame by frame; says how many seconds late it was, and its cost."""
    voice = cuts.Voice(models / "silero_vad_16k_op15.onnx")
    frames = int(hold * RATE) // cuts.FRAME
    heard = np.stack([np.resize(sound, cuts.CONTEXT + frames * cuts.FRAME) for sound in sounds])
    state, before = voice.start(len(sounds)), time.process_time()
    for frame in range(frames):
        time.sleep(max(0, start + (frame + 1) * cuts.FRAME / RATE - time.monotonic()))
        at = frame * cuts.FRAME
        _, state = voice.frame(np.ascontiguousarray(heard[:, at : at + cuts.CONTEXT + cuts.FRAME]), state)
    said.put((time.monotonic() - start - frames * cuts.FRAME / RATE, time.process_time() - before))


def sherpa_keeps(calls: int, setting: tuple[int, int, int], given: "Given", hold: float) -> dict:
    channels, sounds = [], []
    for channel in range(2 * calls):
        index = channel % len(given.sounds)
        sound = given.sounds[index]
        ahead = turned(channel, len(sound))
        channels.append(schedule(sound, given.utterances[index], ahead, hold))
        sounds.append(np.roll(sound, -ahead))
    with tempfile.TemporaryDirectory() as folder, Server(given.models, setting, Path(folder)) as server:
        start, said = time.monotonic() + 2, multiprocessing.Queue()
        voice = multiprocessing.Process(target=listen, args=(given.models, sounds, start, hold, said), daemon=True)
        voice.start()
        before = time.process_time()
        latencies = asyncio.run(play(server.port, channels, start, hold))
        client = time.process_time() - before
        try:
            late, cost = said.get(timeout=GRACE)
        except Empty:
            late = cost = None
        voice.kill()
    found = percentiles(latencies)
    return {
        "finals": len(latencies),
        "final_latency_ms": found,
        "voice_activity": {"late_s": late, "cpu_seconds": cost},
        "client_cpu_seconds": client,
        "kept": kept(found) and late is not None and late < KEPT_MS / 1000,
    }


# moonshine-voice


def feed(models: Path, as_it_comes: bool, sounds: list[np.ndarray], phases, hold: float, ready, begin, said) -> None:
    """One process with its share of the streams: gives every chunk when it has been said."""
    if as_it_comes:
        # read when the model is loaded
        del os.environ["MOONSHINE_ORT_SINGLE_THREAD"]
    model = moonshine.transcriber(models, moonshine.INTERVAL, as_it_comes)
    parts = [moonshine.chunks(sound) for sound in sounds]
    running = [model.create_stream() for _ in sounds]
    for stream in running:
        stream.start()
    step = moonshine.CHUNK / RATE
    due = sorted(
        ((number + 1) * step + phase, index, number)
        for index, phase in enumerate(phases)
        for number in range(int(hold / step))
    )
    ready.put(True)
    start = begin.get()
    lags, last, gaps = [], {}, []
    for at, index, number in due:
        time.sleep(max(0, start + at - time.monotonic()))
        stream = running[index]
        stream.add_audio(parts[index][number % len(parts[index])], RATE)
        lag = time.monotonic() - start - at
        if moonshine.passed(stream):
            lags.append(lag * 1000)
            if index in last:
                gaps.append(at - last[index])
            last[index] = at
        if lag > 20 * KEPT_MS / 1000:
            # lost for good
            lags = [np.inf]
            break
    said.put((lags, gaps))


def moonshine_keeps(count: int, as_it_comes: bool, given: "Given", hold: float) -> dict:
    ready, begin, said = (multiprocessing.Queue() for _ in range(3))
    workers = []
    for worker in range(min(CORES, count)):
        own = range(worker, count, CORES)
        sounds = []
        for channel in own:
            sound = given.sounds[channel % len(given.sounds)]
            sounds.append(np.roll(sound, -turned(channel, len(sound))))
        # passes of different streams fall due at different moments
        phases = [channel / count * moonshine.INTERVAL for channel in own]
        args = (given.models, as_it_comes, sounds, phases, hold, ready, begin, said)
        workers.append(multiprocessing.Process(target=feed, args=args, daemon=True))
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.get(timeout=120)
    start = time.monotonic() + 1
    for _ in workers:
        begin.put(start)
    lags, gaps = [], []
    for _ in workers:
        own_lags, own_gaps = said.get(timeout=hold + 120)
        lags, gaps = lags + own_lags, gaps + own_gaps
    for worker in workers:
        worker.join()
    every = sum(gaps) / len(gaps) if gaps else None
    found, in_time = percentiles(lags), every is not None and every <= moonshine.INTERVAL * STRETCH
    return {
        "passes": len(lags),
        "pass_latency_ms": found,
        "seconds_between_passes": every,
        "kept": kept(found) and in_time,
    }


# the search


class Given:
    """The streams that do not repeat themselves, their utterances, and the weights."""

    def __init__(self, models: Path, corpus: Path | None, seconds: float | None):
        self.models = models
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            made = streams.write(folder, corpus, streams.distinct(corpus), seconds)
            self.sounds = [streams.read(folder / stream.file) for stream in made]
        voice = cuts.Voice(models / "silero_vad_16k_op15.onnx")
        probabilities = voice.probabilities(self.sounds)
        self.utterances = [cuts.utterances(p, len(sound)) for p, sound in zip(probabilities, self.sounds)]
        self.seconds = sum(map(len, self.sounds)) / RATE
        self.speech = sum(map(cuts.speech_seconds, self.utterances))


def search(name: str, keeps, setting, best: int, chosen: argparse.Namespace, given: Given, steps: list[dict]) -> int:
    """The largest number that is kept; `best` when it is not more than that."""

    def holds(count: int) -> bool:
        found = keeps(count, setting, given, chosen.hold)
        steps.append({"peer": name, "setting": setting, "count": count} | found)
        print(f"{name} {setting or ''} {count}: {json.dumps(found)}", file=sys.stderr, flush=True)
        return found["kept"]

    # another setting has to beat the best one by a step
    low, high = best, max(chosen.start, best + closeness(best))
    while holds(high):
        low, high = high, high * 2
    if best and low == best:
        return best
    while high - low > closeness(low):
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def closeness(count: int) -> int:
    return max(1, count // 20)


def options() -> argparse.Namespace:
    parser = report.parser(__doc__)
    parser.add_argument("--corpus", type=Path, help="folder with manifest.tsv; otherwise the sample call")
    parser.add_argument("--hold", type=float, default=60, help="seconds that each number is held")
    parser.add_argument("--start", type=int, default=8, help="the first number that is tried")
    parser.add_argument("--seconds", type=float, help="of each stream; otherwise all")
    every = ",".join([*SOTTO, "sherpa", "moonshine", "moonshine-as-it-comes"])
    parser.add_argument("--peers", default=every, help=f"only these, by comma: {every}")
    parser.add_argument("--programs", default="target/release", help="folder of sotto and sotto-load")
    return report.options(parser)


def main() -> None:
    chosen = options()
    # a fork would take the recogniser's threads along
    multiprocessing.set_start_method("spawn")
    given = Given(chosen.models, chosen.corpus, chosen.seconds)
    machine, steps, rows, found = report.machine(), [], [], {}
    peers = chosen.peers.split(",")
    for name, (label, *_) in SOTTO.items():
        if name in peers:
            found[name] = sotto_keeps(name, chosen, given)
            rows.append([label, f"{found[name]['calls']} calls of two sides", ""])
    if "sherpa" in peers:
        best, by = 0, None
        for setting in SETTINGS:
            reached = search("sherpa", sherpa_keeps, setting, best, chosen, given, steps)
            if reached > best:
                best, by = reached, setting
        found["sherpa"] = {"calls": best, "setting": by and dict(zip(("work_threads", "threads", "batch"), by))}
        rows.append(["sherpa-onnx offline WebSocket server, finals only", f"{best} calls of two sides", str(by)])
    for name, as_it_comes, how in (
        ("moonshine", False, f"{CORES} processes of one thread, no copies"),
        ("moonshine-as-it-comes", True, f"{CORES} processes"),
    ):
        if name in peers:
            best = search(name, moonshine_keeps, as_it_comes, 0, chosen, given, steps)
            found[name] = {"streams": best}
            rows.append(["moonshine-voice 0.1.5, partials each 0.5 s", f"{best} streams", how])
    print(report.table(["", "keeps up with", "threads, threads of each, batch"], rows))
    content = {
        "commit": chosen.commit,
        "machine": machine,
        "corpus": bool(chosen.corpus),
        "hold_seconds": chosen.hold,
        "speech_share": given.speech / given.seconds,
        "capacity": found,
        "steps": steps,
    }
    print(f"written: {report.write(chosen.out, 'peers-capacity', content)}")


if __name__ == "__main__":
    main()

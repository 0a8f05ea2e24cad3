"""python -m build_graphs WHEELS VERSION OUT: fills OUT from the wheels in the folder WHEELS."""

import hashlib
import json
import platform
import sys
import tempfile
from pathlib import Path

from . import decoder, encoder, ort_file, stem, vad, weights
from .shape import TINY, Shape
from .wheels import Wheel, WheelError

ASSETS = "moonshine_voice/assets/tiny-en/"
VAD = "silero_vad/data/silero_vad_16k_op15.onnx"


def say(text: str) -> None:
    print(f"models: {text}", file=sys.stderr, flush=True)


def build_recogniser(moonshine: Wheel, runtime: Wheel) -> dict[str, bytes]:
    """The two graphs and the tokenizer."""
    with tempfile.TemporaryDirectory() as scratch:
        ort_file.use_schema(runtime.extract(ort_file.SCHEMA, Path(scratch)))
        encoder_weights = weights.encoder(moonshine.read(ASSETS + "encoder_model.ort"))
        decoder_weights = weights.decoder(moonshine.read(ASSETS + "decoder_model_merged.ort"))
    graphs = {
        "stem.onnx": stem.build(encoder_weights),
        "encoder.onnx": encoder.build(encoder_weights, decoder_weights, TINY),
        "decoder.onnx": decoder.build(decoder_weights, TINY),
    }
    files = {name: serialise(graph, name) for name, graph in graphs.items()}
    files["tokenizer.bin"] = moonshine.read(ASSETS + "tokenizer.bin")
    return files


def serialise(graph, name: str) -> bytes:
    return graph.model(name.removesuffix(".onnx")).SerializeToString(deterministic=True)


def licences(moonshine: Wheel, runtime: Wheel, silero: Wheel) -> dict[str, bytes]:
    return {
        "licences/moonshine.txt": moonshine.licence(),
        "licences/silero-vad.txt": silero.licence(),
        "licences/onnxruntime.txt": runtime.read("onnxruntime/LICENSE"),
        "licences/onnxruntime-third-party.txt": runtime.read("onnxruntime/ThirdPartyNotices.txt"),
    }


def manifest(version: str, shape: Shape, files: dict[str, bytes], wheels: list[Wheel]) -> str:
    """One line a file: `fetch` reads the sizes without a JSON parser."""
    described = {n: {"sha256": hashlib.sha256(d).hexdigest(), "bytes": len(d)} for n, d in sorted(files.items())}
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in described.items())
    built_from = json.dumps({wheel.path.name: wheel.sha256() for wheel in wheels}, indent=4).replace("\n}", "\n  }")
    return (
        f'{{\n  "version": {json.dumps(version)},\n  "shape": {json.dumps(shape.described())},\n  "machine": {json.dumps(platform.machine())},\n'
        f'  "built_from": {built_from},\n  "files": {{\n{lines}\n  }}\n}}\n'
    )


def main(wheel_folder: Path, version: str, out: Path) -> None:
    moonshine, runtime, silero = (
        Wheel(wheel_folder, package) for package in ("moonshine_voice", "onnxruntime", "silero_vad")
    )
    say("4/5 building the graphs")
    files = build_recogniser(moonshine, runtime)
    files["vad.onnx"] = serialise(vad.build(silero.read(VAD)), "vad.onnx")
    files["libonnxruntime.so"] = runtime.read(runtime.member("onnxruntime/capi/libonnxruntime.so."))
    say("5/5 writing and checking")
    for name, data in {**files, **licences(moonshine, runtime, silero)}.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    # last, since its presence says that the folder is whole
    (out / "manifest.json").write_text(manifest(version, TINY, files, [moonshine, runtime, silero]))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    except WheelError as error:
        sys.exit(f"models: {error}; remove the pip cache and try again")

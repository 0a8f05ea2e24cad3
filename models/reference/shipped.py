"""The graphs as their makers ship them."""

import numpy as np

from .lean import BEGIN, END, HEAD, HEADS, LAYERS, session, token_limit, vad_frames


class Recogniser:
    def __init__(self, encoder: bytes, decoder: bytes):
        self.encoder, self.decoder = session(encoder), session(decoder)
        self.outputs = [output.name for output in self.decoder.get_outputs()]
        parts = [f"{half}.{kind}" for half in ("decoder", "encoder") for kind in ("key", "value")]
        self.caches = [f"past_key_values.{layer}.{part}" for layer in range(LAYERS) for part in parts]

    def greedy(self, audio: np.ndarray) -> list[int]:
        limit = token_limit(len(audio))
        everything = np.ones((1, len(audio)), np.int64)
        hidden = self.encoder.run(None, {"input_values": audio[None], "attention_mask": everything})[0]
        # the graph takes every 384th entry of its mask
        mask = np.ones((1, hidden.shape[1] * 384), np.int64)
        feed = {"encoder_hidden_states": hidden, "encoder_attention_mask": mask}
        feed |= {name: np.zeros((1, HEADS, 0, HEAD), np.float32) for name in self.caches}
        tokens = [BEGIN]
        while tokens[-1] != END and len(tokens) <= limit:
            first = len(tokens) == 1
            feed |= {"input_ids": np.array([tokens[-1:]]), "use_cache_branch": np.array([not first])}
            out = dict(zip(self.outputs, self.decoder.run(None, feed), strict=True))
            # cross keys and values come from the first step only
            for name in self.caches:
                if first or ".decoder." in name:
                    feed[name] = out[name.replace("past_key_values", "present")]
            tokens.append(int(out["logits"][0, -1].argmax()))
        return [t for t in tokens[1:] if t != END]


class Vad:
    def __init__(self, graph: bytes):
        self.session = session(graph)

    def probabilities(self, audio: np.ndarray) -> np.ndarray:
        state, rate, found = np.zeros((2, 1, 128), np.float32), np.array(16_000), []
        for frame in vad_frames(audio):
            p, state = self.session.run(None, {"input": frame[None], "state": state, "sr": rate})
            found.append(p[0, 0])
        return np.array(found)

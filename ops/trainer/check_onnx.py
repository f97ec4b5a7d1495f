#!/usr/bin/env python3
"""Runs a bundle's ONNX parts in ONNX Runtime on inputs that `trainer` wrote, for comparison.

Usage: check_onnx.py BUNDLE INPUTS.safetensors OUTPUTS.safetensors

INPUTS holds `patches` [N, 4096] and `description_ids` [L], and for every series i `tokens.<i>`
[T, 289] and `name_ids.<i>` [L]. OUTPUTS gets `latents`, `embedding` and, where the bundle has a
shared head, `logits`. Prints the version of ONNX Runtime. Needs the packages onnxruntime and
numpy; exits with 3 when one is missing, so that the caller can tell that from a failure.
"""

import json
import pathlib
import struct
import sys

try:
    import numpy
    import onnxruntime
except ImportError as error:
    print(f"the Python package {error.name} is missing", file=sys.stderr)
    sys.exit(3)

TYPES = {"F32": "<f4", "I64": "<i8"}


def read(path: str) -> dict:
    """The tensors of a safetensors file: length of the header, header as JSON, values."""
    content = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        values = numpy.frombuffer(content[start:end], TYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def write(path: str, tensors: dict) -> None:
    header, content = {}, b""
    for name, values in tensors.items():
        start, values = len(content), values.astype("<f4")
        content += values.tobytes()
        offsets = [start, len(content)]
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + content)


def main(bundle: str, inputs: str, outputs: str) -> None:
    values = read(inputs)

    def session(name: str) -> onnxruntime.InferenceSession:
        path = pathlib.Path(bundle) / name
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    (latents,) = session("tokenizer.onnx").run(None, {"patches": values["patches"]})
    sequence = session("sequence.onnx")
    count = sum(name.startswith("tokens.") for name in values)
    series = [
        sequence.run(
            None, {"tokens": values[f"tokens.{i}"], "name_ids": values[f"name_ids.{i}"]}
        )[0]
        for i in range(count)
    ]
    study = session("study.onnx")
    names = [output.name for output in study.get_outputs()]
    feed = {"series": numpy.stack(series), "description_ids": values["description_ids"]}
    write(outputs, {"latents": latents, **dict(zip(names, study.run(names, feed)))})
    print(f"onnxruntime {onnxruntime.__version__}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])

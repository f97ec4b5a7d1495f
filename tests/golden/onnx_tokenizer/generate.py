"""Writes tokenizer.onnx: the encoder of the golden VQ-VAE, for the test of the ONNX path.

The graph is built node by node (Conv, Relu, Add) from the golden weights and sizes, so that nothing
but the onnx package decides what stands in it. ONNX Runtime then runs it on the recorded patches of
all three orientations and on several batch sizes; the file is written only when it agrees.

    python3 -m venv venv
    venv/bin/pip install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 safetensors==0.8.0
    venv/bin/python tests/golden/onnx_tokenizer/generate.py
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "prima"
OPSET = 20
# The oldest file format that may carry this opset; tract need not know newer ones.
IR_VERSION = 9
TOLERANCE = 1e-5
SAME = {"kernel": 3, "stride": 1, "padding": 1}


class Graph:
    """Nodes and weights in the order they run."""

    def __init__(self, weights):
        self.weights = weights
        self.nodes = []
        self.initializers = []

    def add(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def conv(self, x, block, kernel, stride, padding):
        """The convolution that the published code calls `encoder.blocks.<block>.conv`."""
        names = [f"encoder.blocks.{block}.conv.{kind}" for kind in ("weight", "bias")]
        for name in names:
            self.initializers.append(numpy_helper.from_array(self.weights[name], name))
        return self.add(
            "Conv",
            [x, *names],
            f"block{block}.conv",
            kernel_shape=[kernel] * 3,
            strides=[stride] * 3,
            pads=[padding] * 6,
        )

    def relu(self, x):
        return self.add("Relu", [x], f"{x}.relu")

    def residual(self, x, block):
        """relu(x + conv2(relu(conv1(x))))"""
        hidden = self.relu(self.conv(x, f"{block}.conv1", **SAME))
        added = self.add("Add", [x, self.conv(hidden, f"{block}.conv2", **SAME)], f"block{block}.add")
        return self.relu(added)


def encoder(weights, config):
    graph = Graph(weights)
    x, block = "patches", 0
    for stride, kernel, dilation, padding in config["downsample_parameters"]:
        assert dilation == 1, "the published tokenizer is not dilated"
        x = graph.relu(graph.conv(x, block, kernel, stride, padding))
        for unit in range(block + 1, block + 1 + config["num_res_layers"]):
            x = graph.residual(x, unit)
        block += 1 + config["num_res_layers"]
    graph.conv(x, block, **SAME)
    graph.nodes[-1].output[0] = "z_e"
    channels = weights[f"encoder.blocks.{block}.conv.weight"].shape[0]
    shape = lambda c, axes: helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", c, *axes])
    return helper.make_graph(
        graph.nodes,
        "vqvae_encoder",
        [helper.make_value_info("patches", shape(1, ["z", "y", "x"]))],
        [helper.make_value_info("z_e", shape(channels, ["z_out", "y_out", "x_out"]))],
        graph.initializers,
    )


def check(session, golden):
    """Every orientation, whole batches and single patches; gives the largest error."""
    largest = 0.0
    for axis in range(3):
        patches, expected = golden[f"axis{axis}.x"], golden[f"axis{axis}.z_e"]
        cases = [(patches, expected), (patches[:1], expected[:1])]
        cases.append((np.tile(patches, (8, 1, 1, 1, 1)), np.tile(expected, (8, 1, 1, 1, 1))))
        for given, wanted in cases:
            (found,) = session.run(["z_e"], {"patches": given})
            assert found.shape == wanted.shape, (axis, found.shape, wanted.shape)
            largest = max(largest, float(np.abs(found - wanted).max()))
    return largest


def main():
    config = json.loads((GOLDEN / "config.json").read_text())["vqvae"]
    graph = encoder(load_file(GOLDEN / "vqvae_state.safetensors"), config)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="generate.py",
    )
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    largest = check(session, load_file(GOLDEN / "vqvae_io.safetensors"))
    assert largest <= TOLERANCE, f"largest error {largest} is above {TOLERANCE}"
    (HERE / "tokenizer.onnx").write_bytes(content)
    print(f"tokenizer.onnx: {len(content)} bytes, largest error {largest:.2e}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times the published-size layers in PyTorch, on this CPU or a card, as a peer for our figures.

Weights are random: only shapes matter for time. Patches are 8x32x32, as the tokenizer gets them.
All layers run in single precision, as the published code does on a CPU, or with `--half` in the
half precision of a card, where attention takes PyTorch's flash kernel. Only torch and numpy are
needed. Time is the least of the repeats; CPU seconds come from getrusage and count every thread,
also one that spins while it waits for the other: on a busy machine only `--threads 1` tells the
CPU seconds of the work itself.
"""

import argparse
import json
import resource
import time

import numpy as np
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

BATCHES = (16, 64)
SGEMM_EDGE = 4096
SERIES_REGISTERS, STUDY_REGISTERS = 20, 10
TOKEN, EMBEDDING, LATENT = 289, 1024, 2
HEADS = 52


class Residual(nn.Module):
    """relu(x + conv(relu(conv(x))))"""

    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv3d(width, width, 3, padding=1)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1)

    def forward(self, x):
        return torch.relu(x + self.conv2(torch.relu(self.conv1(x))))


def encoder(width=256):
    return nn.Sequential(
        nn.Conv3d(1, width, 4, stride=2, padding=1), nn.ReLU(),
        Residual(width), Residual(width),
        nn.Conv3d(width, width, 2, stride=2), nn.ReLU(),
        Residual(width), Residual(width),
        nn.Conv3d(width, LATENT, 3, padding=1),
    )  # fmt: skip


class Attention(nn.Module):
    def __init__(self, dim, heads, dim_head):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim)

    def forward(self, x):
        qkv = self.to_qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = scaled_dot_product_attention(q, k, v)
        return x + self.to_out(y.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim)
        )

    def forward(self, x):
        return x + self.layers(x)


class RegisterVit(nn.Module):
    """Registers before the sequence; their last states, normalised, go through one layer."""

    def __init__(self, dim, depth, heads, registers, output):
        super().__init__()
        self.registers = nn.Parameter(torch.randn(1, registers, dim))
        blocks = ((Attention(dim, heads, 64), FeedForward(dim, 1024)) for _ in range(depth))
        self.blocks = nn.Sequential(*(layer for block in blocks for layer in block))
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(registers * dim, output)

    def forward(self, x):
        x = self.blocks(torch.cat([self.registers.expand(len(x), -1, -1), x], 1))
        return self.output(self.norm(x[:, : self.registers.shape[1]]).flatten(1))


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def wait():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work, repeats=3):
    """One warm-up, then the least wall and CPU seconds of the repeats."""
    work()
    walls, cpus = [], []
    for _ in range(repeats):
        wait()
        wall, cpu = time.perf_counter(), cpu_seconds()
        work()
        wait()
        walls.append(time.perf_counter() - wall)
        cpus.append(cpu_seconds() - cpu)
    return {"wall_s": min(walls), "cpu_s": min(cpus)}


def time_encoder(patches, on):
    """Seconds for one patch, at the faster of the batch sizes."""
    net = encoder().eval().to(**on)
    results = []
    for batch in BATCHES:
        x = torch.rand(batch, 1, 8, 32, 32).to(**on)
        net(x)
        wait()
        count = max(1, round(patches / batch))
        wall, cpu = time.perf_counter(), cpu_seconds()
        for _ in range(count):
            net(x)
        wait()
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        done = count * batch
        per_patch = {"wall_s": wall / done, "cpu_s": cpu / done}
        results.append({"batch": batch, "patches": done, **per_patch})
    return min(results, key=lambda result: result["wall_s"])


def time_heads(on):
    """All heads, one after the other; every one reuses the weights of the first."""
    head = nn.Sequential(
        nn.Linear(STUDY_REGISTERS * EMBEDDING, 4000), nn.ReLU(),
        nn.Linear(4000, 1000), nn.ReLU(),
        nn.Linear(1000, HEADS),
    ).eval().to(**on)  # fmt: skip
    x = torch.randn(1, STUDY_REGISTERS * EMBEDDING).to(**on)
    return timed(lambda: [head(x) for _ in range(HEADS)])


def sgemm_gflops(edge=SGEMM_EDGE):
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.random((edge, edge), dtype=np.float32)) for _ in range(2))
    return 2 * edge**3 / timed(lambda: a @ b)["wall_s"] / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--patches", type=int, default=128, help="patches to encode at each batch size")
    add("--tokens", default="600,600,600,600", help="tokens of each series, T1,T2,...")
    add("--device", default="cpu")
    add("--half", action="store_true", help="float16 instead of float32")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--json", action="store_true", help="one line instead of an indented object")
    args = parser.parse_args()
    tokens = [int(count) for count in args.tokens.split(",")]
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    on = {"device": args.device, "dtype": torch.float16 if args.half else torch.float32}

    with torch.inference_mode():
        series_vit = RegisterVit(TOKEN, 15, 16, SERIES_REGISTERS, EMBEDDING).eval().to(**on)
        study_vit = RegisterVit(EMBEDDING, 4, 8, STUDY_REGISTERS, 128).eval().to(**on)
        # One more entry each: the encoded name of the series, and of the study.
        series = [torch.randn(1, count + 1, TOKEN).to(**on) for count in tokens]
        study = torch.randn(1, len(tokens) + 1, EMBEDDING).to(**on)
        result = {
            "torch": torch.__version__,
            "threads": args.threads,
            "tokens": tokens,
            "encoder_per_patch": time_encoder(args.patches, on),
            "sequence_vit": timed(lambda: [series_vit(x) for x in series]),
            "study_vit": timed(lambda: study_vit(study)),
            "heads": {"count": HEADS, **time_heads(on)},
        }
    # Before the matrix product, which is no part of the model. Linux counts in KiB.
    result["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result["sgemm_4096_gflops"] = sgemm_gflops()
    print(json.dumps(result, indent=None if args.json else 2))


if __name__ == "__main__":
    main()

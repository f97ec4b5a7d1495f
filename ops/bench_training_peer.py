#!/usr/bin/env python3
"""Training throughput of PyTorch on this CPU, as a peer for `trainer tokenizer` and `trainer clip`.

The networks have the sizes of the presets "edge" (tokenizer: mixer VQ-VAE) and "reduced"
(hierarchical ViT with its two character transformers, GPT-2 report encoder, three linear probes),
and the losses are those of the stages. A step is forward, backward, the gradients' norm and AdamW,
in single precision, without torch.compile. Data are random and made beforehand, so that reading,
drawing and disturbing studies is on the trainer's side alone. Three further differences are in the
peer's favour: gradients are clipped all at once instead of one by one, the codebook's averages
reuse the assignment of the forward pass, and AdamW is fused. Only torch and numpy are needed.
"""

import argparse
import json
import time

import torch
from bench_peer import Attention, FeedForward
from torch import nn
from torch.nn import functional as F

WARM_UP = 2
DIAGNOSES, PEAKS = 52, 64
TOKEN = 289
PATCH, THIN, EDGE, CELL = 4096, 4, 8, 4
CELLS, CELL_VOX, CELL_LATENT = 64, 64, 4
CODEBOOK, CODE = 512, 2
DECAY, EPSILON, COMMITMENT = 0.5, 1e-5, 0.25
STUDY, PROJECTION = 192, 128
VOCABULARY, POSITIONS, REPORT, REPORT_DEPTH = 2000, 128, 128, 3
CHARACTERS, CHARACTER, NAME_POSITIONS, NAME_POSITION, NAME = 47, 54, 200, 10, 64
# Usual lengths in characters, end included, and of a report in tokens.
SERIES_NAME, STUDY_NAME, REPORT_TOKENS = 12, 27, 60
PATIENT_WEIGHT, SELF_LOGIT = 0.03, -10.0


# The tokenizer


class MixerBlock(nn.Module):
    """Across the cells, then across the channels."""

    def __init__(self, width, cell_hidden, hidden):
        super().__init__()
        self.cell_norm = nn.LayerNorm(width)
        self.across_cells = nn.Sequential(
            nn.Linear(CELLS, cell_hidden), nn.ReLU(), nn.Linear(cell_hidden, CELLS)
        )
        self.across_channels = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width)
        )

    def forward(self, x):
        x = x + self.across_cells(self.cell_norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.across_channels(x)


class Mixer(nn.Module):
    """Cells in, cells out."""

    def __init__(self, inputs, outputs, width=64, depth=2, cell_hidden=64, hidden=128):
        super().__init__()
        self.input = nn.Linear(inputs, width)
        self.positions = nn.Parameter(0.02 * torch.randn(CELLS, width))
        blocks = (MixerBlock(width, cell_hidden, hidden) for _ in range(depth))
        self.blocks = nn.Sequential(*blocks, nn.LayerNorm(width), nn.Linear(width, outputs))

    def forward(self, cells):
        return self.blocks(self.input(cells) + self.positions)


class Quantizer:
    """The codebook, which no gradient moves."""

    def __init__(self):
        self.codebook = torch.randn(CODEBOOK, CODE)
        self.size = torch.ones(CODEBOOK)
        self.sum = self.codebook.clone()

    @torch.no_grad()
    def nearest(self, flat):
        distance = (
            flat.square().sum(1, keepdim=True)
            + self.codebook.square().sum(1)
            - 2 * flat @ self.codebook.T
        )
        return distance.argmin(1)

    @torch.no_grad()
    def follow(self, flat, indices):
        count = torch.bincount(indices, minlength=CODEBOOK).float()
        total = torch.zeros_like(self.sum).index_add_(0, indices, flat)
        self.size = DECAY * self.size + (1 - DECAY) * count
        self.sum = DECAY * self.sum + (1 - DECAY) * total
        everything = self.size.sum()
        smoothed = (self.size + EPSILON) / (everything + CODEBOOK * EPSILON) * everything
        self.codebook = self.sum / smoothed[:, None]


class Tokenizer(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Mixer(CELL_VOX, CELL_LATENT)
        self.decoder = Mixer(CELL_LATENT, CELL_VOX)
        self.quantizer = Quantizer()

    def encode(self, patches):
        cells = patches.view(-1, THIN, EDGE, CELL, EDGE, CELL)
        cells = cells.permute(0, 2, 4, 1, 3, 5).reshape(-1, CELLS, CELL_VOX)
        return self.encoder(cells).transpose(1, 2).reshape(-1, CODE, 2 * CELLS)

    def decode(self, latents):
        cells = latents.reshape(-1, CELL_LATENT, CELLS).transpose(1, 2)
        patches = self.decoder(cells).view(-1, EDGE, EDGE, THIN, CELL, CELL)
        return patches.permute(0, 3, 1, 4, 2, 5).reshape(-1, PATCH)

    def loss(self, patches):
        latents = self.encode(patches)
        flat = latents.detach().transpose(1, 2).reshape(-1, CODE)
        indices = self.quantizer.nearest(flat)
        entries = self.quantizer.codebook[indices].view(len(patches), -1, CODE).transpose(1, 2)
        difference = entries - latents
        commitment = COMMITMENT * difference.square().mean()
        # Straight through: the entries' values with the gradient of the latent values.
        reconstruction = self.decode(latents + difference.detach())
        self.quantizer.follow(flat, indices)
        return F.l1_loss(reconstruction, patches) + commitment


# The hierarchical ViT and the report encoder


def blocks(dim, depth, heads, dim_head, hidden):
    layers = ((Attention(dim, heads, dim_head), FeedForward(dim, hidden)) for _ in range(depth))
    return nn.Sequential(*(layer for block in layers for layer in block))


class NameEncoder(nn.Module):
    """Characters to one vector, read from the last."""

    def __init__(self, output):
        super().__init__()
        self.embedding = nn.Embedding(CHARACTERS, CHARACTER)
        self.register_buffer("positions", torch.rand(NAME_POSITIONS, NAME_POSITION))
        self.blocks = blocks(NAME, 2, 2, 32, 128)
        self.output = nn.Linear(NAME, output)

    def forward(self, names):
        positions = self.positions[: names.shape[1]].expand(len(names), -1, -1)
        x = self.blocks(torch.cat([self.embedding(names), positions], 2))
        return self.output(x[:, -1])


class RegisterVit(nn.Module):
    """Registers, a name's vector, then the sequence: registers with the largest feature of any
    token, their output, and the features of all tokens."""

    def __init__(self, dim, depth, registers, output, hidden):
        super().__init__()
        self.registers = nn.Parameter(torch.randn(registers, dim))
        self.blocks = blocks(dim, depth, 4, 48, 512)
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(registers * dim + PEAKS, output)
        self.token, self.prefix = nn.Linear(dim, hidden), nn.Linear(dim, hidden)
        self.judged, self.features = nn.Linear(hidden, dim), nn.Linear(dim, PEAKS)

    def forward(self, prefix, x):
        x = x + self.judged(F.gelu(self.token(x) + self.prefix(prefix)[:, None]))
        registers = self.registers.expand(len(x), -1, -1)
        states = self.norm(self.blocks(torch.cat([registers, prefix[:, None], x], 1)))
        features = self.features(states[:, len(self.registers) + 1 :])
        pooled = torch.cat([states[:, : len(self.registers)].flatten(1), features.amax(1)], 1)
        return pooled, self.output(pooled), features


class CausalBlock(nn.Module):
    def __init__(self, dim, heads=4):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.attended = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU("tanh"), nn.Linear(4 * dim, dim)
        )

    def forward(self, x):
        qkv = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attended(y.transpose(1, 2).flatten(2))
        return x + self.mlp(x)


class ReportEncoder(nn.Module):
    """GPT-2 whose state at the last token is projected."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, REPORT)
        self.positions = nn.Parameter(0.02 * torch.randn(POSITIONS, REPORT))
        layers = (CausalBlock(REPORT) for _ in range(REPORT_DEPTH))
        self.blocks = nn.Sequential(*layers, nn.LayerNorm(REPORT))
        self.projection = nn.Sequential(
            nn.LayerNorm(REPORT), nn.Linear(REPORT, PROJECTION), nn.LayerNorm(PROJECTION)
        )

    def forward(self, reports):
        x = self.blocks(self.tokens(reports) + self.positions[: reports.shape[1]])
        return self.projection(x[:, -1])


class Clip(nn.Module):
    def __init__(self):
        super().__init__()
        self.series_name, self.study_name = NameEncoder(TOKEN), NameEncoder(STUDY)
        self.sequence_vit = RegisterVit(TOKEN, 2, 6, STUDY, 512)
        self.study_vit = RegisterVit(STUDY, 2, 4, PROJECTION, 256)
        self.patient = nn.Sequential(nn.Linear(6 * TOKEN + PEAKS, 128), nn.ReLU(), nn.Linear(128, 64))
        self.report = ReportEncoder()
        self.temperature = nn.Parameter(torch.tensor([2.3]))
        self.patient_temperature = nn.Parameter(torch.tensor([1.0]))
        self.labels = nn.Linear(4 * STUDY + PEAKS, DIAGNOSES)

    def loss(self, data):
        studies = len(data["reports"])
        names = self.series_name(data["series_names"])
        pooled_series, vectors, tokens = self.sequence_vit(names, data["tokens"])
        names = self.study_name(data["study_names"])
        pooled, projected, series = self.study_vit(names, vectors.view(studies, -1, STUDY))
        image, text = F.normalize(projected), F.normalize(self.report(data["reports"]))
        logits = image @ text.T * self.temperature.exp()
        right = torch.arange(studies)
        clip = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
        patient = self.patient_discrimination(F.normalize(self.patient(pooled_series)), studies)
        return (
            clip
            + PATIENT_WEIGHT * patient
            + weighted_bce(tokens[..., :DIAGNOSES], *data["lesions"])
            + weighted_bce(series[..., :DIAGNOSES].flatten(0, 1), *data["series"])
            + weighted_bce(self.labels(pooled), *data["labels"])
        )

    def patient_discrimination(self, u, studies):
        """Series of one study against the others, in the published code's form."""
        each = len(u) // studies
        of = torch.arange(studies).repeat_interleave(each)
        same, eye = (of[:, None] == of).float(), torch.eye(len(u))
        logits = u @ u.T / self.patient_temperature
        logits = logits * (1 - eye) + SELF_LOGIT * eye
        mass = (logits.softmax(1) * (same - eye)).sum(1)
        return -mass.log().sum() / (each - 1)


def weighted_bce(logits, targets, weights):
    loss = F.binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum")
    return loss / logits.numel()


def targets(*shape):
    return (torch.rand(*shape) < 0.05).float(), torch.rand(*shape)


def random_studies(studies, series, tokens):
    all_series = studies * series
    return {
        "tokens": torch.randn(all_series, tokens, TOKEN),
        "series_names": torch.randint(CHARACTERS, (all_series, SERIES_NAME)),
        "study_names": torch.randint(CHARACTERS, (studies, STUDY_NAME)),
        "reports": torch.randint(VOCABULARY, (studies, REPORT_TOKENS)),
        "lesions": targets(all_series, tokens, DIAGNOSES),
        "series": targets(all_series, DIAGNOSES),
        "labels": targets(studies, DIAGNOSES),
    }


# The time


def rate(model, data, batch, steps):
    """Items of a batch per second of training."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=1e-4, fused=True)

    def step():
        optimizer.zero_grad()
        loss = model.loss(data)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item(), norm.item()

    for _ in range(WARM_UP):
        step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return batch * steps / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--tokenizer-batch", type=int, default=128, help="patches of a step")
    add("--clip-studies", type=int, default=8, help="studies of a step")
    add("--series", type=int, default=7, help="series of a study, at least 2")
    add("--tokens", type=int, default=128, help="tokens of a series")
    add("--steps", type=int, default=20, help="steps that are timed")
    add("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    patches = torch.rand(args.tokenizer_batch, PATCH)
    studies = random_studies(args.clip_studies, args.series, args.tokens)
    print(json.dumps({
        "torch": torch.__version__,
        "threads": args.threads,
        "tokenizer_patches_per_s": rate(Tokenizer(), patches, args.tokenizer_batch, args.steps),
        "clip_studies_per_s": rate(Clip(), studies, args.clip_studies, args.steps),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""Writes a checkpoint laid out like the published one, of any size, and checks an import of it.

    write.py write DIR [--published] [options]   full.pt, vqvae.pth and samples.json in DIR
    write.py check DIR BUNDLE                    compares the samples with an imported bundle

The classes are stand-ins with the published module paths and attribute names: a checkpoint holds
their names and attributes, never their code. Large parameters are mapped from files that are
already deleted, so that memory holds only what is being written.
"""

import argparse
import json
import os
import struct
import sys
import tempfile
import types
from pathlib import Path

import torch
from torch import nn

# ---------------------------------------------------------------- classes with the official paths


def published_class(module, name, base=nn.Module):
    """A class that pickles as `module.name`."""
    packages = module.split(".")
    for depth in range(1, len(packages) + 1):
        # Pickling looks the class up, and imports every package on the way to it.
        path = ".".join(packages[:depth])
        sys.modules.setdefault(path, types.ModuleType(path))
    made = type(name, (base,), {"__module__": module})
    setattr(sys.modules[module], name, made)
    return made


FullMRIModel = published_class("__main__", "FullMRIModel")
CLIP = published_class("model", "CLIP")
Patchifier = published_class("patchify", "MedicalImagePatchifier")
parts = ["GPTWrapper", "HierViT", "ViT", "Transformer", "PreNorm", "Attention", "FeedForward"]
GPTWrapper, HierViT, ViT, Transformer, PreNorm, Attention, FeedForward = (
    published_class("model_parts", name) for name in parts
)
SerieTransformerEncoder = published_class("model_parts", "SerieTransformerEncoder")
GPT2 = "transformers.models.gpt2"
GPT2Model = published_class(f"{GPT2}.modeling_gpt2", "GPT2Model")
GPT2Block = published_class(f"{GPT2}.modeling_gpt2", "GPT2Block")
GPT2Attention = published_class(f"{GPT2}.modeling_gpt2", "GPT2Attention")
GPT2MLP = published_class(f"{GPT2}.modeling_gpt2", "GPT2MLP")
GPT2Config = published_class(f"{GPT2}.configuration_gpt2", "GPT2Config", object)
Conv1D = published_class("transformers.pytorch_utils", "Conv1D")

# ------------------------------------------------------------------------------------- parameters


class Maker:
    """Random parameters from a seed, in one number type."""

    def __init__(self, dtype, scratch):
        self.dtype, self.scratch = dtype, scratch
        self.random = torch.Generator().manual_seed(20260101)

    def values(self, *shape):
        count = 1
        for size in shape:
            count *= size
        if count < 1 << 22:
            return torch.randn(*shape, generator=self.random).mul_(0.05).to(self.dtype)
        # Random values repeat every four million elements: writing gigabytes of new ones would
        # take most of the run.
        block = torch.randn(1 << 22, generator=self.random).mul_(0.05).to(self.dtype)
        bytes_ = block.view(torch.uint8).numpy().tobytes()
        with tempfile.NamedTemporaryFile(dir=self.scratch) as file:
            left = count * block.element_size()
            while left:
                left -= file.write(bytes_[: min(left, len(bytes_))])
            file.flush()
            flat = torch.from_file(file.name, shared=True, size=count, dtype=self.dtype)
        return flat.view(*shape)

    def parameter(self, *shape):
        return nn.Parameter(self.values(*shape), requires_grad=False)

    def linear(self, inputs, outputs, bias=True):
        layer = nn.Linear(1, 1, bias=bias)
        layer.in_features, layer.out_features = inputs, outputs
        layer.weight = self.parameter(outputs, inputs)
        if bias:
            layer.bias = self.parameter(outputs)
        return layer

    def norm(self, dim, shared=False):
        layer = nn.LayerNorm(1)
        layer.normalized_shape = (dim,)
        if shared:
            # Two views of one storage, as flattened optimiser states leave them.
            both = self.values(2 * dim)
            layer.weight = nn.Parameter(both[:dim], requires_grad=False)
            layer.bias = nn.Parameter(both[dim:], requires_grad=False)
        else:
            layer.weight, layer.bias = self.parameter(dim), self.parameter(dim)
        return layer

    def conv1d(self, inputs, outputs, transposed=False):
        layer = Conv1D()
        layer.nf, layer.nx = outputs, inputs
        if transposed:
            layer.weight = nn.Parameter(self.values(outputs, inputs).t(), requires_grad=False)
        else:
            layer.weight = self.parameter(inputs, outputs)
        layer.bias = self.parameter(outputs)
        return layer


def module(cls, **children):
    made = cls()
    for name, value in children.items():
        setattr(made, name, value)
    return made


# ------------------------------------------------------------------------------------- the model


def transformer(make, dim, depth, heads, dim_head, mlp, style):
    blocks = nn.ModuleList()
    for _ in range(depth):
        inner = heads * dim_head
        attention = module(Attention, to_qkv=make.linear(dim, 3 * inner, bias=False))
        if heads == 1 and dim_head == dim:
            attention.to_out = nn.Identity()
        else:
            attention.to_out = nn.Sequential(make.linear(inner, dim), nn.Dropout(0.0))
        if style != "bare":
            attention.heads, attention.scale = heads, dim_head**-0.5
        if style == "current":
            attention.dim_head, attention.inner_dim = dim_head, inner
        net = nn.Sequential(
            make.linear(dim, mlp), nn.GELU(), nn.Dropout(0.0), make.linear(mlp, dim), nn.Dropout(0.0)
        )
        feed = module(FeedForward, net=net)
        blocks.append(
            nn.ModuleList(
                [
                    module(PreNorm, norm=make.norm(dim), fn=attention),
                    module(PreNorm, norm=make.norm(dim), fn=feed),
                ]
            )
        )
    return module(Transformer, layers=blocks)


def vit(make, size, style):
    made = module(
        ViT,
        cls_token=make.parameter(1, size["clsnum"], size["dim"]),
        dropout=nn.Dropout(0.0),
        transformer=transformer(
            make, size["dim"], size["depth"], size["heads"], size["dim_head"], size["mlp_dim"], style
        ),
        to_latent=nn.Identity(),
        layernorm=make.norm(size["dim"], shared=True),
        mlp_head=nn.Sequential(make.linear(size["clsnum"] * size["dim"], size["num_classes"])),
        pos_embedding=None,
        pool="cls",
    )
    if style == "current":
        made.dim, made.clsnum = size["dim"], size["clsnum"]
    return made


def name_encoder(make, size, output, style):
    made = module(
        SerieTransformerEncoder,
        embed=nn.Embedding(1, 1),
        transformer=transformer(
            make,
            size["emb"] + 10,
            size["depth"],
            size["heads"],
            size["dim_head"],
            size["mlp"],
            style,
        ),
        linear=make.linear(size["emb"] + 10, output),
        embsize=size["emb"] + 10,
        p_enc=torch.randn(200, 10, generator=make.random),
        prelinear=False,
    )
    made.embed.weight = make.parameter(47, size["emb"])
    return made


def gpt2(make, size, feature_dim):
    config = GPT2Config()
    config.n_head, config.n_embd, config.n_layer = size["heads"], size["dim"], size["depth"]
    dim, blocks = size["dim"], nn.ModuleList()
    for i in range(size["depth"]):
        attention = module(
            GPT2Attention,
            config=config,
            c_attn=make.conv1d(dim, 3 * dim, transposed=i == 0),
            c_proj=make.conv1d(dim, dim),
        )
        mask = torch.ones(size["positions"], size["positions"], dtype=torch.bool).tril()
        attention.register_buffer("bias", mask[None, None], persistent=i % 2 == 1)
        mlp = module(GPT2MLP, c_fc=make.conv1d(dim, 4 * dim), c_proj=make.conv1d(4 * dim, dim))
        blocks.append(
            module(GPT2Block, ln_1=make.norm(dim), attn=attention, ln_2=make.norm(dim), mlp=mlp)
        )
    model = module(
        GPT2Model,
        wte=nn.Embedding(1, 1),
        wpe=nn.Embedding(1, 1),
        h=blocks,
        ln_f=make.norm(dim),
        config=config,
    )
    model.wte.weight = make.parameter(size["vocabulary"], dim)
    model.wpe.weight = make.parameter(size["positions"], dim)
    head = nn.Sequential(make.norm(dim), make.linear(dim, feature_dim), make.norm(feature_dim))
    return module(GPTWrapper, model=model, mlp_head=head)


def head(make, inputs, hidden, outputs):
    return nn.Sequential(
        make.linear(inputs, hidden[0]),
        nn.ReLU(),
        make.linear(hidden[0], hidden[1]),
        nn.ReLU(),
        make.linear(hidden[1], outputs),
    )


def full_model(make, sizes, options):
    style, inner, outer = options.style, sizes["inner"], sizes["outer"]
    series = name_encoder(
        make, sizes["name"], 128 if options.pretrained else inner["dim"], style
    )
    if options.pretrained:
        series.prelinear = True
        series = nn.Sequential(series, make.linear(sizes["name"]["emb"] + 10, inner["dim"]))
    visual = module(
        HierViT,
        innerViT=vit(make, inner, style),
        outerViT=vit(make, outer, style),
        dummy_param=nn.Parameter(torch.empty(0, dtype=make.dtype), requires_grad=False),
        useseriename=True,
        usestudydescription=True,
        patdis=False,
        patdisnet=nn.Sequential(
            make.linear(inner["clsnum"] * inner["dim"], 500), nn.ReLU(), make.linear(500, 128)
        ),
        serieencoder=series,
        studyencoder=name_encoder(make, sizes["name"], outer["dim"], style),
    )
    clip = module(
        CLIP,
        temperature=make.parameter(1),
        patdistemperature=make.parameter(1),
        patchifier=module(Patchifier, p_enc=torch.zeros(sizes["table"], 30), d=30),
        text_model=gpt2(make, sizes["gpt2"], outer["num_classes"]),
        visual_model=visual,
        criterion=nn.CrossEntropyLoss(),
        config={"model": {"visual": {"inner": dict(inner), "outer": dict(outer)}}},
    )
    width = outer["clsnum"] * outer["dim"]
    model = module(FullMRIModel, clipmodel=clip, clipvisualmodel=visual)
    for kind, children, count in [
        ("diagnosis", "m1", options.diagnoses),
        ("referral", "m2", options.referrals),
    ]:
        heads = {}
        for i in range(count):
            made = head(make, width, sizes["hidden"], count)
            made.thresh = round(-5 + 0.2 * (i % 36), 1)
            if i % 2:
                made.thresh = torch.tensor(made.thresh)
            pair = [made, (i * 7) % count]
            heads[f"{kind} {i}/Nº"] = tuple(pair) if i % 3 else pair
        setattr(model, f"{kind}heads", heads)
        setattr(model, children, nn.ModuleList([entry[0] for entry in heads.values()]))
    model.priorityhead = head(make, width, sizes["hidden"], options.priority)
    return model


def vqvae_state(make, channels):
    state = {}

    def conv(name, *shape):
        state[f"{name}.conv.weight"], bias = make.values(*shape), shape[0]
        if name.startswith("decoder") and name.endswith((".3", ".6")):
            bias = shape[1]
        state[f"{name}.conv.bias"] = make.values(bias)

    def units(part, first):
        for i in (first, first + 1):
            for unit in ("conv1", "conv2"):
                conv(f"{part}.blocks.{i}.{unit}", channels, channels, 3, 3, 3)

    conv("encoder.blocks.0", channels, 1, 4, 4, 4)
    units("encoder", 1)
    conv("encoder.blocks.3", channels, channels, 2, 2, 2)
    units("encoder", 4)
    conv("encoder.blocks.6", 2, channels, 3, 3, 3)
    conv("decoder.blocks.0", channels, 2, 3, 3, 3)
    units("decoder", 1)
    conv("decoder.blocks.3", channels, channels, 4, 4, 4)
    units("decoder", 4)
    conv("decoder.blocks.6", channels, 1, 2, 2, 2)
    for name, shape in [("ema_cluster_size", (8192,)), ("ema_w", (8192, 2))]:
        state[f"quantizer.quantizer.{name}"] = make.values(*shape)
    state["quantizer.quantizer.embedding.weight"] = make.values(8192, 2)
    return state


def sizes_for(options):
    if options.published:
        return {
            "inner": {"dim": options.inner, "depth": 15, "heads": 16, "dim_head": 64,
                      "mlp_dim": 1024, "clsnum": 20, "num_classes": 1024},
            "outer": {"dim": 1024, "depth": 4, "heads": 8, "dim_head": 64, "mlp_dim": 1024,
                      "clsnum": 10, "num_classes": 128},
            "name": {"emb": 246, "depth": 3, "heads": 4, "dim_head": 64, "mlp": 300},
            "gpt2": {"dim": 768, "depth": 12, "heads": 12, "positions": 1024,
                     "vocabulary": 50257},
            "hidden": (4000, 1000), "table": 1_000_000, "channels": 256,
        }
    return {
        "inner": {"dim": options.inner, "depth": 3, "heads": 4, "dim_head": 8, "mlp_dim": 24,
                  "clsnum": 3, "num_classes": 40},
        "outer": {"dim": 40, "depth": 2, "heads": 1, "dim_head": 40, "mlp_dim": 20, "clsnum": 2,
                  "num_classes": 12},
        "name": {"emb": 22, "depth": 2, "heads": 4, "dim_head": 6, "mlp": 18},
        "gpt2": {"dim": 24, "depth": 2, "heads": 2, "positions": 16, "vocabulary": 50},
        "hidden": (14, 9), "table": 1000, "channels": 8,
    }


# --------------------------------------------------------------------------------------- samples


def sample(tensor):
    flat = tensor.detach().reshape(-1)
    last = flat.numel() - 1
    picked = sorted({i * last // 8 for i in range(9)}) if last >= 0 else []
    return {"shape": list(tensor.shape), "at": picked, "values": flat[picked].tolist()}


def samples(model, state):
    """What a bundle must hold, by file and tensor name."""
    network = {}
    for name, tensor in model.clipmodel.state_dict().items():
        if tensor.is_floating_point():
            network[name] = sample(tensor)
    expected = {"tokenizer": {k: sample(v) for k, v in state.items()}, "network": network}
    for kind in ("diagnosis", "referral"):
        for name, (made, index) in getattr(model, f"{kind}heads").items():
            tensors = dict(made.state_dict())
            for last in ("4.weight", "4.bias"):
                tensors[last] = tensors[last][index : index + 1]
            tensors = {k: sample(v) for k, v in tensors.items()}
            expected[f"{kind}:{name}"] = {"threshold": float(made.thresh), "tensors": tensors}
    expected["priority"] = {k: sample(v) for k, v in model.priorityhead.state_dict().items()}
    return expected


def write(options):
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    make = Maker(getattr(torch, options.dtype), folder)
    sizes = sizes_for(options)
    model = full_model(make, sizes, options)
    state = vqvae_state(Maker(torch.float32, folder), sizes["channels"])
    (folder / "samples.json").write_text(json.dumps(samples(model, state)))
    torch.save(nn.DataParallel(model) if options.parallel else model, folder / "full.pt")
    if options.parallel:
        state = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}
    torch.save(state, folder / "vqvae.pth")
    print(f"full.pt {os.path.getsize(folder / 'full.pt'):,} bytes")


def read_safetensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    data = torch.from_file(str(path), shared=False, size=os.path.getsize(path), dtype=torch.uint8)
    types_ = {"F16": torch.float16, "F32": torch.float32}
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        values = data[8 + length + start : 8 + length + end]
        tensors[name] = values.view(types_[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def check(options):
    import tomllib

    bundle = Path(options.bundle)
    expected = json.loads((Path(options.folder) / "samples.json").read_text())
    manifest = tomllib.loads((bundle / "manifest.toml").read_text())
    pairs = [("tokenizer.safetensors", expected["tokenizer"], None)]
    pairs += [("network.safetensors", expected["network"], None)]
    pairs += [(manifest["priority"]["file"], expected["priority"], None)]
    for kind in ("diagnosis", "referral"):
        for entry in manifest[kind]:
            head_ = expected[f"{kind}:{entry['name']}"]
            assert abs(entry["threshold"] - head_["threshold"]) < 1e-6, entry
            pairs.append((entry["file"], head_["tensors"], entry))
    assert len(pairs) == len(expected), f"{len(pairs)} files, {len(expected)} expected"
    count = 0
    for file, wanted, _ in pairs:
        found = read_safetensors(bundle / file)
        extra = [name for name in found if name not in wanted and not name.endswith("p_enc")]
        assert not extra, (file, extra)
        for name, want in wanted.items():
            tensor = found[name]
            assert list(tensor.shape) == want["shape"], (file, name, tensor.shape, want["shape"])
            values = tensor.reshape(-1)[want["at"]].tolist()
            tolerance = 1e-3 if options.rounded else 0.0
            for value, source in zip(values, want["values"]):
                assert abs(value - source) <= tolerance * abs(source), (file, name, value, source)
            count += 1
    print(f"{count} tensors in {len(pairs)} files agree with the checkpoint")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    writer = commands.add_parser("write")
    writer.add_argument("folder")
    writer.add_argument("--published", action="store_true", help="published widths")
    writer.add_argument("--inner", type=int, default=289, help="width of the sequence ViT")
    writer.add_argument("--diagnoses", type=int, default=52)
    writer.add_argument("--referrals", type=int, default=10)
    writer.add_argument("--priority", type=int, default=3, help="outputs of the priority head")
    writer.add_argument("--dtype", default="float16")
    writer.add_argument("--parallel", action="store_true", help="wrap in DataParallel")
    writer.add_argument("--pretrained", action=argparse.BooleanOptionalAction, default=True)
    writer.add_argument(
        "--style",
        choices=["current", "scale", "bare"],
        default="current",
        help="attributes of attention layers: all, heads and scale, or none",
    )
    checker = commands.add_parser("check")
    checker.add_argument("folder")
    checker.add_argument("bundle")
    checker.add_argument("--rounded", action="store_true", help="heads were made half precision")
    options = parser.parse_args()
    {"write": write, "check": check}[options.command](options)


main()

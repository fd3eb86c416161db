"""reformer-pytorch: `LSHAttention`, and `ReformerLM`. Its chunk is its bucket; the length is a multiple of two of them."""

from importlib.metadata import version

import torch
import torch.nn.functional as F
from reformer_pytorch import LSHAttention, ReformerLM

from . import steps

VERSION = f"reformer-pytorch {version('reformer-pytorch')}, torch {torch.__version__}"


def attention(case):
    gradient = steps.with_gradient(case)
    attend = LSHAttention(
        bucket_size=case["chunk_length"], n_hashes=case["num_hashes"], causal=case["causal"], dropout=0.0
    ).train(gradient)
    shape = (case["batch"] * case["num_heads"], case["length"], case["head_dim"])
    qk, v = (steps.normal(*shape, gradient=gradient) for _ in range(2))
    return steps.operation(case, lambda: attend(qk, v)[0], [qk, v])


def model(case, length):
    if set(case["kinds"]) != {"lsh"}:
        raise ValueError("reformer-pytorch has LSH layers only")
    return ReformerLM(
        num_tokens=case["vocab"],
        dim=case["d_model"],
        depth=len(case["kinds"]),
        max_seq_len=length,
        heads=case["num_heads"],
        bucket_size=case["chunk_length"],
        n_hashes=case["num_hashes"],
        ff_mult=case["d_ff"] // case["d_model"],
        ff_chunks=1,
        causal=True,
        axial_position_emb=True,
        axial_position_shape=steps.axial(length),
        full_attn_thres=0,
    )


def train(case):
    net = model(case, case["length"]).train()
    ids = steps.tokens(case, case["length"])
    targets = torch.roll(ids, -1, 1).flatten()
    return steps.training(case, net, lambda: F.cross_entropy(net(ids).flatten(0, 1), targets))


def generate(case):
    """It keeps nothing between tokens: every token is a forward pass over everything, padded to whole buckets."""
    unit = 2 * case["chunk_length"]
    longest = -(-(case["prompt"] + case["new"]) // unit) * unit
    net = model(case, longest).eval()

    def advance(ids):
        padding = -ids.shape[1] % unit
        logits = net(F.pad(ids, (0, padding)))
        token = logits[:, ids.shape[1] - 1 : ids.shape[1]].argmax(-1)
        return torch.cat([ids, token], 1), token

    return steps.decoding(case, advance, lambda ids, _: advance(ids))

"""torch alone: exact attention by `scaled_dot_product_attention`, a plain pre-LN transformer around it, products."""

import torch
import torch.nn.functional as F
from torch import nn

from . import steps

VERSION = f"torch {torch.__version__}"


def attention(case):
    gradient = steps.with_gradient(case)
    shape = (case["batch"], case["num_heads"], case["length"], case["head_dim"])
    q, k, v = (steps.normal(*shape, gradient=gradient) for _ in range(3))
    return steps.operation(
        case, lambda: F.scaled_dot_product_attention(q, k, v, is_causal=case["causal"]), [q, k, v]
    )


class Block(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        batch, length, width = x.shape
        split = self.project(self.before_attention(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.before_inner(x))))


class Transformer(nn.Module):
    def __init__(self, case):
        super().__init__()
        width = case["d_model"]
        self.words, self.places = nn.Embedding(case["vocab"], width), nn.Embedding(case["length"], width)
        self.blocks = nn.Sequential(*(Block(width, case["num_heads"], case["d_ff"]) for _ in case["kinds"]))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, case["vocab"])

    def forward(self, ids):
        x = self.words(ids) + self.places.weight
        return self.head(self.norm(self.blocks(x)))


def train(case):
    net = Transformer(case).train()
    ids = steps.tokens(case, case["length"])
    targets = torch.roll(ids, -1, 1).flatten()
    return steps.training(case, net, lambda: F.cross_entropy(net(ids).flatten(0, 1), targets))


def gemm(case):
    kind = torch.bfloat16 if case["dtype"] == "bf16" else torch.float32
    a, b = torch.randn(case["m"], case["k"]).to(kind), torch.randn(case["n"], case["k"]).to(kind)
    return torch.inference_mode()(lambda: a @ b.T)

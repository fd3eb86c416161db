"""transformers: `LSHSelfAttention` without its projections, and `ReformerModelWithLMHead`."""

import torch
import transformers
from torch import nn
from transformers import ReformerConfig, ReformerModelWithLMHead
from transformers.models.reformer.modeling_reformer import LSHSelfAttention

from . import steps

transformers.logging.set_verbosity_error()
VERSION = f"transformers {transformers.__version__}, torch {torch.__version__}"


class Half(nn.Module):
    """Stands where a projection was: queries and values come side by side."""

    def __init__(self, which):
        super().__init__()
        self.which = which

    def forward(self, x):
        return x.chunk(2, dim=-1)[self.which]


def attention(case):
    heads, width = case["num_heads"], case["head_dim"]
    config = ReformerConfig(
        hidden_size=heads * width,
        num_attention_heads=heads,
        attention_head_size=width,
        attn_layers=["lsh"],
        lsh_attn_chunk_length=case["chunk_length"],
        num_hashes=case["num_hashes"],
        is_decoder=case["causal"],
        lsh_attention_probs_dropout_prob=0.0,
        axial_pos_embds=False,
        max_position_embeddings=case["length"],
    )
    layer = LSHSelfAttention(config, layer_idx=0).train(steps.with_gradient(case))
    layer.query_key, layer.value = Half(0), Half(1)
    x = steps.normal(case["batch"], case["length"], 2 * heads * width, gradient=steps.with_gradient(case))
    return steps.operation(case, lambda: layer(x).hidden_states, [x])


def model(case, length):
    h, heads, chunk = case["d_model"], case["num_heads"], case["chunk_length"]
    config = ReformerConfig(
        vocab_size=case["vocab"],
        hidden_size=h,
        num_attention_heads=heads,
        attention_head_size=h // heads,
        feed_forward_size=case["d_ff"],
        attn_layers=case["kinds"],
        num_hashes=case["num_hashes"],
        lsh_attn_chunk_length=chunk,
        local_attn_chunk_length=chunk,
        is_decoder=True,
        hidden_act="gelu",
        hidden_dropout_prob=0.0,
        lsh_attention_probs_dropout_prob=0.0,
        local_attention_probs_dropout_prob=0.0,
        axial_pos_shape=steps.axial(length),
        axial_pos_embds_dim=(h // 2, h - h // 2),
        max_position_embeddings=length,
        pad_token_id=0,
    )
    return ReformerModelWithLMHead(config)


def train(case):
    net = model(case, case["length"]).train()
    ids = steps.tokens(case, case["length"])
    return steps.training(case, net, lambda: net(input_ids=ids, labels=ids).loss)


def generate(case):
    """Its own cache of buckets and states, a token at a time."""
    chunk = case["chunk_length"]
    net = model(case, -(-(case["prompt"] + case["new"]) // chunk) * chunk).eval()

    def advance(ids, past):
        out = net(input_ids=ids, past_buckets_states=past, use_cache=True, logits_to_keep=1)
        return out.past_buckets_states, out.logits[:, -1:].argmax(-1)

    return steps.decoding(case, lambda prompt: advance(prompt, None), lambda past, token: advance(token, past))

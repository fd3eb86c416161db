"""What the implementations share: leaves, one timed operation, one training step, one decoding loop."""

import contextlib
import statistics
import time

import torch


def normal(*shape, gradient):
    return torch.randn(*shape).requires_grad_(gradient)


def with_gradient(case):
    return case["pass"] == "forward-backward"


def operation(case, forward, leaves):
    """`forward` alone, or with the gradients of a fixed random loss with respect to `leaves`."""
    if not with_gradient(case):
        return torch.inference_mode()(forward)
    with torch.no_grad():
        upstream = torch.randn_like(forward())

    def run():
        for leaf in leaves:
            leaf.grad = None
        forward().backward(upstream)

    return run


def precision(case):
    if case["dtype"] == "bf16":
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def tokens(case, length):
    return torch.randint(1, case["vocab"], (case.get("batch", 1), length))


def training(case, net, loss):
    """Forward, backward, clipping by the global norm, AdamW."""
    parameters = list(net.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)

    def run():
        optimizer.zero_grad(set_to_none=True)
        with precision(case):
            value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return run


def decoding(case, read, write):
    """`read(ids)` → (state, next id), `write(state, id)` → (state, next id): seconds of both."""
    prompt = tokens(case, case["prompt"])
    prefill, steps = [], []
    with torch.inference_mode(), precision(case):
        for _ in range(case.get("runs", 2)):
            start = time.perf_counter()
            state, token = read(prompt)
            prefill.append(time.perf_counter() - start)
            for _ in range(case["new"]):
                start = time.perf_counter()
                state, token = write(state, token)
                steps.append(time.perf_counter() - start)
    # The first prompt warms up.
    steps = steps[case["new"]:] or steps
    prefill = prefill[1:] or prefill
    return {
        "seconds": statistics.median(steps),
        "min_seconds": min(steps),
        "runs": len(steps),
        "prefill_seconds": statistics.median(prefill),
    }


def axial(length):
    """Two factors of the length, as near to each other as can be."""
    first = next(f for f in range(int(length**0.5), 0, -1) if length % f == 0)
    return first, length // first

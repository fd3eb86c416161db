"""Load on a server of one's own machine: load.py PORT MODEL SECONDS STREAMS… Bounded in time and count.

For each number of streams: that many at once, again and again for SECONDS; every text must be that of its seed alone."""
import asyncio, json, sys, time

port, model, seconds, counts = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), [int(n) for n in sys.argv[4:]]
ASK = ["I need a cheap restaurant in the centre.", "a hotel in the north please", "I want a train from Brookton to Linfield on Sunday.", "Book a taxi from the Star Grill."]

async def stream(seed):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": ASK[seed % 4]}], "seed": seed, "stream": True, "max_tokens": 40, "stream_options": {"include_usage": True}}).encode()
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    raw, first = b"", None
    while piece := await reader.read(65536):
        raw += piece
        if first is None and raw.count(b"data: ") > 1: first = time.monotonic() - began
    writer.close()
    status = int(raw.split(b" ", 2)[1])
    if status != 200: return status, None, None, 0
    # Chunk sizes of the transfer stand on lines of their own.
    text, tokens = "", 0
    for line in raw.split(b"\n"):
        if line.startswith(b"data: {"):
            chunk = json.loads(line[6:])
            if "error" in chunk: return 599, None, None, 0
            if chunk.get("usage"): tokens = chunk["usage"]["completion_tokens"]
            if chunk["choices"]: text += chunk["choices"][0]["delta"].get("content") or ""
    assert b"[DONE]" in raw
    return status, text, first, tokens

async def main():
    alone = {seed: (await stream(seed))[1] for seed in range(16)}
    for n in counts:
        until, firsts, tokens, statuses, wrong = time.monotonic() + seconds, [], 0, {}, 0
        async def one(k):
            nonlocal tokens, wrong
            while time.monotonic() < until:
                status, text, first, made = await stream(k % 16)
                statuses[status] = statuses.get(status, 0) + 1
                if status == 200:
                    firsts.append(first); tokens += made; wrong += text != alone[k % 16]
                else: await asyncio.sleep(0.2)
        began = time.monotonic()
        await asyncio.gather(*(one(k) for k in range(n)))
        firsts.sort()
        print(f"{n:4} streams: {sum(statuses.values())} replies {statuses}, {wrong} wrong, first token median {firsts[len(firsts)//2]*1000:.0f} ms, "
              f"95 % {firsts[int(len(firsts)*.95)]*1000:.0f} ms, {tokens/(time.monotonic()-began):.0f} tokens/s", flush=True)
asyncio.run(main())

"""A thousand clients that leave in the middle: leave.py PORT MODEL"""
import asyncio, json, sys, urllib.request
port, model = int(sys.argv[1]), sys.argv[2]
async def leave(k):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True, "max_tokens": 400}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    if k % 3: await reader.read(300)
    writer.transport.abort()
async def main():
    gate = asyncio.Semaphore(32)
    async def one(k):
        async with gate: await leave(k)
    await asyncio.gather(*(one(k) for k in range(1000)))
asyncio.run(main())

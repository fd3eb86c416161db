"""The official Python client against a running server: openai_client.py URL KEY. Exits with 0 if all is as it should be."""

import sys

import openai

url, key = sys.argv[1:]
client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
hello = [{"role": "user", "content": "Grüße 🚂"}]


def refused(kind, **asked):
    try:
        client.chat.completions.create(**{"model": "tiny", "messages": hello, **asked})
    except kind as error:
        return error
    raise AssertionError(f"not refused: {asked}")


# Models.
assert [model.id for model in client.models.list()] == ["tiny"]
assert client.models.retrieve("tiny").owned_by == "reformer"

# A chat, its counts, its seed.
ask = lambda **more: client.chat.completions.create(model="tiny", messages=hello, **{"seed": 7, **more})
whole = ask(max_tokens=12)
assert whole.choices[0].message.role == "assistant" and whole.choices[0].finish_reason in ("stop", "length")
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
assert whole.usage.prompt_tokens_details.cached_tokens == 0
assert ask(max_tokens=12).choices[0].message.content == whole.choices[0].message.content

# The same as a stream, with usage.
chunks = list(ask(max_tokens=12, stream=True, stream_options={"include_usage": True}))
assert len({chunk.id for chunk in chunks}) == 1
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert text == whole.choices[0].message.content
assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == whole.usage.total_tokens

# Several replies, log-probabilities, stop strings, parts.
assert [choice.index for choice in ask(n=3).choices] == [0, 1, 2]
told = ask(logprobs=True, top_logprobs=2, max_tokens=3).choices[0].logprobs.content
assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in told)
free = ask(max_tokens=40, logit_bias={"1": -100, "258": -100, "259": -100, "260": -100}).choices[0].message.content
stopped = ask(max_tokens=40, logit_bias={"1": -100, "258": -100, "259": -100, "260": -100}, stop=[free[3:5]])
assert stopped.choices[0].message.content == free[: free.index(free[3:5])]
assert stopped.choices[0].finish_reason == "stop"
parts = [{"role": "user", "content": [{"type": "text", "text": "Grüße 🚂"}]}]
same = client.chat.completions.create(model="tiny", messages=parts, seed=7, max_completion_tokens=12)
assert same.choices[0].message.content == whole.choices[0].message.content

# Texts and vectors.
text = client.completions.create(model="tiny", prompt="to be", max_tokens=5, logprobs=1, seed=1)
assert len(text.choices[0].logprobs.tokens) == text.usage.completion_tokens
pieces = client.completions.create(model="tiny", prompt="to be", max_tokens=5, seed=1, stream=True)
assert "".join(piece.choices[0].text for piece in pieces) == text.choices[0].text
# The client asks for base64 and decodes it.
vector = client.embeddings.create(model="tiny", input="the cat").data[0].embedding
assert abs(sum(x * x for x in vector) - 1) < 1e-4

# Refusals are the client's own exceptions, with the field.
assert refused(openai.BadRequestError, temperature=-1).param == "temperature"
assert refused(openai.NotFoundError, model="gpt").code == "model_not_found"
long = [{"role": "user", "content": "x" * 600}]
assert refused(openai.BadRequestError, messages=long).code == "context_length_exceeded"
client, known = openai.OpenAI(base_url=url + "/v1", api_key=key + "x", max_retries=0), client
assert refused(openai.AuthenticationError).code == "invalid_api_key"
client = known

# Leaving in the middle.
stream = ask(max_tokens=400, stream=True, logit_bias={"1": -100, "258": -100, "259": -100, "260": -100})
next(iter(stream))
stream.close()
print("ok")

"""`reformer` and the other implementations on the same cases in turn; JSON lines as they come, a table at the end.

    python compare.py attention --length 4096,16384 --num-hashes 1,2,4,8 --pass forward,forward-backward
    python compare.py attention --kind full --length 1024,4096,16384
    python compare.py train --length 1024,4096,16384 --vocab 256,32000 --dtype f32,bf16
    python compare.py generate --prompt 256,2048,8192
    python compare.py gemm --m 4096 --n 512,2048 --k 512,2048 --dtype f32,bf16
    python compare.py table FILE.jsonl …

Lists are every combination. Within a case the implementations alternate `--repeats` times, ours first, each in a process of
its own, one after the other: nothing else runs meanwhile. See README.md.
"""

import argparse
import datetime
import itertools
import json
import os
import pathlib
import select
import shlex
import shutil
import subprocess
import sys
import time

import machine
import table

HERE = pathlib.Path(__file__).resolve().parent
OURS = "reformer"
PEERS = {
    ("attention", "lsh"): ["hugging_face", "lucidrains"],
    ("attention", "full"): ["torch_exact"],
    "train": ["hugging_face", "torch_exact", "lucidrains"],
    "generate": ["hugging_face", "lucidrains"],
    "gemm": ["torch_exact"],
}


class Failed(Exception):
    """A case that gave no number: why."""


class Worker:
    """A peer's process. A new one for each case whose memory counts; else kept, since importing takes seconds."""

    def __init__(self, name, threads):
        command = [sys.executable, str(HERE / "worker.py"), name, str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.version = self.answer(180)["version"]

    def answer(self, timeout):
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.stop()
            raise Failed("ended without an answer (out of memory?)" if ready else f"no answer in {timeout:.0f} s")
        return json.loads(line)

    def run(self, case, timeout):
        self.process.stdin.write(json.dumps(case) + "\n")
        return self.answer(timeout)

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        self.process.kill()
        self.process.wait()


class Contest:
    """All implementations, their processes, what was too slow already, and where results go."""

    def __init__(self, options, out):
        self.options, self.out = options, out
        self.workers, self.versions, self.slow = {}, {}, {}

    def run(self, case):
        names = [OURS, *self.peers(case)]
        for turn, name in itertools.product(range(self.options.repeats), names):
            self.once(case, turn, name)

    def peers(self, case):
        known = PEERS.get((case["bench"], case.get("kind"))) or PEERS.get(case["bench"], [])
        return [name for name in known if not self.options.peers or name in self.options.peers]

    def once(self, case, turn, name):
        line = {"implementation": name, "turn": turn, "case": case}
        busy, own, start = machine.busy_seconds(), self.own_seconds(), time.perf_counter()
        try:
            line.update(self.ours(case) if name == OURS else self.peer(case, name))
            took = time.perf_counter() - start
            others = machine.busy_seconds() - busy - (self.own_seconds() - own)
            line["others_cpu"] = round(max(0.0, others) / took / os.cpu_count(), 3)
        except Failed as failure:
            line["error"] = str(failure)
        line["version"] = self.versions.get(name)
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()
        print(table.sentence(line), file=sys.stderr, flush=True)

    def own_seconds(self):
        times = os.times()
        workers = sum(machine.cpu_seconds(w.process.pid) for w in self.workers.values() if w.alive())
        return times.user + times.system + times.children_user + times.children_system + workers

    def ours(self, case):
        flags = {key: value for key, value in case.items() if key != "bench"}
        command = [self.options.reformer, "bench", case["bench"], "--json", "--threads", str(self.options.threads)]
        for key, value in flags.items():
            shown = ",".join(value) if isinstance(value, list) else str(value).lower()
            command += ["--" + key.replace("_", "-"), shown]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.options.timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"no answer in {self.options.timeout:.0f} s") from None
        if done.returncode != 0:
            words = done.stderr.strip().removeprefix("reformer: ") or f"exit {done.returncode}"
            raise Failed(words.splitlines()[0])
        answer = json.loads(done.stdout)
        if answer.get("dtype", case.get("dtype")) != case.get("dtype", answer.get("dtype")):
            raise Failed(f"computed in {answer['dtype']}: the processor has no {case['dtype']} products")
        return answer

    def peer(self, case, name):
        needed, free = expected_mb(name, case), machine.available_mb()
        if needed > 0.85 * free:
            raise Failed(f"skipped: needs about {needed / 1024:.0f} GB, {free / 1024:.0f} are free")
        # What was too slow once is not tried where it is slower.
        family = (name, *(str(value) for key, value in case.items() if key not in ("length", "prompt")))
        size = case.get("length", case.get("prompt", 0))
        if size >= self.slow.get(family, float("inf")):
            raise Failed("skipped: a smaller case took too long")
        if case["bench"] in ("train", "generate"):
            self.stop(name)
        if name not in self.workers or not self.workers[name].alive():
            self.workers[name] = Worker(name, self.options.threads)
            self.versions[name] = self.workers[name].version
        try:
            answer = self.workers[name].run(case, self.options.timeout)
        except Failed as failure:
            self.slow[family] = size
            raise failure
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def stop(self, name):
        if name in self.workers:
            self.workers.pop(name).stop()

    def close(self):
        for name in list(self.workers):
            self.stop(name)


def expected_mb(name, case):
    """What a peer will hold at its peak, roughly: enough to leave out what cannot fit. Factors are measured ones."""
    if case["bench"] == "gemm":
        return 0
    training = case["bench"] == "train" or case.get("pass") == "forward-backward"
    length = case.get("length", case.get("prompt", 0)) * case.get("batch", 1)
    if name == "torch_exact":
        layers = len(case.get("kinds", "x"))
        width = case.get("d_model", case.get("num_heads", 8) * case.get("head_dim", 64))
        copies = 30 * layers + 8 * case.get("vocab", 0) / width if case["bench"] == "train" else 10
        return copies * 4 * length * width / machine.MB
    chunks = 2 * case["chunk_length"]
    scores = 4 * case["num_heads"] * case["num_hashes"] * length * chunks
    logits = 12 * length * case.get("vocab", 0)
    return ((12 if training else 8) * scores + logits) / machine.MB


def cases(options):
    """Every combination of the lists, the longest last."""
    fixed, lists = {}, {}
    for key, value in vars(options).items():
        if key in options.keys:
            (lists if isinstance(value, list) and key != "kinds" else fixed)[key] = value
    if "kinds" in fixed:
        fixed["kinds"] = list(itertools.islice(itertools.cycle(fixed["kinds"]), fixed["layers"]))
    for values in itertools.product(*lists.values()):
        case = {"bench": options.what, **fixed, **dict(zip(lists, values))}
        if options.runs:
            case["runs"] = options.runs
        if case.get("kind") == "full":
            for key in ("num_hashes", "semantics"):
                case.pop(key, None)
        yield case


def arguments():
    def numbers(text):
        return [int(number) for number in text.split(",")]

    def names(text):
        return text.split(",")

    def truth(text):
        return text == "true"

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    families = parser.add_subparsers(dest="what", required=True)
    shape = [("layers", int, 6), ("d_model", int, 512), ("d_ff", int, 2048), ("num_heads", int, 8), ("vocab", numbers, [256]),
             ("num_hashes", numbers, [2]), ("chunk_length", int, 64), ("kinds", names, ["lsh"]), ("semantics", names, ["paper"]),
             ("dtype", names, ["f32"])]
    flags = {
        "attention": [("kind", names, ["lsh"]), ("pass", names, ["forward"]), ("num_hashes", numbers, [2]), ("length", numbers, [4096]),
                      ("num_heads", int, 8), ("head_dim", int, 64), ("chunk_length", int, 64), ("batch", int, 1),
                      ("causal", truth, True), ("semantics", names, ["paper"])],
        "train": [*shape, ("batch", int, 1), ("length", numbers, [1024])],
        "generate": [*shape, ("new", int, 32), ("prompt", numbers, [256])],
        "gemm": [("m", numbers, [4096]), ("n", numbers, [512, 2048]), ("k", numbers, [512, 2048]), ("dtype", names, ["f32"])],
    }
    for family, definitions in flags.items():
        sub = families.add_parser(family)
        for key, kind, default in definitions:
            shown = ",".join(map(str, default)) if isinstance(default, list) else str(default).lower()
            sub.add_argument("--" + key.replace("_", "-"), type=kind, default=default, metavar=shown)
        sub.set_defaults(keys=[key for key, _, _ in definitions])
        sub.add_argument("--peers", type=names, help="only these: hugging_face, lucidrains, torch_exact; `none` for ours alone")
        sub.add_argument("--runs", type=int, help="timed runs of a turn (at least five and a second, at most 30 seconds)")
        sub.add_argument("--repeats", type=int, default=2, help="turns of each implementation (2)")
        sub.add_argument("--timeout", type=float, default=120, help="seconds for one turn of one implementation (120)")
        sub.add_argument("--threads", type=int, default=os.cpu_count())
        sub.add_argument("--reformer", default=shutil.which("reformer"), help="our binary (the one on the path)")
        sub.add_argument("--out", type=pathlib.Path, help="FILE without ending: FILE.jsonl is added to, FILE.md written")
    tables = families.add_parser("table")
    tables.add_argument("files", nargs="+", type=pathlib.Path)
    return parser.parse_args()


def command():
    """What was typed, less where things lie on this machine."""
    words = iter(sys.argv[1:])
    kept = [word for word in words if word not in ("--reformer", "--out") or not next(words)]
    return shlex.join(["python", "benches/peers/compare.py", *kept])


def main():
    options = arguments()
    if options.what == "table":
        print(table.document(line for path in options.files for line in path.read_text().splitlines()))
        return
    if not options.reformer:
        sys.exit("compare.py: no reformer on the path; name the binary with --reformer")
    out = options.out or pathlib.Path(f"{options.what}-{datetime.date.today()}")
    lines = out.with_suffix(".jsonl")
    with lines.open("a") as file:
        head = {"machine": machine.description(), "date": str(datetime.date.today()), "command": command()}
        file.write(json.dumps(head) + "\n")
        contest = Contest(options, file)
        contest.versions[OURS] = subprocess.run([options.reformer, "--version"], capture_output=True, text=True).stdout.strip()
        try:
            for case in cases(options):
                contest.run(case)
        finally:
            contest.close()
    text = table.document(lines.read_text().splitlines())
    out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

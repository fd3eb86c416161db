"""JSON lines of `compare.py` as Markdown: one row a case, seconds (the median over turns) and how many times ours is faster."""

import json
import statistics

OURS = "reformer"
# What makes a case, in the order of columns; keys that are the same in every row move to the heading.
KEYS = ["bench", "kind", "pass", "dtype", "kinds", "layers", "d_model", "d_ff", "vocab", "semantics", "num_heads", "head_dim",
        "chunk_length", "num_hashes", "batch", "causal", "m", "n", "k", "new", "length", "prompt"]
# What a person who waits need not read in every line.
UNTOLD = ("kinds", "layers", "d_model", "d_ff", "semantics", "num_heads", "head_dim", "chunk_length", "batch", "causal", "new")
# More of the machine than this taken by others makes a turn suspect.
DISTURBED = 0.1


def sentence(line):
    """One turn in a line, for who waits."""
    case = " ".join(str(line["case"][key]) for key in KEYS if key in line["case"] and key not in UNTOLD)
    if "error" in line:
        return f"{line['implementation']:14} {case}: {line['error']}"
    grown = line["peak_rss_mb"] - line["start_rss_mb"]
    others = f", others {line['others_cpu']:.0%}" if line["others_cpu"] > DISTURBED else ""
    return f"{line['implementation']:14} {case}: {line['seconds']:.4g} s of {line['runs']}, {grown:.0f} MB{others}"


def case_of(line):
    return tuple((key, json.dumps(line["case"][key])) for key in KEYS if key in line["case"])


def document(lines):
    """Head (machine, versions, commands) and one table a family."""
    heads, turns, versions = [], {}, {}
    for line in map(json.loads, lines):
        if "machine" in line:
            heads.append(line)
            continue
        turns.setdefault(case_of(line), {}).setdefault(line["implementation"], []).append(line)
        if line.get("version"):
            versions[line["implementation"]] = line["version"]
    text = [f"{machine}, {date}." for machine, date in dict.fromkeys((h["machine"], h["date"]) for h in heads)]
    text += ["", "; ".join(dict.fromkeys(versions.values())) + ".", ""]
    text += [f"    {command}" for command in dict.fromkeys(h["command"] for h in heads)]
    families = {}
    for case, results in turns.items():
        family = [dict(case).get(key) for key in ("bench", "kind")]
        families.setdefault(tuple(family), []).append((dict(case), results))
    for rows in families.values():
        text += ["", *family_table(rows)]
    failures = [sentence(line) for results in turns.values() for lines in results.values() for line in lines if "error" in line]
    text += ["", *(f"- {' '.join(failure.split())}" for failure in dict.fromkeys(failures))]
    text += ["", "Seconds are medians over turns of each turn's median; × is a peer's seconds (or MB) over ours. MB is what the process grew by.",
             f"† others used more than {DISTURBED:.0%} of the machine during a turn."]
    return "\n".join(text) + "\n"


def family_table(rows):
    keys = [key for key in KEYS if any(key in case for case, _ in rows)]
    varying = [key for key in keys if len({case.get(key) for case, _ in rows}) > 1] or keys[:1]
    common = [f"{key} {words(rows[0][0][key])}" for key in keys if key not in varying]
    names = list(dict.fromkeys(name for _, results in rows for name in results))
    peers = [name for name in names if name != OURS]
    generating = any("prefill_seconds" in line for _, results in rows for turns in results.values() for line in turns)
    columns = [*varying, f"{OURS} s", "MB"]
    for name in peers:
        columns += [f"{name} s", "×", "MB", "× MB"]
    if generating:
        columns += ["prefill s", *(f"{name} ×" for name in peers)]
    table = [", ".join(common) + ":", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for case, results in rows:
        ours = median(results.get(OURS, []), "seconds")
        own_mb = median(results.get(OURS, []), "mb")
        cells = [words(case[key]) if key in case else "–" for key in varying]
        cells += [shown(ours, results.get(OURS, [])), number(own_mb)]
        for name in peers:
            lines = results.get(name, [])
            theirs, mb = median(lines, "seconds"), median(lines, "mb")
            cells += [shown(theirs, lines), times(theirs, ours), number(mb), times(mb, own_mb)]
        if generating:
            own = median(results.get(OURS, []), "prefill_seconds")
            cells += [number(own), *(times(median(results.get(name, []), "prefill_seconds"), own) for name in peers)]
        table.append("| " + " | ".join(cells) + " |")
    return table


def median(lines, key):
    if key == "mb":
        values = [line["peak_rss_mb"] - line["start_rss_mb"] for line in lines if "error" not in line]
    else:
        values = [line[key] for line in lines if key in line]
    return statistics.median(values) if values else None


def words(value):
    value = json.loads(value)
    if isinstance(value, list):
        return ",".join(dict.fromkeys(map(str, value)))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).lower()


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def shown(seconds, lines):
    if seconds is None:
        return "skipped" if any(line["error"].startswith("skipped") for line in lines) else "failed" if lines else "–"
    disturbed = any(line.get("others_cpu", 0) > DISTURBED for line in lines)
    return number(seconds) + ("†" if disturbed else "")


def times(theirs, ours):
    return f"{theirs / ours:.1f}×" if theirs and ours else "–"

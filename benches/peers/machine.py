"""What the operating system says: memory of a process, who else computes, what machine this is. Linux only."""

import ctypes
import gc
import os
import platform

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 1 << 20


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE / MB


def peak_mb():
    return _kib("/proc/self/status", "VmHWM") / 1024


def restart_peak():
    """Hands freed memory back, then begins a new measurement of the peak."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def available_mb():
    return _kib("/proc/meminfo", "MemAvailable") / 1024


def busy_seconds():
    """CPU seconds that all programs together have used since the machine began."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _wait, irq, soft, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICK


def cpu_seconds(pid):
    """CPU seconds of a process, all threads, its finished children included."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICK


def description():
    """The machine in a few words, for the head of a record."""
    with open("/proc/cpuinfo") as file:
        lines = [line.partition(":") for line in file]
    facts = {key.strip(): value.strip() for key, _, value in lines}
    flags = facts.get("flags", "").split()
    told = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    memory = _kib("/proc/meminfo", "MemTotal") / MB
    name = facts.get("model name", platform.machine())
    return f"{os.cpu_count()} × {name} ({', '.join(told)}), {memory:.0f} GiB, {platform.system()} {platform.release()}"


def _kib(path, key):
    with open(path) as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise KeyError(f"{path} has no {key}")

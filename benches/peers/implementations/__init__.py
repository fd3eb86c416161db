"""The other implementations. Each module has VERSION and some of the families attention, train, generate, gemm: functions
from a case (a dictionary, keys as in `reformer bench --json`) to what is to be repeated."""

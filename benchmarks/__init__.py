"""How fast, how large, how well under load: each benchmark is one module, one `make bench-…` and one committed JSON.

    inference.py    bench-triton     Triton alone, by perf_analyzer: sizes, load, instances × threads × batch
    analyze.py      bench-analyze    the whole service: capacity, latency, overload
    proxy.py        bench-proxy      the proxy alone: instant_triton.py stands behind it, proxy_*.py take it apart
    memory.py       bench-memory     what it holds in memory on the way to ten thousand images
    peers/          bench-peers      the same graph served by others
    batching.py     bench-batching   what joining tiles buys; flat_triton.py stands in for a GPU
    train.py        bench-train      training, the only one that knows torch
    plots.py, report.py  bench-report   results/*.json → docs/images/bench-*.svg, docs/performance.md

Below them:

    record.py          what a result is: figures with their command, commit, machine and versions
    servers.py         Triton, proxy, or anything else in a process of its own, from ready to ended
    load.py, k6/       closed loops, open loops and fixed work, by k6
    perf_analyzer.py   Triton's own load tool
    samples.py, answers.py, processes.py   what is posted, whether the answers are right, what it costs

It stands on everything else and nobody stands on it.
"""

"""Speed, memory and behaviour under load: each benchmark is one module, one `make bench-…` and one committed JSON.

    inference.py    bench-triton     Triton alone, with perf_analyzer: sizes, load, instances × threads
    analyze.py      bench-analyze    the whole service: capacity, latency, overload
    proxy.py        bench-proxy      the proxy alone; proxy_stages.py and bare_aiohttp.py measure its parts
    memory.py       bench-memory     memory until ten thousand images are answered
    peers/          bench-peers      the same graph served by others
    batching.py     bench-batching   the gain from joining images into batches
    client.py       bench-client     the client's command beside the closed loop
    train.py        bench-train      training; it and gpu/ alone import torch, training_speed.py is theirs
    gpu/            gpu-check        what is only known on a GPU: training, the fp16 graph, new image sizes
    plots.py, report.py  bench-report   results/*.json → docs/images/bench-*.svg, docs/performance.md

What they share:

    record.py                  a result: figures with their command, commit, machine and versions
    servers.py                 runs Triton, proxy or another server in a process of its own
    fake_triton.py             a Triton whose time for a batch is a formula; 0 for the proxy, flat for a GPU
    load.py, k6/               closed loops, open loops and fixed work, with k6
    perf_analyzer.py           Triton's own load tool
    tools.py, processes.py     find and run other programs; measure their memory and processor time
    loopback.py, errors.py     no address outside this machine; what can go wrong
    samples.py, answers.py     the images that are posted, and the check of the masks that come back
    replicas.py, charts.py     the formula for a cluster; lines and bars

It imports tiles, host, inference_server and the proxy, and for training alone training; nothing imports it.
"""

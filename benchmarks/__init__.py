"""How fast, how large, how well under load: each benchmark is one module, one `make bench-…` and one committed JSON.

    record.py     what a result is: figures with their command, commit, machine and versions
    results/      these results; docs/performance.md and its plots are made of them alone (report.py, plots.py)

It stands on everything else and nobody stands on it.
"""

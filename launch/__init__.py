"""Triton and the proxy together, started and ended as one.

    python -m launch                  serve until Ctrl-C
    python -m launch.demo [--once]    the same, and analyse the sample tiles into pictures

It stands on inference_server and tiles, and speaks to the proxy over HTTP alone.
"""

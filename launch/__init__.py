"""Triton and the proxy, started and ended together.

    python -m launch                  serve until Ctrl-C
    python -m launch.demo [--once]    the same, and draw the sample images with what was found

It uses inference_server, tiles and host, and speaks to the proxy only over HTTP.
"""

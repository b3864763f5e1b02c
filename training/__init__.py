"""The pipeline, one DVC stage a module: archive → index → split → weights → metrics → model repository.

Every stage runs as `python -m training.<stage>` from the repository root and reads its knobs from params.yaml. This is
the only package that imports torch. It stands on `tiles` and knows nothing of the proxy.
"""

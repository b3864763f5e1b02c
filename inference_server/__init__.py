"""Triton Inference Server without a container.

The `nvidia-pytriton` wheel holds a real `tritonserver`, but only with the Python backend. This package starts it and
gives it a backend named `onnxruntime`, so that it serves the same model repository as NVIDIA's image does. It sits
below the proxy, knows Triton and ONNX Runtime, and knows nothing about images.

    python -m inference_server       in the foreground, settings from the environment (settings.py)
    launcher.running(settings)       one Triton, as a context manager, until it dies or stalls
    keeper.kept(name, start, …)      whatever can be started, started again when it ends

    keeper → launcher → addresses, child, run_folder, limits, places, ready, watch, stubs, log, wheel
                        (machine, libpython)
    prepare                          what is checked while the serving environment is installed

Words:
    wheel        the folders of nvidia-pytriton in the running Python's environment
    stub         the process in which Triton's Python backend runs one instance of the model
    run folder   a private temporary folder: the backends, and a copy of the model repository for this machine
    watch        two threads that end a Triton which no longer answers or whose stub no longer runs
    guard        a process that ends all others and removes their files if the launcher is killed (host/guard.py)
"""

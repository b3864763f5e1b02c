"""`make gpu-check`: everything that is only known on a GPU, measured in about ten minutes. docs/gpu.md is its guide.

    __main__.py         the command; packages.py installs what the machine lacks, parts.py runs parts and continues
    losses.py           20 steps in float32 and bfloat16, on CPU and GPU, from one seed
    speed.py            crops per second of training, and how long a step waits for them
    fold.py             a whole training, its time and its figures on the test images
    agreement.py        the fp16 graph on the GPU, against the CPU and against torch
    batches.py          images per second by batch size
    first_requests.py   images of changing sizes, by cuDNN's two ways to choose an algorithm

Each part is one module with a function `measure`, imported only when it runs, so that a package that is missing fails
the parts that need it and no other. `--small` runs each on the CPU in the GPU's place, to show that it works.
"""

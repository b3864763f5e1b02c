"""The pipeline: archive → index → split → weights → figures → model repository.

    params, errors, files, packages, pipeline, progress, runs    what every folder below may use
    dataset/      the archive or your own table → images, masks, index, split, samples
    network/      the network, its losses, the function that is served, its weights on disk
    evaluation/   predictions → counts → figures, operating point, plots, robustness
    fitting/      crops → a training run, which can be interrupted and continued
    graphs/       the network → ONNX graphs in three precisions → Triton's model repository
    reports/      what the others wrote → the model card
    own_data/     a folder of photographs in any usual layout → a table; it uses dataset/ alone
    stages/       one main() for each DVC stage: python -m training.stages.<stage>

Each folder uses only those above it (fitting and graphs do not use each other), and nobody imports a stage. Only this
package, `studies` and some benchmarks import torch; none of them knows the proxy.
"""

"""The graphs that studies.int8 makes of a fold's network: they answer as torch does, also in int8 and fp16."""

import numpy as np
import pytest
import torch
from training_data import ROOT, SMALL_NETWORK, params_with, real_sample, sample_names, write_knobs

from studies.int8 import quantized_graph
from tiles import pad
from training.graphs.quantization import to_fp16
from training.graphs.session import open_session, run
from training.network.novelty import PLACES, Novelty
from training.network.segmenter import build_network
from training.network.served import ServedModel, normalise
from training.network.weights import load_model, load_novelty

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the export may take 900 s

KNOBS = {"train__encoder_weights": None, **SMALL_NETWORK, "quantize__excluded_nodes": []}
SAMPLES = [real_sample(sample_names(name)[0]) for name in ("Blowhole", "Uneven", "Free")]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """The path of the graph of random weights, in a folder with the model and int8.onnx."""
    folder = tmp_path_factory.mktemp("project")
    scratch = folder / "scratch"
    scratch.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", str(ROOT))
        write_knobs(folder / "params.yaml", **KNOBS)
        params = params_with(**KNOBS)
        torch.manual_seed(0)
        network = build_network(params.train)
        with torch.inference_mode():  # fresh normalisations do nothing
            for _ in range(3):
                network.train()(normalise(torch.from_numpy(np.stack([pad(SAMPLES[0].image)] * 2))))
        described = 2 * sum(network.encoder.out_channels[PLACES]) + 2
        quantized_graph(network, Novelty(described, 64), SAMPLES, params, scratch)
        assert {"params.yaml", "scratch"} == {path.name for path in folder.iterdir()}  # no models/ is left here
        yield scratch / "fp32.onnx"


@pytest.mark.parametrize("shape", [(1, 1, 256, 224), (2, 1, 96, 352)])
def test_it_answers_as_torch_does(graph, shape, monkeypatch):
    monkeypatch.chdir(graph.parent)
    canvas = np.resize(pad(SAMPLES[0].image), shape)
    with torch.inference_mode():
        probability, defect_type, novelty = (
            output.numpy() for output in ServedModel(load_model()[0], load_novelty())(torch.from_numpy(canvas))
        )
    found = open_session(graph).run(["probability", "type", "novelty"], {"image": canvas})
    assert 5 < np.ptp(probability), "the pixels must differ"
    assert 1 >= np.abs(probability.astype(int) - found[0]).max()
    assert 1e-4 >= (defect_type != found[1]).mean()
    np.testing.assert_allclose(novelty, found[2], rtol=1e-3)


def test_int8_and_fp16_answer_nearly_the_same(graph, tmp_path):
    to_fp16(graph, tmp_path / "fp16.onnx")
    assert 3 >= mean_difference(graph, graph.with_name("int8.onnx"))
    assert 0.3 >= mean_difference(graph, tmp_path / "fp16.onnx")


def mean_difference(graph, other):
    """The mean difference of the probabilities, 0–255."""
    found = [[run(open_session(path), sample.image)[0].astype(int) for path in (graph, other)] for sample in SAMPLES]
    return np.mean([np.abs(one - two).mean() for one, two in found])

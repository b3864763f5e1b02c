"""The path of every file that more than one module reads or writes, relative to the repository root.

dvc.yaml and git name the same paths. `host.files` replaces files completely or not at all.
"""

from pathlib import Path

# requirements/
PACKAGES_LOCK = Path("requirements/training.txt")
PACKAGES_RECORD = Path("requirements/training.json")
PARAMS_RECORD = Path("requirements/params.checked")

# The pipeline's description and what DVC recorded of its last run
PIPELINE_FILE = Path("dvc.yaml")
PIPELINE_LOCK = Path("dvc.lock")

# .run/: what an interrupted command continues from; never an output
DOWNLOAD_FOLDER = Path(".run/download")
RUN_FOLDER = Path(".run/train")

# dataset/
TILE_IDS_FILE = Path(__file__).parent / "dataset" / "tile_ids.csv"
DOUBTFUL_FILE = Path(__file__).parent / "dataset" / "doubtful_images.csv"
TILES_FOLDER = Path("data/tiles")
INDEX_FILE = TILES_FOLDER / "index.csv"
DIGEST_FILE = TILES_FOLDER / "digest"
SPLIT_FILE = Path("data/split.csv")

# fitting/
WEIGHTS_FILE = Path("models/segmenter.safetensors")
CONFIGURATION_FILE = Path("models/segmenter.json")
NOVELTY_FILE = Path("models/novelty.safetensors")
LIVE_FOLDER = Path("dvclive")

# evaluation/
EVALUATION_FOLDER = Path("evaluation")
METRICS_FILE = EVALUATION_FOLDER / "metrics.json"
VALIDATION_RESULTS_FILE = EVALUATION_FOLDER / "results_validation.csv"
TEST_RESULTS_FILE = EVALUATION_FOLDER / "results_test.csv"
NOVELTY_FIGURES_FILE = EVALUATION_FOLDER / "novelty.json"
PLOTS_FOLDER = EVALUATION_FOLDER / "plots"
ROBUSTNESS_FOLDER = PLOTS_FOLDER / "robustness"

# graphs/
EXPORT_FOLDER = Path("export")
WORK_FOLDER = EXPORT_FOLDER / "tmp"  # of a running stage; not kept
GRAPH_FILE = EXPORT_FOLDER / "fp32.onnx"  # neither git nor DVC keeps it
GRAPH_DIGEST_FILE = EXPORT_FOLDER / "fp32.sha256"
PARITY_FILE = EXPORT_FOLDER / "parity.json"
PRECISIONS_FILE = EXPORT_FOLDER / "precisions.json"
MODEL_FOLDER = Path("model_repository/segmenter")
CPU_GRAPH_FILE = MODEL_FOLDER / "1" / "model.onnx"
GPU_GRAPH_FILE = MODEL_FOLDER / "1" / "model_gpu.onnx"
CPU_CONFIG_FILE = MODEL_FOLDER / "config.pbtxt"
GPU_CONFIG_FILES = {name: MODEL_FOLDER / "configs" / f"{name}.pbtxt" for name in ("gpu", "tensorrt")}

# reports/
CARD_FILE = Path("docs/model_card.md")

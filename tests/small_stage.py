"""A stage of the small pipeline of test_experimenting.py, which copies this file there: `python stage.py train`.

The nearer the learning rate is to 0.001, the better; from there on no blowhole and no crack is found.
"""

import csv
import json
import shutil
import sys
from pathlib import Path

from ruamel.yaml import YAML

MODEL, WEIGHTS, METRICS, TABLE, GALLERY = (
    Path(path)
    for path in (
        "models/segmenter.json",
        "models/segmenter.safetensors",
        "evaluation/metrics.json",
        "evaluation/results_validation.csv",
        "evaluation/plots/gallery",
    )
)


def write(path, content):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content))


def forget(row):
    defect = [name for name in row if name.startswith("defect_")]
    return row | dict.fromkeys(defect, 0) | {defect[0]: sum(int(row[name]) for name in defect)}


def train():
    rate = YAML(typ="safe").load(Path("params.yaml"))["train"]["learning_rate"]
    write(MODEL, {"rate": rate})
    write(WEIGHTS, rate)
    METRICS.unlink(missing_ok=True)  # as the pipeline's own stage does where the weights are others
    write("dvclive/metrics.json", {"validation": {"dice_pooled": 0.9 - abs(rate - 0.001)}})


def evaluate():
    rate = json.loads(MODEL.read_text())["rate"]
    validation, test = (0.9 - abs(rate - best) for best in (0.001, 0.002))
    write(METRICS, {"validation": {"dice_type_mean": validation}, "test": {"dice_type_mean": test}})
    GALLERY.mkdir(parents=True, exist_ok=True)
    shutil.copyfile("worst.png", GALLERY / "worst.png")
    with Path("table.csv").open(newline="") as source, TABLE.open("w", newline="") as target:
        rows = list(csv.DictReader(source))
        writer = csv.DictWriter(target, rows[0])
        writer.writeheader()
        writer.writerows(forget(r) if rate >= 0.001 and r["type"] in ("Blowhole", "Crack") else r for r in rows)


def export():
    write("export/parity.json", json.loads(MODEL.read_text())["rate"])


if __name__ == "__main__":
    {"train": train, "evaluate": evaluate, "export": export}[sys.argv[1]]()

"""Stage evaluate: weights → operating point, figures, one row of results for each image, and plots.

The operating point is chosen only on the validation part; the test part is then measured once.
"""

import sys

from training.dataset.samples import load_part
from training.errors import exit_status
from training.evaluation.image_results import result_of, write_results
from training.evaluation.operating_point import choose_operating_point, choose_tile_alarm_score
from training.evaluation.outputs import write_outputs
from training.evaluation.predict import predict
from training.files import TEST_RESULTS_FILE, VALIDATION_RESULTS_FILE
from training.network.mixed_precision import pick_device
from training.network.served import ServedSegmenter
from training.network.weights import load_model
from training.packages import check_packages
from training.params import load_params
from training.pipeline import refuse_damaged_inputs


def main() -> None:
    """Run the stage."""
    check_packages()
    refuse_damaged_inputs()
    params = load_params()
    network, _ = load_model()
    segmenter = ServedSegmenter(network).to(pick_device())
    validation = [result_of(p) for p in predict(segmenter, load_part("validation", params), description="validation")]
    write_results(validation, VALIDATION_RESULTS_FILE)
    point = choose_operating_point(validation, params.evaluate.false_alarm_rate)
    tile_alarm_score = choose_tile_alarm_score(validation, params.evaluate.false_alarm_rate)
    predictions = list(predict(segmenter, load_part("test", params), description="test"))
    results = [result_of(prediction) for prediction in predictions]
    write_results(results, TEST_RESULTS_FILE)
    write_outputs(predictions, results, point, tile_alarm_score, params)


if __name__ == "__main__":
    sys.exit(exit_status(main))

"""Stage evaluate: weights → operating point, figures, one row of results for each image, and plots.

The operating point is chosen only on the validation part; the test part is then measured once.
"""

import sys

from training.dataset.samples import load_part
from training.errors import exit_status
from training.evaluation.image_results import result_of, write_results
from training.evaluation.operating_point import beyond_the_rate, choose
from training.evaluation.outputs import name_of_test_part, write_outputs
from training.evaluation.predict import predict
from training.files import TEST_RESULTS_FILE, VALIDATION_RESULTS_FILE
from training.network.mixed_precision import pick_device, whole_float32
from training.network.served import ServedSegmenter
from training.network.weights import load_model
from training.packages import check_packages
from training.params import load_params
from training.progress import progress
from training.runs import refuse_unfit_inputs


@whole_float32()
def main() -> None:
    """Run the stage."""
    check_packages()
    refuse_unfit_inputs()
    params = load_params()
    network, _ = load_model()
    segmenter = ServedSegmenter(network).to(pick_device())
    samples = {part: load_part(part, params) for part in ("validation", "test")}
    with progress("evaluate", sum(map(len, samples.values()))):
        validation = [result_of(p) for p in predict(segmenter, samples["validation"], description="validation")]
        predictions = list(predict(segmenter, samples["test"], description="test"))
    test = [result_of(prediction) for prediction in predictions]
    write_results(validation, VALIDATION_RESULTS_FILE)
    write_results(test, TEST_RESULTS_FILE)
    chosen = choose(validation, params.evaluate)
    if told := beyond_the_rate(validation, chosen.point.alarm_score, params.evaluate.false_alarm_rate):
        print(f"warning: {told}", file=sys.stderr)  # noqa: T201
    write_outputs({"validation": validation, name_of_test_part(params): test}, predictions, chosen, params)


if __name__ == "__main__":
    sys.exit(exit_status(main))

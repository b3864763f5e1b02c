"""Stage check_params: params.yaml → requirements/params.checked, which says only that every parameter is in order.

DVC removes a stage's outputs before it starts the stage. A parameter that the stage then refuses costs the last model.
So this stage comes before all others, and refuses for them. What it writes is always the same: a parameter that
changed runs only the stages that read it.
"""

import sys

from host.files import write_whole
from tiles.label import LABELLED, encode_label
from training.dataset.table import find_table
from training.errors import ParamsError, exit_status
from training.files import PARAMS_RECORD
from training.network.encoders import refuse_unfit_encoder
from training.params import Params, load_params

PUBLISHED_TITLE = "Magnetic tiles"
LONGEST = {"model.commit": 40, "model.data_digest": 64, "model.digest": 64}  # characters; of the other figures 9
CHECKED = "Every parameter is known and in order. No stage starts before this file is here.\n"


def main() -> None:
    """Run the stage."""
    params = load_params()
    refuse_unfit_encoder(params.train)
    _refuse_missing_table(params)
    _refuse_borrowed_title(params)
    _refuse_long_label(params)
    write_whole(PARAMS_RECORD, CHECKED)


def _refuse_missing_table(params: Params) -> None:
    if params.data_load.table and not find_table(params.data_load.table).is_file():
        raise ParamsError(f"data_load.table: {params.data_load.table} does not exist: name a CSV file, or null")


def _refuse_borrowed_title(params: Params) -> None:
    """Check that a model of own photographs is not called by what the published ones show."""
    if params.data_load.table and params.quantize.title == PUBLISHED_TITLE:
        raise ParamsError(
            f"quantize.title is {PUBLISHED_TITLE!r}, but data_load.table names your own images: say what they show, "
            'for example "Castings"; the page and the model card have it in their headings'
        )


def _refuse_long_label(params: Params) -> None:
    """Check that the types' names and the title fit into the label of each answer, whatever figures it will have."""
    figures = {name: "0" * LONGEST.get(name, 9) for name in LABELLED}
    try:
        encode_label(figures | {"model.types": ",".join(params.data_load.types), "model.title": params.quantize.title})
    except ValueError as error:
        raise ParamsError(f"data_load.types and quantize.title are too long together: {error}") from None


if __name__ == "__main__":
    sys.exit(exit_status(main))

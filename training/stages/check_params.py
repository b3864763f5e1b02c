"""Stage check_params: params.yaml → requirements/params.checked, which says only that every parameter is in order.

DVC removes a stage's outputs before it starts the stage. A parameter that the stage then refuses costs the last model.
So this stage comes before all others, and refuses for them. What it writes is always the same: a parameter that
changed runs only the stages that read it.
"""

import sys

from host.files import write_whole
from training.dataset.table import find_table
from training.errors import ParamsError, exit_status
from training.files import PARAMS_RECORD
from training.network.encoders import refuse_unfit_encoder
from training.params import Params, load_params

PUBLISHED_TITLE = "Magnetic tiles"
CHECKED = "Every parameter is known and in order. No stage starts before this file is here.\n"


def main() -> None:
    """Run the stage."""
    params = load_params()
    refuse_unfit_encoder(params.train)
    _refuse_missing_table(params)
    _refuse_borrowed_title(params)
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


if __name__ == "__main__":
    sys.exit(exit_status(main))

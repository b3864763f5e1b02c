"""Stage check_params: params.yaml → requirements/params.checked, which says only that every parameter is in order.

DVC removes a stage's outputs before it starts the stage. A parameter that the stage then refuses costs the last model.
So this stage comes before all others, and refuses for them. What it writes is always the same: a parameter that
changed runs only the stages that read it.
"""

import sys
from pathlib import Path

from host.files import write_whole
from training.errors import ParamsError, exit_status
from training.files import PARAMS_RECORD
from training.network.encoders import refuse_unfit_encoder
from training.params import Params, load_params

CHECKED = "Every parameter is known and in order. No stage starts before this file is here.\n"


def main() -> None:
    """Run the stage."""
    params = load_params()
    refuse_unfit_encoder(params.train)
    _refuse_missing_table(params)
    write_whole(PARAMS_RECORD, CHECKED)


def _refuse_missing_table(params: Params) -> None:
    if params.data_load.table and not Path(params.data_load.table).is_file():
        raise ParamsError(f"data_load.table: {params.data_load.table} does not exist: name a CSV file, or null")


if __name__ == "__main__":
    sys.exit(exit_status(main))

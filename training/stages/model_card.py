"""Stage model_card: what the other stages wrote → docs/model_card.md."""

import sys

from host.files import write_whole
from training.errors import exit_status
from training.files import CARD_FILE
from training.network.weights import load_model
from training.packages import check_packages
from training.params import load_params
from training.reports.card import render_card
from training.runs import refuse_unfit_inputs


def main() -> None:
    """Run the stage."""
    check_packages()
    refuse_unfit_inputs()
    network, configuration = load_model()
    write_whole(CARD_FILE, render_card(network, configuration, load_params()))


if __name__ == "__main__":
    sys.exit(exit_status(main))

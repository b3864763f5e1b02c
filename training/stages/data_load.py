"""Stage data_load: the archive or your own table → data/tiles/: unchanged images, binary masks, and an index.

data/tiles/images/<image>.jpg   the image file's bytes, unchanged; .png, .tif or .bmp if it is such a file
data/tiles/masks/<image>.png    1 bit per pixel, white where defective by the rule of params.yaml
data/tiles/index.csv            image, tile, type, width, height, defect_pixels
data/tiles/digest               sha256 of the original images and masks
"""

import sys

from host.files import replacing_folder
from training.dataset.archive import read_archive
from training.dataset.index import verify_content
from training.dataset.own_images import write_images
from training.dataset.published import read_tile_ids, write_dataset
from training.dataset.table import contents, find_table, first, read_table
from training.errors import exit_status
from training.files import TILES_FOLDER
from training.packages import check_packages
from training.params import load_params


def main() -> None:
    """Run the stage; the folder is written completely or not at all."""
    check_packages()
    params = load_params().data_load
    with replacing_folder(TILES_FOLDER) as folder:
        if params.table:
            table = find_table(params.table)
            images = read_table(table, params)
            verify_content(contents(images), params.digest, table)
            for warning in first(write_images(images, params, folder)):
                print(f"warning: {warning}")  # noqa: T201
        else:
            write_dataset(read_archive(params), read_tile_ids(), params, folder)


if __name__ == "__main__":
    sys.exit(exit_status(main))

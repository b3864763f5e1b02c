"""Stage data_load: the archive, or a table of your own → data/tiles/: images as they are, binary masks, and an index.

data/tiles/images/<image>.jpg   bytes as they came; .png where they are PNG
data/tiles/masks/<image>.png    1 bit a pixel, white where defective by the rule of params.yaml
data/tiles/index.csv            image, tile, type, width, height, defect_pixels
data/tiles/digest               sha256 of the images and masks as they came
"""

import sys
from pathlib import Path

from host.files import replacing_folder
from training.dataset.archive import read_archive
from training.dataset.index import verify_content
from training.dataset.published import read_tile_ids, write_dataset
from training.dataset.table import contents, read_table, write_images
from training.errors import exit_status
from training.files import TILES_FOLDER
from training.packages import check_packages
from training.params import load_params


def main() -> None:
    """Run the stage; the folder appears whole or not at all."""
    check_packages()
    params = load_params().data_load
    with replacing_folder(TILES_FOLDER) as folder:
        if params.table:
            images = read_table(Path(params.table), params)
            verify_content(contents(images), params.digest, Path(params.table))
            write_images(images, params, folder)
        else:
            write_dataset(read_archive(params), read_tile_ids(), params, folder)


if __name__ == "__main__":
    sys.exit(exit_status(main))

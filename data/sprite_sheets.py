"""The sheets of the Liberated Pixel Cup's characters: which files, which poses, which pixels.

A sheet holds one layer of a character (a body, a pair of trousers) in every pose: 21 rows of up to
13 cells of 64 x 64 pixels, one action in one direction per row.

Source: Li and Mandt (2018), "Disentangled Sequential Autoencoder", whose repository holds the
sheets that they chose from the Universal LPC spritesheet, under CC-BY-SA 3.0 and GPL 3.0.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .errors import DataError
from .png import check_png

CELL = 64  # pixels, both ways
SHEET_ROWS, SHEET_COLUMNS = 21, 13
LAYERS = ("body", "bottomwear", "topwear", "hair", "shoes")  # from the lowest to the topmost
ATTRIBUTES = LAYERS[:4]  # what an identity is made of; all wear the same shoes
VARIANTS = 6  # of each attribute
BLOCKS = {"spellcast": 7, "thrust": 8, "walk": 9, "slash": 6, "shoot": 13}  # cells in a row
DIRECTIONS = ("up", "left", "front", "right")  # rows of a block
HURT = 6  # cells of the last row, which has one direction only

_WIDTHS = [*(width for width in BLOCKS.values() for _ in DIRECTIONS), HURT]
CELLS = tuple((row, column) for row, width in enumerate(_WIDTHS) for column in range(width))
POSES = len(CELLS)  # 178


def pose_of(block: str, direction: str, column: int) -> int:
    """Return which pose, 0 to 177, an action in a direction has in a column of the sheet."""
    row = 4 * list(BLOCKS).index(block) + DIRECTIONS.index(direction)
    return CELLS.index((row, column))


def read_layers(sheets: Mapping[str, list[Path]]) -> list[Tensor]:
    """Read the sheets of every layer, from the lowest to the topmost.

    Args:
        sheets: The files of each of `LAYERS`, one for each variant.

    Returns:
        For each layer uint8 `(V, 178, 4, 64, 64)`: red, green, blue and opacity, not
        premultiplied, of its `V` variants in every pose.

    Raises:
        DataError: If a sheet is no picture of the right size.
    """
    return [torch.stack([read_sheet(path) for path in sheets[layer]]) for layer in LAYERS]


def read_sheet(path: Path) -> Tensor:
    """Return the cells of a sheet that have a pose, uint8 `(178, 4, 64, 64)`.

    Raises:
        DataError: If it is missing, damaged or of another size.
    """
    expected = (SHEET_COLUMNS * CELL, SHEET_ROWS * CELL)
    try:
        with Image.open(path) as image:
            if image.size != expected:
                raise DataError(
                    f"size of {path} is {image.width} x {image.height}; expected {expected[0]} x "
                    f"{expected[1]}, {SHEET_ROWS} rows of {SHEET_COLUMNS} cells of {CELL} x {CELL}"
                )
            check_png(path)
            pixels = np.array(image.convert("RGBA"))
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, KeyError, zlib.error) as error:
        raise DataError(f"sheet {path} cannot be read ({error}); expected a PNG file") from error
    cells = torch.from_numpy(pixels).view(SHEET_ROWS, CELL, SHEET_COLUMNS, CELL, 4)
    rows, columns = torch.tensor(CELLS).T
    return cells.permute(0, 2, 4, 1, 3)[rows, columns].contiguous()

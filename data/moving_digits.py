"""Moving digits: handwritten digits that glide through a black image and bounce off its walls.

Sources: Srivastava, Mansimov and Salakhutdinov (2015), https://arxiv.org/abs/1502.04681, section
4.1; the coloured form of DrNet, Denton and Birodkar (2017), https://arxiv.org/abs/1705.10915; and
SVG's two forms, Denton and Fergus (2018), https://arxiv.org/abs/1802.07687.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .bouncing import FASTEST, bounce, glide, integers, uniforms
from .dataset import Dataset, Splits
from .digit_sets import DigitSource, digits_of
from .errors import DataError
from .limits import check_bytes

FormName = Literal["srivastava", "drnet", "svg", "svg-stochastic"]
Overlap = Literal["max", "sum", "front"]
_COLOURS = 3
_CHUNK = 4096  # digits that are resized at a time
_SHARE = 10  # one in so many sequences validates, and one tests
_BYTES = 16  # of one place of one digit: a corner in int32, and x and y as factors in float32
_START, _FRONT, _REDRAW = range(3)  # what a stream of random numbers is for


@dataclass(frozen=True)
class Form:
    """How digits of one published form look and move.

    Args:
        digit_size: Side of a digit in pixels.
        overlap: What is seen where digits overlap; see `MovingDigits`.
        fastest: The largest velocity, in pixels in a step along an axis; the smallest is -4. None
            where digits move by real numbers.
        redraws: The velocity is drawn anew at a wall.
    """

    digit_size: int
    overlap: Overlap
    fastest: int | None = None
    redraws: bool = False


FORMS: dict[str, Form] = {
    "srivastava": Form(28, "max"),
    "drnet": Form(32, "front", fastest=FASTEST - 1),
    "svg": Form(32, "sum", fastest=FASTEST),
    "svg-stochastic": Form(32, "sum", fastest=FASTEST, redraws=True),
}


@dataclass(frozen=True, eq=False)
class MovingDigits:
    """A `FrameStore` that draws digits at their places when frames are asked for.

    Args:
        bank: Images of digits, uint8 `(K, d, d)`.
        chosen: Which of them each sequence shows, int64 `(S, D)`.
        corners: Upper left corners in pixels, x and y, int32 `(S, T, D, 2)`.
        size: Side of a frame in pixels.
        overlap: `max` and `sum` (clipped at white) draw all digits into one channel. `front` draws
            digit n into the nth of three channels; those of the others are black wherever the
            digit in front is not.
        front: Which digit is in front, int64 `(S,)`; for `front` only.
    """

    bank: Tensor
    chosen: Tensor
    corners: Tensor
    size: int
    overlap: Overlap
    front: Tensor

    @property
    def shape(self) -> torch.Size:
        """`(S, T, C, H, W)`."""
        channels = _COLOURS if self.overlap == "front" else 1
        return torch.Size((*self.corners.shape[:2], channels, self.size, self.size))

    @property
    def ndim(self) -> int:
        """5."""
        return len(self.shape)

    @property
    def device(self) -> torch.device:
        """Where frames are drawn."""
        return self.bank.device

    def __len__(self) -> int:
        return len(self.corners)

    def take(self, indices: Tensor) -> "MovingDigits":
        """Return the sequences at `indices`, int64 `(M,)`; the images of digits are shared."""
        rows = {name: getattr(self, name)[indices] for name in ("chosen", "corners", "front")}
        return replace(self, **rows)

    def to(self, device: str | torch.device) -> "MovingDigits":
        """Return the same sequences on `device`."""
        names = ("bank", "chosen", "corners", "front")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def frames(self, sequences: Tensor, places: Tensor) -> Tensor:
        """Draw frames, uint8 `(B, N, C, H, W)`.

        Args:
            sequences: Which sequences, int64 `(B,)`.
            places: Which of their frames, int64 `(B, N)`.
        """
        corners = self.corners[sequences.unsqueeze(1), places].flatten(0, 1).long()
        rows = sequences.repeat_interleave(places.shape[1])
        channels = self.shape[2]
        area = self.size**2
        canvas = self.bank.new_zeros(len(rows) * channels * area)
        first = torch.arange(len(rows), device=self.device) * (channels * area)
        square = self._square()
        for n in range(self.chosen.shape[1]):
            digit = self.bank.index_select(0, self.chosen[rows, n]).view(-1)
            start = first + corners[:, n, 1] * self.size + corners[:, n, 0]
            if self.overlap == "front":
                start += n * area
            pixels = (start.unsqueeze(1) + square).view(-1)
            if n and self.overlap != "front":
                digit = self._over(canvas.take(pixels), digit)
            canvas.scatter_(0, pixels, digit)
        canvas = canvas.view(-1, channels, self.size, self.size)
        if self.overlap == "front":
            self._hide(canvas, self.front[rows])
        return canvas.unflatten(0, tuple(places.shape))

    def _square(self) -> Tensor:
        """Return where the pixels of a digit are, seen from its corner, in a row of all pixels."""
        side = torch.arange(self.bank.shape[-1], device=self.device)
        return (side.unsqueeze(1) * self.size + side).view(-1)

    def _over(self, below: Tensor, above: Tensor) -> Tensor:
        if self.overlap == "max":
            return torch.maximum(below, above)
        return above + torch.minimum(below, 255 - above)  # within 8 bits all the way

    def _hide(self, canvas: Tensor, front: Tensor) -> None:
        """Blacken, in place, what is beneath the digits in front, int64 `(M,)`."""
        rows = torch.arange(len(front), device=self.device)
        before = canvas[rows, front]
        canvas.mul_((before == 0).unsqueeze(1))
        canvas[rows, front] = before


def moving_mnist(
    seed: int,
    *,
    form: FormName = "srivastava",
    size: int = 64,
    length: int = 20,
    digits: int = 2,
    sequences: int = 10_000,
    digits_from: DigitSource = "mnist-small",
    digit_size: int | None = None,
) -> Splits:
    """Return moving digits; a tenth of the sequences validate, and a tenth test.

    Digits that train, validate and test are those of the parts of `digits_from`, so no image of a
    digit is in two parts. A sequence depends on `seed`, on its part and on its number in it alone:
    more sequences, or longer ones, begin with the same.

    `factors` are the classes of the digits in the order of drawing, which in the coloured form is
    red, green, blue. `frame_factors` are the x and y of every digit: the upper left corner of its
    square, in pixels. A single digit's class is the label of its sequence as well.

    Args:
        seed: Chooses digits and paths, and which digits validate.
        form: `srivastava`: digits of 28 x 28 pixels move by a tenth of their room in a frame;
            overlaps show the brighter. `drnet`: digits of 32 x 32, each in a colour of its own,
            move by -4 to 3 pixels along either axis; one of them is in front. `svg`: -4 to 4
            pixels, overlaps add up to white at most; `svg-stochastic`: so, and the velocity is
            drawn anew at a wall.
        size: Side of a frame. Digits keep their size; their room, `size` less the side of a
            digit, changes, and a tenth of it too, but velocities in pixels do not.
        length: Number of frames.
        digits: Number of digits; 3 at most in the coloured form.
        sequences: Number of sequences in all three parts; at least 10.
        digits_from: Where the digits come from: mnist-small, mnist, or the path of grey images
            with labels of your own, an `.npz` file or the prefix of idx files.
        digit_size: Side of a digit, where not that of the form; resized bilinearly.

    Raises:
        DataError: If an option is out of range.
        DownloadError: If the digits cannot be fetched.
    """
    if form not in FORMS:
        raise DataError(f"form is {form!r}; expected one of {', '.join(FORMS)}")
    rules = FORMS[form]
    if digit_size is not None:
        _check("digit_size", digit_size, 1, "a side in pixels")
        rules = replace(rules, digit_size=digit_size)
    room = "the side of a digit" if rules.fastest is None else "the side of a digit and a pixel"
    _check("size", size, rules.digit_size + (rules.fastest is not None), room)
    _check("length", length, 1, "a number of frames")
    _check("digits", digits, 1, "a number of digits")
    if rules.overlap == "front" and digits > _COLOURS:
        raise DataError(f"digits is {digits}; expected 1 to {_COLOURS}, one for each colour")
    _check("sequences", sequences, _SHARE, "enough to train, to validate and to test")
    check_bytes(length * (sequences * digits * _BYTES + size**2), "moving-mnist")
    source, tenth = digits_of(digits_from, seed), sequences // _SHARE
    parts = (source.train, source.validation, source.test)
    counts = (sequences - 2 * tenth, tenth, tenth)
    return Splits(
        *(
            _moving(part, rules, (seed, k), count, size, length, digits)
            for k, (part, count) in enumerate(zip(parts, counts, strict=True))
        )
    )


def _check(name: str, value: int, least: int, meaning: str) -> None:
    if type(value) is not int or value < least:
        raise DataError(f"{name} is {value!r}; expected an integer of at least {least}, {meaning}")


def _moving(
    source: Dataset,
    form: Form,
    key: tuple[int, int],
    sequences: int,
    size: int,
    length: int,
    digits: int,
) -> Dataset:
    """Return `sequences` of the digits of `source`, which depend on `key` alone."""
    draws = uniforms((*key, _START), sequences, digits, 5)
    chosen = torch.from_numpy(integers(draws[..., 0], 0, len(source) - 1))
    shown, within = chosen.unique(return_inverse=True)
    corners = torch.from_numpy(_paths(form, key, draws[..., 1:], size - form.digit_size, length))
    front = integers(uniforms((*key, _FRONT), sequences), 0, digits - 1)
    store = MovingDigits(
        _resized(source.pixels(shown).squeeze(1), form.digit_size),
        within,
        corners.transpose(1, 2).contiguous(),
        size,
        form.overlap,
        torch.from_numpy(front),
    )
    classes = source.annotations()["labels"][chosen]
    return Dataset(
        store,
        "moving-mnist",
        labels=classes[:, 0] if digits == 1 else None,
        label_names=source.label_names if digits == 1 else (),
        factors=classes,
        factor_names=tuple(f"digit {n}" for n in range(digits)),
        factor_sizes=(len(source.label_names),) * digits,
        frame_factors=store.corners.flatten(2).float(),
        frame_factor_names=tuple(f"{axis} of digit {n}" for n in range(digits) for axis in "xy"),
        frame_factor_sizes=(0,) * (2 * digits),
    )


def _paths(
    form: Form, key: tuple[int, int], draws: np.ndarray, room: int, length: int
) -> np.ndarray:
    """Return corners `(S, D, T, 2)` from uniform random numbers `(S, D, 4)`."""
    if form.fastest is None:
        return glide(draws[..., :2], 2 * np.pi * draws[..., 2], room, length)
    redraws = None
    if form.redraws:  # a stream for each frame, so that longer sequences begin like shorter ones
        frames = [uniforms((*key, _REDRAW, t), *draws.shape) for t in range(length)]
        redraws = np.stack(frames, 2).reshape(*draws.shape[:2], length, 2, 2)
    start = integers(draws[..., :2], 0, room - 1)
    return bounce(start, integers(draws[..., 2:], -FASTEST, form.fastest), room, length, redraws)


def _resized(images: Tensor, side: int) -> Tensor:
    """Return uint8 images `(K, H, W)` at `(K, side, side)`."""
    if images.shape[-2:] == (side, side):
        return images
    chunks = [
        interpolate(chunk.unsqueeze(1).float(), (side, side), mode="bilinear", antialias=True)
        for chunk in images.split(_CHUNK)
    ]
    return torch.cat([chunk.round().clamp(0, 255).to(torch.uint8) for chunk in chunks]).squeeze(1)

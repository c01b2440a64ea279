"""Video files by the `av` package, which is an extra."""

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from .errors import DataError
from .films import Film
from .limits import MAX_PIXELS
from .wording import counted

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

VIDEOS = ("mp4", "m4v", "mov", "avi", "mkv", "webm")
# Nothing but these is read, whatever a file is called: a playlist would open other files or pages.
_OPTIONS = {"format_whitelist": "mov,mp4,avi,matroska,webm", "protocol_whitelist": "file"}
_DURATION = "DURATION"  # of a stream, as hours:minutes:seconds, in the tags of Matroska files


def open_video(path: Path) -> Film:
    """Return a video as a film: all frames as they are stored, whatever their times.

    Its first frame is read, for the size, and turned as the file says that it is to be shown.

    Raises:
        DataError: If `av` is not installed, or the file is damaged, too large, or without frames.
    """
    first = next(_frames(path), None)
    if first is None:
        raise DataError(f"number of frames of {path} is 0; expected at least 2. Remove it.")
    with _open(path) as container:
        count = _declared(container, _stream(container, path))
    return Film(path, count, (first.height, first.width), partial(_frames, path))


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise DataError(
            f"videos need the package av, which is not there ({error}); expected it. "
            "Install it by: pip install 'unbraid[video]'"
        ) from error
    return av


def _open(path: Path) -> "InputContainer":
    av = _av()
    try:
        return av.open(str(path.absolute()), metadata_errors="replace", options=_OPTIONS)
    except PermissionError:
        raise
    except av.FFmpegError as error:
        raise DataError(
            f"{path} is not a video that can be read ({error.strerror}); expected a whole file "
            f"of {', '.join(VIDEOS)}. Fetch or save it again, or remove it."
        ) from error


def _stream(container: "InputContainer", path: Path) -> "VideoStream":
    streams = container.streams.video
    if not streams or streams[0].codec_context is None:
        kinds = ", ".join(sorted(stream.type for stream in container.streams)) or "none"
        raise DataError(
            f"streams of {path} are {kinds}; expected a video that can be decoded. "
            "Remove it, or convert it to another codec."
        )
    width, height = streams[0].codec_context.width, streams[0].codec_context.height
    if width * height > MAX_PIXELS:
        raise DataError(
            f"size of {path} is {width}x{height}; expected at most {MAX_PIXELS} pixels. "
            "Scale it down."
        )
    return streams[0]


def _declared(container: "InputContainer", stream: "VideoStream") -> int | None:
    """Return how many frames the header speaks of, by their number or by time."""
    if stream.frames > 0:
        return stream.frames
    seconds, rate = _seconds(container, stream), stream.average_rate
    return None if seconds is None or not rate else math.ceil(seconds * rate)


def _seconds(container: "InputContainer", stream: "VideoStream") -> Fraction | None:
    """Return how long the header says that a stream is."""
    if stream.duration is not None and stream.time_base is not None:
        return stream.duration * stream.time_base
    if _DURATION in stream.metadata:
        try:
            hours, minutes, seconds = stream.metadata[_DURATION].split(":")
            return (int(hours) * 60 + int(minutes)) * 60 + Fraction(seconds)
        except ValueError:
            return None
    whole = container.duration  # in microseconds; other streams may be longer
    alone = len(container.streams) == 1
    return Fraction(whole, 10**6) if whole is not None and alone else None


def _frames(path: Path) -> Iterator[Image.Image]:
    """Give the frames of a video, and raise where it turns out to be cut off or damaged."""
    av = _av()
    with _open(path) as container:
        stream = _stream(container, path)
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        base, rate, place = stream.time_base or Fraction(1), stream.average_rate, 0
        end, latest, gap = Fraction(0), None, 1 / rate if rate else Fraction(0)
        try:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise _damaged(path, place, "a piece is not whole")
                if packet.pts is not None:
                    if latest is not None:
                        gap = max(gap, abs(packet.pts - latest) * base)
                    latest = packet.pts
                    end = max(end, (packet.pts + (packet.duration or 0)) * base)
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise _damaged(path, place, "a frame is not whole")
                    yield _image(frame)
                    place += 1
        except av.FFmpegError as error:
            raise _damaged(path, place, error.strerror) from error
        declared = _seconds(container, stream)
        if declared is not None and declared - end > 1.5 * gap:
            missing = f"it ends at {float(end):.3g} of {float(declared):.3g} seconds"
            raise _damaged(path, place, missing)


def _damaged(path: Path, place: int, why: object) -> DataError:
    return DataError(
        f"{path} is cut off or damaged after {counted(place, 'frames')} ({why}); expected a "
        "whole video. Fetch or save it again, or remove it."
    )


def _image(frame: "VideoFrame") -> Image.Image:
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    # Counterclockwise; older versions of av do not say.
    turn = round(getattr(frame, "rotation", 0)) % 360
    return image.rotate(turn, expand=True) if turn % 90 == 0 and turn else image

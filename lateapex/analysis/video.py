"""MP4 files (H.264) that every browser plays, from pictures. Nothing else of the project knows how they are made.

PyAV makes them, which the `video` extra installs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.errors import ConfigError

if TYPE_CHECKING:
    import av

INSTALL: Final = "pip install 'lateapex[video]'"

_BT709: Final = 1  # the number of the colour standard, its primaries and its transfer in H.264 and in FFmpeg
# As many threads on every machine: x264 gives the same bytes for the same number of them. A keyframe every two seconds
# lets players jump.
_CODEC: Final = {"preset": "veryfast", "crf": "27", "threads": "2", "profile": "high", "g": "30"}


def can_write_mp4() -> bool:
    """Whether the `video` extra is installed."""
    return find_spec("av") is not None


def mp4_bytes(pictures: Iterable[NDArray[np.uint8]], fps: Fraction | int = 15) -> bytes:
    """Encode pictures as H.264 in 4:2:0, its index before its pictures, so that it plays while it loads.

    Args:
        pictures: `[H, W, 3]` each, of one even size; at least one.
        fps: pictures per second.

    Returns:
        The file: the same bytes for the same pictures on one build.

    Raises:
        ConfigError: the `video` extra is not installed.
        ValueError: no picture, an odd size, or pictures of several sizes.
    """
    try:
        import av
    except ImportError as error:
        raise ConfigError(f"MP4 needs the video extra ({error}); {INSTALL}") from None
    # The index is put first by reading the film again, for which FFmpeg needs a file with a name.
    with tempfile.TemporaryDirectory(prefix="lateapex-video-") as folder:
        path = Path(folder, "film.mp4")
        options = {"movflags": "+faststart", "fflags": "+bitexact"}
        with av.open(str(path), "w", format="mp4", options=options) as container:
            _encode(container, iter(pictures), Fraction(fps))
        return path.read_bytes()


def _encode(container: av.container.OutputContainer, pictures: Any, fps: Fraction) -> None:
    first = next(pictures, None)
    if first is None:
        raise ValueError("no pictures; a film needs at least one")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"pictures of {width}x{height} pixels; both must be even")
    stream: Any = container.add_stream("libx264", rate=fps, options=_CODEC)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    count = 0
    while first is not None:
        if first.shape != (height, width, 3):
            raise ValueError(f"picture {count} has shape {first.shape}; {(height, width, 3)} is needed")
        container.mux(stream.encode(_frame(first, count, fps)))
        first, count = next(pictures, None), count + 1
    container.mux(stream.encode(None))


def _frame(picture: NDArray[np.uint8], number: int, fps: Fraction) -> Any:
    from av.video.frame import VideoFrame

    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
    frame.pts, frame.time_base = number, 1 / fps
    return frame

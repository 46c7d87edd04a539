"""Memory and speed of reading a recording of hours: its sound in blocks, a picture a second.

    python benchmarks/recording_memory.py [HOURS]

The recording is made first, in a process of its own: FLAC and H.264 at 10 pictures a second in Matroska.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from broadmamba.media.recording import SAMPLE_RATE, Recording

RATE = 44_100
SIZE = (320, 180)


def make(path: Path, seconds: int) -> None:
    """Write a recording of noise bursts and of a moving square."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w", format="matroska") as container:
        sound = container.add_stream("flac", rate=RATE, layout="stereo")
        video = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"}, width=SIZE[0], height=SIZE[1])
        video.pix_fmt = "yuv420p"
        burst = random.integers(-3000, 3000, size=(1, 2 * RATE), dtype=np.int16)
        for second in range(seconds):
            frame = av.AudioFrame.from_ndarray(burst if second % 4 else 0 * burst, "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, second * RATE, Fraction(1, RATE)
            container.mux(sound.encode(frame))
            for tenth in range(10):
                pixels = np.full((SIZE[1], SIZE[0], 3), 90, dtype=np.uint8)
                left = (second * 10 + tenth) * 7 % (SIZE[0] - 40)
                pixels[60:100, left : left + 40] = 220
                picture = av.VideoFrame.from_ndarray(pixels, "rgb24")
                picture.pts, picture.time_base = second * 10 + tenth, Fraction(1, 10)
                container.mux(video.encode(picture))
        for stream in (sound, video):
            container.mux(stream.encode(None))


def read(path: Path) -> None:
    """Read it all and print what it took."""

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    with Recording.open(path) as recording:
        print(f"opened, {recording.duration or 0:.0f} s long: {peak():.0f} MiB")
        begun = time.perf_counter()
        heard = sum(len(block) for block in recording.audio_blocks()) / SAMPLE_RATE
        took = time.perf_counter() - begun
        print(f"sound: {heard:.0f} s in {took:.1f} s ({heard / took:.0f} times real time), {peak():.0f} MiB at most")
        begun = time.perf_counter()
        seen = sum(1 for _ in recording.frames(np.arange(0, heard, 1.0)))
        took = time.perf_counter() - begun
        print(f"pictures: {seen} in {took:.1f} s ({heard / took:.0f} times real time), {peak():.0f} MiB at most")


if __name__ == "__main__":
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mkv"
        for task, arguments in ((make, (path, round(hours * 3600))), (read, (path,))):
            child = multiprocessing.get_context("spawn").Process(target=task, args=arguments)
            child.start()
            child.join()
        print(f"the file: {path.stat().st_size / 2**20:.0f} MiB")

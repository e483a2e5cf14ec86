"""Decode an open file to samples whose times are those of the music.

FFmpeg gives packets, and packets give frames of samples with a time stamp. Frames are joined here; silence fills what
time stamps leave open; the delay of the encoder is removed where the file does not state it; a recording that breaks
off is an error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from tfamt.audio.data_size import is_page_cut_off, read_tagged_frames
from tfamt.audio.files import OpenFile, Waveform
from tfamt.audio.formats import (
    ABSOLUTE_TIMELINES,
    CODEC_DELAYS,
    EXACT_LENGTHS,
    LATE_STAMPS,
    MPEG_STREAMS,
    TIME_STAMPS,
    TIMELINES,
    UNDERSTATED_DELAYS,
)
from tfamt.audio.pcm import RateConverter, frame_samples, silence
from tfamt.errors import IncompleteError, InputError, reason_of

MAX_MISSING_SECONDS = 0.5
"""Audio that a file may lack, compared with what its header states, without being taken for cut off."""
_GAP_SECONDS = 0.1
"""Time stamps may leave less than this open: some count in milliseconds, those of Vorbis in blocks."""
_LEAD_SECONDS = 0.02
_MAX_GAP_SECONDS = 3600.0
_TAG_BYTES = 2048
_VALUES_PER_CHUNK = 2**17
_REPAIR = "Play it to check that it is whole, then copy or export it again."


def decode(file: OpenFile) -> Iterator[Waveform]:
    """Yield the samples of a file, float32 [samples, channels] each, at `file.info.sample_rate`.

    Channels may change within a file; its sample rate too, which is then converted.

    Raises:
      InputError: the file holds no samples.
      IncompleteError: the recording breaks off there; what came before is whole.
    """
    decoder, converter = _Decoder(file), RateConverter(file.info.sample_rate)
    waiting: list[Waveform] = []
    fault: InputError | None = None
    try:
        for samples, rate in decoder.pieces():
            for piece in converter.push(samples, rate):
                if waiting and waiting[-1].shape[1] != piece.shape[1]:
                    yield _joined(waiting)
                waiting.append(piece)
            if sum(piece.size for piece in waiting[-1:]) * len(waiting) >= _VALUES_PER_CHUNK:
                yield _joined(waiting)
    except InputError as error:
        fault = error
    for rest in (waiting, list(converter.flush())):
        if rest:
            yield _joined(rest)
    if fault:
        raise fault


def _joined(pieces: list[Waveform]) -> Waveform:
    """Return pieces as one, and empty their list."""
    joined = np.concatenate(pieces)
    pieces.clear()
    return joined


class _Decoder:
    """Decode packets and place their frames in time."""

    def __init__(self, file: OpenFile):
        self._file = file
        self._demuxer = file.info.format
        self._codec = file.stream.codec_context.name
        self._rate = file.info.sample_rate
        self._stated = file.stated_seconds
        self._has_stamps = self._demuxer in TIME_STAMPS
        self._time_base = float(file.stream.time_base)
        self._seconds = 0.0
        self._decoded = 0.0
        self._expected: float | None = None
        self._delay = 0
        self._lost = 0.0
        self._damage = 0.0
        self._failing: tuple[float, float, str] | None = None

    def pieces(self) -> Iterator[tuple[Waveform, int]]:
        """Yield samples, float32 [samples, channels], and their rate."""
        is_first = True
        for packet in self._packets():
            if is_first and packet.size:
                is_first = False
                self._delay = self._unstated_delay(packet)
                if self._demuxer == "mp3":
                    self._stated = self._tagged_seconds(packet)
            try:
                frames = packet.decode()
            # PyAV itself refuses packets of a codec that it could not open.
            except (av.error.FFmpegError, ValueError) as error:
                self._note_failure(packet, error)
                continue
            for frame in frames:
                if frame.samples:
                    yield from self._place(frame)
        self._check_length()

    def _packets(self) -> Iterator[Any]:
        packets = self._file.container.demux(self._file.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.EOFError:
                return
            except (av.error.FFmpegError, OSError) as error:
                if self._is_whole():
                    return
                raise self._incomplete(reason_of(error)) from error
            if packet is None:
                return
            yield packet

    def _unstated_delay(self, packet: Any) -> int:
        """Return the samples of codec delay that FFmpeg does not remove, given the first packet."""
        delay = CODEC_DELAYS.get(self._codec, 0)
        if packet.has_sidedata("skip_samples"):
            if self._codec not in UNDERSTATED_DELAYS:
                return 0
            content = bytes(packet.get_sidedata("skip_samples"))
            return max(0, delay - int(struct.unpack_from("<I", content)[0]))
        return delay

    def _tagged_seconds(self, packet: Any) -> float | None:
        """Return the length that a tag before the first frame states; FFmpeg's may be an estimate."""
        position, size = packet.pos, self._file.stream.codec_context.frame_size
        if not position or not size:
            return None
        source = self._file.source
        before = source.tell()
        source.seek(max(0, position - _TAG_BYTES))
        frames = read_tagged_frames(source.read(min(position, _TAG_BYTES)))
        source.seek(before)
        if frames is None:
            return None
        longest = frames * size / self._rate
        # The tag also states the padding, which FFmpeg leaves out.
        exact = self._file.info.duration
        return exact if longest - 3 * size / self._rate < exact <= longest else None

    def _note_failure(self, packet: Any, error: Exception) -> None:
        """Keep in mind that a packet cannot be decoded: what follows shows whether it was audio."""
        if self._is_whole():
            return
        if self._demuxer not in MPEG_STREAMS:
            raise self._incomplete(reason_of(error)) from error
        began, length, reason = self._failing or (self._seconds, 0.0, reason_of(error))
        length += (packet.duration or 0) * self._time_base
        self._failing = began, length, reason

    def _is_whole(self) -> bool:
        """Return whether all that the header states is decoded, so that the rest is no audio."""
        return self._stated is not None and self._decoded > self._stated - 0.5 / self._rate

    def _place(self, frame: Any) -> Iterator[tuple[Waveform, int]]:
        samples, rate = frame_samples(frame), frame.sample_rate or self._rate
        gap = self._gap(frame, len(samples) / rate)
        if self._failing is not None:
            self._count_lost(*self._failing)
            self._failing = None
        if gap:
            self._require_silence(gap)
            yield from silence(gap, samples.shape[1], rate)
            self._seconds += gap
        cut = min(self._delay, len(samples))
        self._delay -= cut
        if cut < len(samples):
            self._seconds += (len(samples) - cut) / rate
            self._decoded += (len(samples) - cut) / rate
            yield samples[cut:], rate

    def _gap(self, frame: Any, length: float) -> float:
        """Return the seconds of silence before a frame of that length."""
        if frame.pts is None or not self._has_stamps:
            return 0.0
        stamp = frame.pts * self._time_base
        if self._codec in LATE_STAMPS:
            stamp -= length
        threshold = _GAP_SECONDS if self._failing is None else 0.5 / self._rate
        if self._expected is None:
            self._expected, threshold = self._origin(stamp), _LEAD_SECONDS
            if stamp - self._expected > threshold:
                # Sound that begins later was placed together with its delay.
                self._delay = 0
            elif self._demuxer in ABSOLUTE_TIMELINES and stamp < 0:
                # Time stamps state the delay, and this version of FFmpeg has not removed it.
                self._delay = round(-stamp * self._rate)
        gap = stamp - self._expected
        # A stamp far before the expected one: another recording begins within the file.
        if gap > threshold or gap < -_GAP_SECONDS:
            self._expected = stamp
        self._expected += length
        return gap if gap > threshold else 0.0

    def _origin(self, stamp: float) -> float:
        """Return the time stamp of the recording's beginning, given that of its first frame."""
        if self._demuxer in ABSOLUTE_TIMELINES:
            return min(stamp, 0.0)
        if self._demuxer in TIMELINES:
            return min(stamp, (self._file.container.start_time or 0) / av.time_base)
        return stamp

    def _require_silence(self, gap: float) -> None:
        """Refuse a gap that is lost audio.

        Raises:
          IncompleteError: it is.
        """
        if self._demuxer in EXACT_LENGTHS or gap > _MAX_GAP_SECONDS:
            raise self._incomplete("samples are missing there")
        if self._demuxer == "ogg" and gap > MAX_MISSING_SECONDS:
            raise self._incomplete("a part of the file is damaged there")

    def _count_lost(self, began: float, length: float, reason: str) -> None:
        """Add up packets that could not be decoded, with frames on both sides of them."""
        if not self._decoded:
            return
        self._damage = self._damage if self._lost else began
        self._lost += length
        if self._lost > MAX_MISSING_SECONDS:
            raise self._incomplete(reason, self._damage)

    def _check_length(self) -> None:
        """Compare what was decoded with what the header states, at the end of the file.

        Raises:
          InputError: there is no sample.
          IncompleteError: the recording breaks off.
        """
        size = self._file.data_size
        if not self._decoded:
            raise InputError("holds no samples", path=self._file.name, fix=_REPAIR)
        if size is not None and size.missing * self._decoded > MAX_MISSING_SECONDS:
            raise self._incomplete(
                f"its header announces {size.announced:,} bytes of audio, {size.available:,} are there"
            )
        if self._demuxer == "ogg" and is_page_cut_off(self._file.source):
            raise self._incomplete("its last Ogg page is incomplete")
        if self._stated is None or self._is_whole():
            return
        if self._failing is not None:
            began, _, reason = self._failing
            raise self._incomplete(reason, began)
        allowed = 0.0 if self._demuxer in EXACT_LENGTHS else MAX_MISSING_SECONDS
        if self._seconds < self._stated - allowed:
            raise self._incomplete(f"{self._stated:.3f} s are announced")
        if self._lost and self._decoded < self._stated - _LEAD_SECONDS:
            raise self._incomplete(f"{self._lost:.3f} s there cannot be decoded", self._damage)

    def _incomplete(self, reason: str, seconds: float | None = None) -> IncompleteError:
        where = self._seconds if seconds is None else seconds
        return IncompleteError(
            f"is truncated or damaged after {where:.3f} s ({reason})",
            path=self._file.name,
            fix=_REPAIR,
            seconds=where,
        )

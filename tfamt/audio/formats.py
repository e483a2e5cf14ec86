"""List the kinds of files that are taken for recordings, and what FFmpeg leaves to its callers in each.

Delays: an encoder puts silence in front of the music. Most containers state how much, and FFmpeg then removes it. Where
one does not, the delay of the codec's usual encoder is removed here, so that time is the music's.

Sources: MPEG audio: ISO/IEC 11172-3 and the Info tag of LAME; AAC: ISO/IEC 14496-3; AC-3: ATSC A/52; AMR: 3GPP TS
26.090; Windows Media Audio: FFmpeg's decoder, whose frames carry the time stamp of the frame after.
"""

from __future__ import annotations

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".wave", ".bwf", ".rf64", ".w64", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf"),
    *(".wv", ".tta", ".ape", ".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2", ".mpga", ".m4a", ".m4b", ".aac"),
    *(".wma", ".amr", ".ac3", ".eac3", ".dts", ".mka", ".weba", ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv"),
    *(".webm", ".avi", ".wmv", ".asf", ".flv", ".mpg", ".mpeg", ".m2ts", ".mts"),
)  # fmt: skip
"""Of the files that are taken for recordings, in lower case; the first of several is preferred."""

DEMUXERS = (
    *("wav", "w64", "flac", "ogg", "mp3", "mov", "matroska", "aiff", "au", "caf", "aac", "ac3", "eac3", "amr"),
    *("amrnb", "amrwb", "asf", "avi", "flv", "mpeg", "mpegts", "wv", "tta", "ape", "dts", "dtshd", "loas", "sox"),
    *("mpc", "mpc8", "iff", "voc", "gsm", "tak", "shn", "dsf", "rm", "nut", "truehd", "xwma"),
)  # fmt: skip
"""FFmpeg's readers that may open a file: none of those that open other files (playlists, lists, streams)."""

MPEG_STREAMS = frozenset(
    ("mp3", "aac", "ac3", "eac3", "dts", "wav", "avi", "mpeg", "mpegts", "loas")
)
"""Readers of frames without an index: what is no frame between them, such as tags, is skipped."""
TIMELINES = frozenset(("mov", "matroska", "asf", "avi", "flv", "mpeg", "mpegts"))
"""Readers whose time stamps may begin after zero and have gaps, which are silence."""
ABSOLUTE_TIMELINES = frozenset(("mov", "matroska"))
"""Those whose time zero is the beginning; elsewhere time begins where the first stream of the file does."""
TIME_STAMPS = TIMELINES | {
    "ogg",
    "flac",
    "wv",
    "tta",
    "ape",
    "tak",
    "mp3",
    "aac",
    "ac3",
    "eac3",
    "dts",
    "loas",
}
"""Readers whose time stamps count what was damaged or left out; those of others follow from the samples."""
STATED_LENGTHS = frozenset(
    ("flac", "aiff", "au", "mov", "matroska", "asf", "tta", "wv", "ape", "tak")
)
"""Readers whose duration stands in the file; others estimate it."""
EXACT_LENGTHS = frozenset(("flac", "wv", "tta", "ape", "tak"))
"""Those in which less than the stated number of samples means that a frame was damaged."""

CODEC_DELAYS = {
    **{"mp3": 1105, "mp3float": 1105},
    **{"mp1": 481, "mp1float": 481, "mp2": 481, "mp2float": 481},
    **{"aac": 1024, "aac_latm": 1024},
    **{"ac3": 256, "eac3": 256},
    **{"amrnb": 80, "amrwb": 160},
}
"""Samples of encoder and decoder delay by codec, where the container states none."""
UNDERSTATED_DELAYS = frozenset(("amrnb", "amrwb"))
"""Codecs whose containers state less than the delay that `CODEC_DELAYS` gives."""
LATE_STAMPS = frozenset(("wmav1", "wmav2"))
"""Codecs whose frames come with the time stamp of the frame after."""

"""Read MAPS: nine pianos, thirty pieces of music each.

Emiya, Bertin, David and Badeau, "MAPS: A piano database for multipitch estimation and automatic transcription of
music", 2010. Distributed as one zip per piano (two for ENSTDkAm), each with the folder of the piano in it.

The split is that of Sigtia, Benetos and Dixon, "An end-to-end neural network for polyphonic piano music transcription",
2016, configuration 2, in the stricter form of Hawthorne et al., "Onsets and Frames", 2018: the two recorded pianos are
the test set, the seven synthesised ones train, and pieces of the test set are removed from training.

Labels are the .txt files, whose offsets the sustain pedal has extended; they have no velocities, so these come from the
.mid files (`pipelines.readers.sources.with_velocities`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipelines.readers.recordings import DataSet, LeftOut, Recording, Source, one_split_per_piece
from pipelines.readers.sources import choose, find_sources
from tfamt.audio.formats import AUDIO_SUFFIXES
from tfamt.errors import InputError

LICENCE = "CC BY-NC-SA"
TRAIN_GROUPS = ("AkPnBcht", "AkPnBsdf", "AkPnCGdD", "AkPnStgb", "SptkBGAm", "SptkBGCl", "StbgTGd2")
TEST_GROUPS = ("ENSTDkAm", "ENSTDkCl")
_TEST_PIECES = """
    alb_se2 bk_xmas1 bk_xmas4 bk_xmas5 bor_ps6 chpn-e01 chpn-p14 chpn-p15 chpn-p19 chpn-p4 chpn_op25_e3 chpn_op25_e4
    chpn_op33_2 chpn_op35_1 chpn_op66 chpn_op7_1 deb_clai deb_menu grieg_butterfly grieg_kobold liz_et6 liz_et_trans5
    liz_rhap02 liz_rhap09 liz_rhap12 mendel_op62_5 muss_1 mz_311_1 mz_331_2 mz_331_3 mz_332_2 mz_333_2 mz_333_3
    mz_545_3 mz_570_1 pathetique_1 pathetique_2 pathetique_3 schu_143_1 schu_143_3 schub_d760_3 schuim-1 schumm-1
    scn15_11 scn15_12 scn15_6 scn15_9 scn16_3 scn16_4 ty_maerz ty_mai ty_november waldstein_1
    """
TEST_PIECES = frozenset(_TEST_PIECES.split())
"""The 53 pieces of the 60 recordings of `TEST_GROUPS`: listed here, so that users of only some of the zips do not
train on them either."""

_MUSIC = re.compile(r"MAPS_MUS-(?P<piece>.+)_(?P<group>[^_]+)")
_OTHER_PART = re.compile(r"MAPS_(?P<part>ISOL|RAND|UCHO)[_-]")


@dataclass
class _Music:
    """The files of one recording."""

    piece: str
    group: str
    files: list[Source] = field(default_factory=list)


def read(
    root: str, validation_groups: Sequence[str] = (), *, follow_links: bool = False
) -> DataSet:
    """Read MAPS as zips, unpacked, or both; with all its pianos or some.

    Args:
      root: folder with the zips or the folders of the pianos at any depth, or one zip.
      validation_groups: pianos of `TRAIN_GROUPS` to validate on instead of training on them.
      follow_links: whether symbolic links that lead out of `root` are followed.

    Returns:
      Recordings with the piano as group. A piece is in one split only: what occurs in the test set, known or found,
      is left out of training and validation, what occurs in the validation set is left out of training. Only the
      pieces of music (MUS) are taken.

    Raises:
      InputError: nothing usable was found, a validation group does not exist, or an archive cannot be read.
    """
    if not set(validation_groups) <= set(TRAIN_GROUPS):
        raise InputError(
            f"validation groups must be among {', '.join(TRAIN_GROUPS)}. Received: {', '.join(validation_groups)}"
        )
    sources, links = find_sources(root, follow_links=follow_links)
    music, left_out = _collect(sources)
    left_out += links
    recordings: list[Recording] = []
    for stem, item in sorted(music.items()):
        recording, reasons = _recording(stem, item, validation_groups)
        recordings += [recording] if recording else []
        left_out += reasons
    kept, repeated = one_split_per_piece(recordings, TEST_PIECES)
    remarks = _remarks(Counter(item.group for item in music.values()), repeated)
    return DataSet("maps", kept, [*left_out, *repeated], remarks).require_some(
        root,
        fix="It should hold the zips or folders of the pianos, named AkPnBcht, ENSTDkCl and so on.",
    )


def _collect(sources: Iterable[Source]) -> tuple[dict[str, _Music], list[LeftOut]]:
    """Return files of music by stem, and a count of those of the other parts of MAPS."""
    music: dict[str, _Music] = {}
    others: defaultdict[str, int] = defaultdict(int)
    for source in sources:
        if match := _MUSIC.fullmatch(source.stem):
            item = music.setdefault(source.stem, _Music(match["piece"], match["group"]))
            item.files.append(source)
        elif match := _OTHER_PART.match(source.stem):
            others[match["part"]] += 1
    return music, [
        LeftOut(part, f"{number} files: only the pieces of music (MUS) are used")
        for part, number in others.items()
    ]


def _recording(
    stem: str, item: _Music, validation_groups: Sequence[str]
) -> tuple[Recording | None, list[LeftOut]]:
    if item.group not in TRAIN_GROUPS + TEST_GROUPS:
        return None, [LeftOut(stem, f"{item.group} is not a piano of MAPS")]
    audio, other_audio = choose(item.files, AUDIO_SUFFIXES)
    text, other_texts = choose(item.files, (".txt",))
    midi, other_midi = choose(item.files, (".mid",))
    labels = text or midi
    if audio is None or labels is None:
        missing = "audio is" if audio is None else "labels (.txt) are"
        return None, [LeftOut(str(file), f"its {missing} missing") for file in item.files]
    split = "test" if item.group in TEST_GROUPS else "train"
    if item.group in validation_groups:
        split = "validation"
    recording = Recording(
        id=stem,
        split=split,
        piece=item.piece,
        group=item.group,
        audio=audio,
        labels=labels,
        licence=LICENCE,
        velocities=midi if text else None,
    )
    return recording, other_audio + other_texts + other_midi


def _remarks(found: Counter[str], repeated: Sequence[LeftOut]) -> list[str]:
    remarks = []
    if repeated:
        remarks.append(
            f"{len(repeated)} recordings were left out because their piece is played in the test or validation set."
        )
    missing = [group for group in TRAIN_GROUPS + TEST_GROUPS if not found[group]]
    if missing:
        remarks.append(f"Of the nine pianos these were not found: {', '.join(missing)}.")
    if set(TEST_GROUPS) <= set(missing):
        remarks.append("There is no test set; its 53 pieces are left out of training all the same.")
    return remarks

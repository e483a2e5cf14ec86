"""Make a trained model smaller and faster: kernels become products of two narrow ones.

Usage: bin/compress --run=FOLDER --data=FOLDER --model_conv_ranks=0,0,32,24 --output_weights=small.npz [flags]

Of the model of a run (or --weights) the 3x3 kernels of U-net 1 become products of these ranks, level by level from the
top; 0 leaves a level as it is. With --model_context_rank and --model_recurrent_rank those of the LSTM become some too.
Which products they are is seen from windows of the training split (`tfamt.network.low_rank`). The file says what its
network is like: bin/evaluate, bin/transcribe, bin/export take it as they take any, and bin/train --initial_weights
continues from it, given the same three flags.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from absl import flags

from pipelines import input as input_data
from pipelines import preparation
from tfamt import network
from tfamt.commands.app import refuse_arguments, required, run
from tfamt.commands.config_flags import changed_by_flags, define_field_flags
from tfamt.errors import InputError
from tfamt.utils.output_paths import check_output_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tensorflow as tf

    from tfamt.config import Config

_RUN = flags.DEFINE_string("run", None, "Folder of a run of bin/train.")
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file, instead of --run.")
_DATA = flags.DEFINE_list("data", None, "Folders of prepared data sets, separated by commas.")
_BATCHES = flags.DEFINE_integer("batches", 24, "How many batches of windows to look at.", 1)
_OUTPUT_WEIGHTS = flags.DEFINE_string("output_weights", None, "File to write the weights to.")
_HALF = flags.DEFINE_bool("half", False, "Kernels of --output_weights in 16 bits: half the size.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether an existing file may be replaced.")
_RANKS = ("conv_ranks", "context_rank", "recurrent_rank")
define_field_flags("model", *_RANKS)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    refuse_arguments(argv)
    path = network.weights_path(_RUN.value, _WEIGHTS.value)
    target = required(_OUTPUT_WEIGHTS)
    check_output_path(target, overwrite=_OVERWRITE.value)
    config, arrays = network.load_weights(path)
    if any(getattr(config.model, name) for name in _RANKS):
        raise InputError(
            "holds products already", path=path, fix="Take the weights that it was made of."
        )
    small = dataclasses.replace(config, model=changed_by_flags("model", config.model))
    folders = required(_DATA)

    whole = network.build_trained_transcriber(config, arrays, path)
    narrow = network.build_transcriber(small.model, small.spectrogram)
    before, after = whole.count_params(), narrow.count_params()
    if after >= before:
        raise InputError(
            f"of these ranks the products do not make the network smaller: {after} numbers, {before} before",
            fix="Give smaller ones to --model_conv_ranks, --model_context_rank and --model_recurrent_rank.",
        )
    spectrograms = _spectrograms(config, folders)
    network.save_weights(
        target, small, network.factorized(arrays, whole, narrow, spectrograms), half=_HALF.value
    )
    print(f"{config.name}: {after} numbers instead of {before} in U-net 1 and its heads")
    return 0


def _spectrograms(config: Config, folders: list[str]) -> Iterator[tf.Tensor]:
    """Yield the first batches of a training of this config, as spectrograms."""
    stored = preparation.load_indexes(folders, "train")
    for batch in input_data.training_input(config, stored).take(_BATCHES.value):
        yield batch["spectrogram"]


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()

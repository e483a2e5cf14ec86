"""Export a model for runtimes without this package.

Usage: bin/export [--weights=FILE] OUTPUT

Formats:
  savedmodel  OUTPUT is a folder; the next free version is written into it (OUTPUT/1, OUTPUT/2, ...), as TensorFlow
              Serving needs it. From waveform, or 16-bit wav files, to named outputs.
  onnx        OUTPUT is a file for ONNX Runtime, from waveform to named outputs.

The result is loaded again and compared with the model, on a recording and on silence, before it is delivered. Its
outputs must agree within 1e-5 for a SavedModel, within 1e-3 for ONNX. docs/serving.md describes its use.
"""

from __future__ import annotations

from absl import flags

from tfamt import export
from tfamt.commands.app import run
from tfamt.errors import InputError

_WEIGHTS = flags.DEFINE_string("weights", None, "Weights file; default: the model in the package.")
_FORMAT = flags.DEFINE_enum("format", "savedmodel", ["savedmodel", "onnx"], "See above.")
_OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "Whether an existing file may be replaced. Versions of a SavedModel never are.",
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    if len(argv) != 2:
        raise InputError(
            f"one output must be named. Received: {' '.join(argv[1:]) or 'nothing'}",
            fix="Usage: bin/export [flags] OUTPUT",
        )
    if _FORMAT.value == "savedmodel":
        exported = export.export_saved_model(argv[1], _WEIGHTS.value)
    else:
        exported = export.export_onnx(argv[1], _WEIGHTS.value, overwrite=_OVERWRITE.value)
    print(f"{exported.path}: differs from the model here by {exported.difference:.1g} at most")
    return 0


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()

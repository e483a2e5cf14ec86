"""Run basic-pitch for `bin/benchmark transcribe --compare_with`, in an environment that has it and not tfamt.

Usage: PYTHON basic_pitch_worker.py onnx|tf

Prints "ready" when the model is loaded and has been used once; then takes lines "RECORDING<TAB>MIDI" and prints "done"
after each.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import wave
from pathlib import Path


def main() -> None:
    """Load the model, then works line by line."""
    from basic_pitch import (  # type: ignore[import-not-found]
        FilenameSuffix,
        build_icassp_2022_model_path,
    )
    from basic_pitch.inference import Model, predict  # type: ignore[import-not-found]

    model = Model(build_icassp_2022_model_path(FilenameSuffix[sys.argv[1]]))

    def transcribe(recording: str, target: str) -> None:
        # It reports its progress on standard output.
        with contextlib.redirect_stdout(io.StringIO()):
            _, midi, _ = predict(recording, model)
        midi.write(target)

    with tempfile.TemporaryDirectory() as folder:
        silence = Path(folder, "silence.wav")
        with wave.open(str(silence), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(22050)
            file.writeframes(bytes(2 * 22050 * 5))
        transcribe(str(silence), str(Path(folder, "silence.mid")))
    print("ready", flush=True)
    for line in sys.stdin:
        transcribe(*line.rstrip("\n").split("\t"))
        print("done", flush=True)


if __name__ == "__main__":
    main()

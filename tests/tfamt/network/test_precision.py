"""Test the choice of the number format by a probe of the processor."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.pipelines.training.test_resume import FLAGS, data
from tests.support.processes import command
from tfamt.errors import InputError
from tfamt.evaluation.metrics import score
from tfamt.network import precision
from tfamt.network.weights import load_weights
from tfamt.presets import preset
from tfamt.training import precision_probe
from tfamt.transcription.transcriber import ModelOutput, Transcriber

__all__ = ["data"]


def test_an_unknown_precision() -> None:
    with pytest.raises(
        InputError, match="must be one of float32, mixed_bfloat16. Received: 'half'"
    ):
        precision_probe.use_precision("half", preset("tiny"))


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "was ended by SIGILL"),
        ("raise ValueError('no such type')", "ValueError: no such type"),
    ],
)
def test_what_kills_the_process_is_refused(
    probe: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Processes that really die, since not every machine has a processor that lacks something.
    monkeypatch.setattr(precision_probe, "_PROBE", probe)
    with pytest.raises(InputError, match=f"cannot train in mixed_bfloat16: .*{said}") as error:
        precision_probe.use_precision("mixed_bfloat16", preset("tiny"))
    assert "Use --precision=float32" in str(error.value)


def test_training_in_mixed_precision_or_not_at_all(
    data: Path,
    tmp_path: Path,
    root: Path,
) -> None:
    def train(name: str) -> subprocess.CompletedProcess[str]:
        return command(
            *("pipelines.commands.train", *FLAGS, "--training_steps=1", f"--precision={name}"),
            *(f"--data={data}", f"--run_dir={tmp_path / name}"),
            cwd=root,
        )

    done = train("mixed_bfloat16")
    if done.returncode:
        assert "error: this machine cannot train in mixed_bfloat16" in done.stderr
        assert not (tmp_path / "mixed_bfloat16" / "checkpoints").exists()
        return
    assert train("float32").returncode == 0
    losses = {}
    for name in precision.PRECISIONS:
        (line,) = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        losses[name] = json.loads(line)["loss"]
        _, weights = load_weights(tmp_path / name / "weights.npz")
        assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float32)}
    coarse, exact = losses["mixed_bfloat16"], losses["float32"]
    # Eight bits of mantissa: near, and not the same.
    assert coarse == pytest.approx(exact, rel=0.02) and coarse != exact


@pytest.mark.parametrize(
    ("flags", "best"),
    [
        ("flags : fpu avx512f avx512_bf16 avx512_vnni", "mixed_bfloat16"),
        ("flags : fpu avx2 avx512f avx512_vnni", "float32"),
        (None, "float32"),
    ],
)
def test_inference_takes_what_the_processor_has(
    flags: str | None, best: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = tmp_path / "cpuinfo"
    if flags is not None:
        printed.write_text(f"processor : 0\n{flags}\n")
    monkeypatch.setattr(precision, "_CPU_INFO", printed)
    assert precision.inference_precision("auto") == best
    for name in precision.PRECISIONS:
        assert precision.inference_precision(name) == name
    with pytest.raises(InputError, match="must be one of auto, float32, .*Received: 'half'"):
        precision.inference_precision("half")


def test_the_faster_precision_gives_the_same_notes(root: Path) -> None:
    if precision.inference_precision("auto") == "float32":
        pytest.skip("this processor does not multiply bfloat16")
    rolls, notes = {}, {}
    for name in ("float32", "auto"):
        transcribed: list[ModelOutput] = []
        notes[name] = Transcriber.load(precision=name).transcribe(
            root / "examples" / "prelude.ogg", listener=transcribed.append
        )
        rolls[name] = np.concatenate([frames.rolls["pianoroll"] for frames in transcribed])
    # What is made for training afterwards computes as before.
    assert keras.config.dtype_policy().name == "float32"
    difference = np.abs(rolls["auto"] - rolls["float32"])
    assert 1e-4 < difference.max() < 0.1 and difference.mean() < 1e-3
    assert score(notes["float32"], notes["auto"])["note_offset_velocity_f1"] > 0.98

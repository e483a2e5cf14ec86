"""Test comparisons of systems on values worked out by hand, and bin/compare."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfamt.errors import InputError
from tfamt.evaluation.comparison import System, bootstrap_interval, common_pieces, compare
from tfamt.evaluation.results import Evaluation, Piece


def evaluation(*figures: float) -> Evaluation:
    return Evaluation({f"p{n}": Piece({"note_f1": value}) for n, value in enumerate(figures)})


def difference(base: list[list[float]], other: list[list[float]]):
    systems = [System("base", [evaluation(*run) for run in runs]) for runs in (base, other)]
    return compare(systems[0], systems[1], "note_f1", common_pieces(systems))


def test_the_same_gain_everywhere() -> None:
    five = difference([[0.1, 0.2, 0.3, 0.4, 0.5]], [[0.2, 0.3, 0.4, 0.5, 0.6]])
    assert five.mean == pytest.approx(0.1) and five.interval == pytest.approx((0.1, 0.1))
    # Five heads out of five, or five tails: 2 / 32.
    assert (five.better, five.worse, five.p) == (5, 0, pytest.approx(0.0625))
    assert (
        not five.holds and five.verdict == "does not hold (5 pieces are too few for the sign test)"
    )
    six = difference([[0.1] * 6], [[0.2] * 6])
    assert six.p == pytest.approx(2 / 64) and six.holds and six.verdict == "higher"
    assert difference([[0.2] * 6], [[0.1] * 6]).verdict == "lower"


def test_signs_without_size_do_not_hold() -> None:
    # 9 better, 1 much worse: sign test 2 * (10 + 1) / 1024, but the mean may be either side of 0.
    mixed = difference([[0.5] * 10], [[0.52] * 9 + [0.1]])
    assert (mixed.better, mixed.worse, mixed.p) == (9, 1, pytest.approx(22 / 1024))
    assert mixed.mean == pytest.approx((9 * 0.02 - 0.4) / 10)
    assert mixed.interval[0] < 0 < mixed.interval[1]
    assert not mixed.holds and mixed.verdict == "does not hold"


def test_no_difference_at_all() -> None:
    same = difference([[0.5, 0.6]], [[0.5, 0.6]])
    assert (same.mean, same.interval, same.better, same.worse, same.p) == (0, (0, 0), 0, 0, 1.0)
    assert not same.holds


def test_bootstrap_against_all_resamples_by_hand() -> None:
    # Three pieces 0, 0, 3: the mean of three draws is 3 with probability 1/27 = 3.7 %, 0 with 8/27.
    assert bootstrap_interval(np.array([[0.0, 0.0, 3.0]])) == (0.0, 3.0)
    # Four pieces 0, 0, 0, 4: all four draws hit the 4 in 1 of 256; three or more in 13 of 256 = 5.1 %.
    assert bootstrap_interval(np.array([[0.0, 0.0, 0.0, 4.0]])) == (0.0, 3.0)
    # Two runs that disagree on every piece: rows are drawn too, half the time the same one twice.
    runs = np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])
    assert bootstrap_interval(runs) == (-1.0, 1.0)
    assert bootstrap_interval(runs.mean(axis=0, keepdims=True)) == (0.0, 0.0)
    noise = np.random.default_rng(3).standard_normal((1, 30))
    assert bootstrap_interval(noise, seed=1) == bootstrap_interval(noise, seed=1)
    assert bootstrap_interval(noise, seed=1) != bootstrap_interval(noise, seed=2)
    low, high = bootstrap_interval(noise)
    # The normal approximation: 2 * 1.96 standard errors.
    assert high - low == pytest.approx(3.92 * noise.std() / np.sqrt(30), rel=0.05)


def test_runs_are_paired_in_order_and_averaged_by_piece() -> None:
    both = difference([[0.1, 0.5], [0.3, 0.7]], [[0.2, 0.4], [0.5, 0.9]])
    assert both.by_piece == pytest.approx({"p0": 0.15, "p1": 0.05})
    assert (both.runs, both.base, both.other) == (2, pytest.approx(0.4), pytest.approx(0.5))
    # One run against two: the two are averaged first.
    uneven = difference([[0.1, 0.5], [0.3, 0.7]], [[0.2, 0.4]])
    assert uneven.runs == 1 and uneven.by_piece == pytest.approx({"p0": 0.0, "p1": -0.2})


def test_only_pieces_that_all_have() -> None:
    systems = [System("a", [evaluation(0.1, 0.2)]), System("b", [evaluation(0.1)])]
    assert common_pieces(systems) == ["p0"]
    with pytest.raises(InputError, match="no piece in common"):
        common_pieces([systems[0], System("c", [Evaluation({"x": Piece({"note_f1": 1.0})})])])
    with pytest.raises(InputError, match="has no frame_f1"):
        compare(systems[0], systems[1], "frame_f1", ["p0"])


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tfamt.commands.compare", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def test_command(root: Path, tmp_path: Path) -> None:
    figures = {
        "a0": [0.1] * 6,
        "a1": [0.2] * 6,
        "b0": [0.3] * 6,
        "b1": [0.4, 0.4, 0.4, 0.4, 0.4, 0.5, 1.0],
    }
    for name, values in figures.items():
        (tmp_path / f"{name}.json").write_text(evaluation(*values).to_json())
    a, b = (f"{n}={tmp_path}/{n}0.json,{tmp_path}/{n}1.json" for n in "ab")
    out, png = tmp_path / "out.json", tmp_path / "out.png"
    done = run(a, b, "--json", out, "--png", png, cwd=root)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "b against a, 6 pieces, 2 runs each:"
    cells = [cell.strip() for cell in lines[4].split("|")]
    assert cells[1:5] == ["note_f1", "0.1500", "0.3583", "+0.2083"]
    assert cells[6:9] == ["6 / 0", "0.0312", "higher"]
    assert lines[-1] == "b has 1 pieces that not all have: p6"
    stored = json.loads(out.read_text())["systems"]["b"][0]
    assert stored["by_piece"]["p5"] == pytest.approx(0.25) and stored["holds"] is True
    assert png.read_bytes()[:4] == b"\x89PNG"
    for arguments, message in (
        ([a], "name two evaluations at least"),
        ([a, a], "two evaluations have one name: a, a"),
        ([a, tmp_path / "no.json"], "no.json: cannot be read"),
        ([a, out], "out.json: is no evaluation"),
        ([a, b, "--json", out], "out.json: exists already"),
        ([a, b, "--metrics=frame_f1"], "has no frame_f1 for every piece. Received: note_f1"),
        ([a, b, f"c={tmp_path}/a0.json", "--png=x.png"], "--png shows two systems"),
    ):
        done = run(*arguments, cwd=root)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert message in done.stderr and len(done.stderr.splitlines()) == 1

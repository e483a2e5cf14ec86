"""Show the progress of a run: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
Scalars = dict[str, float]


class Progress:
    """Report a run; counts its steps by the batches that it takes.

    Where stderr is a terminal, a bar there shows steps, rate, time left and the last loss, and stdout, if it is the
    terminal too, takes validations alone. Elsewhere each report is a line on stdout.

    Args:
      steps: the run's last step.
      first: steps made before.
    """

    def __init__(self, steps: int, first: int):

        self.steps = steps
        self.first = first
        self.started = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=steps, initial=first, unit="step", dynamic_ncols=True)
        self._reports_as_lines = self._bar is None or not sys.stdout.isatty()

    def count(self, batches: Iterable[T]) -> Generator[T, None, None]:
        """Yield the same batches; a step counts as made when the next batch is asked for."""
        try:
            for step, batch in enumerate(batches, self.first):
                self._go_to(step)
                yield batch
        finally:
            if self._bar is not None:
                self._bar.close()

    def __call__(self, step: int, scalars: Scalars) -> None:
        """Show a report of training, which has a "loss", or of a validation."""
        self._go_to(step)
        if self._bar is not None and "loss" in scalars:
            self._bar.set_postfix_str(f"loss {scalars['loss']:.4g}")
        if self._reports_as_lines or "loss" not in scalars:
            self._write(self._line(step, scalars))

    def _go_to(self, step: int) -> None:
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def _line(self, step: int, scalars: Scalars) -> str:
        rate = (step - self.first) / max(time.monotonic() - self.started, 1e-9)
        figures = "  ".join(
            f"{name} {value:.4g}"
            for name, value in scalars.items()
            if not name.endswith(("precision", "recall"))
        )
        left = _clock((self.steps - step) / rate)
        return f"step {step}/{self.steps}  {figures}  {rate:.2f} steps/s, {left} left"

    def _write(self, line: str) -> None:
        if self._bar is None:
            print(line, flush=True)
        else:
            # tqdm removes the bar, writes, and draws it again below.
            self._bar.write(line)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class Clock:
    """Measure windows per second, and the share of the time spent waiting for them."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._begin = time.monotonic()
        self._batches = 0
        self._waited = 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Measure the wait for each batch, around it."""
        begin = time.monotonic()
        yield
        self._waited += time.monotonic() - begin
        # Counted here, because a lap after a resumption or a validation has fewer steps than a report.
        self._batches += 1

    def lap(self, batch_size: int) -> Scalars:
        """Return the figures since the last lap."""
        elapsed = max(time.monotonic() - self._begin, 1e-9)
        figures = {
            "windows_per_second": self._batches * batch_size / elapsed,
            "waiting_for_input": self._waited / elapsed,
        }
        self._start()
        return figures

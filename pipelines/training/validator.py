"""Score a model in training on recordings that it does not train on."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.preparation.index import StoredRecording
from pipelines.scoring.validation import first_minutes, first_window, mean_scores
from pipelines.training.settings import RunSettings
from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.evaluation.metrics import score
from tfamt.network.model import build_model
from tfamt.network.trained_models import assign_weights
from tfamt.network.weights import save_weights
from tfamt.notes.table import Notes
from tfamt.training.progress import Scalars
from tfamt.training.tensorboard import write_excerpt
from tfamt.training.trainer import Trainer
from tfamt.transcription.backends import keras_backend
from tfamt.transcription.transcriber import Transcriber


class Validator:
    """Validate the weights that a run has reached, keep the best ones, and end a run that no longer improves.

    Args:
      config: of the model.
      stored: recordings to validate on.
      settings: of the run.

    Raises:
      InputError: the run's `stop_metric` is no figure of validation.
    """

    def __init__(self, config: Config, stored: Sequence[StoredRecording], settings: RunSettings):
        nothing = Notes.from_rows([])
        names = [f"validation_{name}" for name in score(nothing, nothing)]
        if settings.stop_metric not in names:
            raise InputError(
                f"--stop_metric must be one of {', '.join(names)}. Received: {settings.stop_metric}"
            )
        self._settings = settings
        self._config = config
        self._chosen = first_minutes(stored, settings.validation_minutes)
        # A second model: the one in training keeps its weights while their averages are scored.
        self._model = build_model(config)
        backend = keras_backend(config, self._model.get_layer("transcriber"), in_training=True)
        self._transcriber = Transcriber(config, backend)
        self._excerpt = first_window(config, self._chosen[0])

    def validate(self, trainer: Trainer) -> Scalars:
        """Return the mean scores of the averaged weights, and show an excerpt in TensorBoard."""
        assign_weights(self._model, trainer.averaged_weights(), trainer.run_dir)
        write_excerpt(trainer.writer, trainer.step, self._config, self._model, *self._excerpt)
        scores = mean_scores(self._transcriber, self._chosen)
        return {f"validation_{name}": value for name, value in scores.items()}

    def is_over(self, trainer: Trainer) -> bool:
        """Save the weights if they are the best so far; return whether the run is over."""
        settings = self._settings
        best, waited = trainer.metrics.since_best("validation", settings.stop_metric)
        if waited == 0 and best is not None:
            save_weights(trainer.run_dir / "best.npz", trainer.config, trainer.averaged_weights())
        over = 0 < settings.stop_patience <= waited
        if over:
            print(
                f"{settings.stop_metric} has not passed {best:.4g} in {waited} validations",
                flush=True,
            )
        return over

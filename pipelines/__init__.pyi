from .input.augmentation_settings import AugmentationSettings as AugmentationSettings
from .scoring.model_scores import evaluate_model as evaluate_model
from .studies.ablation_runs import run_ablation as run_ablation
from .studies.ablation_study import AblationSettings as AblationSettings
from .training.run import TrainingResult as TrainingResult
from .training.run import train as train
from .training.settings import RunSettings as RunSettings

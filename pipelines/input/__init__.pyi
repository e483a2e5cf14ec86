from .augmentation import build_augment as build_augment
from .augmentation import read_responses as read_responses
from .augmentation_settings import AugmentationSettings as AugmentationSettings
from .batches import training_input as training_input
from .pitch_shift import PitchShift as PitchShift

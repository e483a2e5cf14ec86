from .restart import restart_if_worker_is_lost as restart_if_worker_is_lost
from .run import TrainingResult as TrainingResult
from .run import train as train
from .settings import RunSettings as RunSettings

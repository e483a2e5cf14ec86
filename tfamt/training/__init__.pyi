from .losses import loss_terms as loss_terms
from .losses import total_loss as total_loss
from .trainer import Trainer as Trainer

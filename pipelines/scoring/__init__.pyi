from .model_scores import evaluate_model as evaluate_model
from .model_scores import predict as predict
from .threshold_search import best_of as best_of
from .threshold_search import read_decoding as read_decoding
from .threshold_search import trials_as_json as trials_as_json
from .threshold_search import tune as tune
from .validation import first_minutes as first_minutes

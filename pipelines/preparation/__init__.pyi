from .beam_pipeline import prepare as prepare
from .beam_runner import run_steps as run_steps
from .demo import prepare_demo as prepare_demo
from .description import draw as draw
from .description import format_text as format_text
from .description import read_description as read_description
from .index import load_indexes as load_indexes

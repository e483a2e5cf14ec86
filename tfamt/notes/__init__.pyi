from .label_files import read_labels as read_labels
from .midi import read_bytes as read_bytes
from .sonify import is_synthesised as is_synthesised
from .table import Notes as Notes
from .tables import write_csv as write_csv

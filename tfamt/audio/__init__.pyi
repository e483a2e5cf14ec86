from . import reading as reading
from .files import SAMPLE_RATE as SAMPLE_RATE
from .reading import probe as probe
from .reading import read as read
from .reading import read_blocks as read_blocks

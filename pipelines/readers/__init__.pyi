from . import folder as folder
from . import maestro as maestro
from . import maps as maps
from . import musicnet as musicnet

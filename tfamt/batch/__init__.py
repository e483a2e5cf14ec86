"""Write recordings as files: MIDI, tables, pictures and sound.

Above `tfamt.plots`, since pictures are among the results.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

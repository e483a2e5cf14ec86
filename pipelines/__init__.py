"""Train models on data sets: preparation, input, training, scoring and studies on top of tfamt.

>>> import pipelines
>>> result = pipelines.train(config, "runs/mine", ["data/maps"])
>>> scored = pipelines.evaluate_model(result.weights, ["data/maps"], "test")
"""

import lazy_loader

# It prepares the import of TensorFlow, which modules of this package import before those of tfamt.
import tfamt  # noqa: F401

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Train models on data sets: preparation, input, training, scoring and studies on top of tfamt.

>>> import pipelines
>>> result = pipelines.train(config, "runs/mine", ["data/maps"])
>>> scored = pipelines.evaluate_model(result.weights, ["data/maps"], "test")
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

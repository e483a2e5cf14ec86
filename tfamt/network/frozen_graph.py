"""Turn the variables of a graph into constants.

Runtimes without TensorFlow then find the weights in the graph itself, and oneDNN lays out constant weights once, as its
kernels need them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfamt.utils.quiet_logs import quiet_native

Outputs: TypeAlias = dict[str, tf.Tensor]
Network: TypeAlias = Callable[..., Outputs]


def freeze(function: Any) -> Network:
    """Return a tf.function that returns a dict, with its variables turned into constants."""
    concrete = function.get_concrete_function()
    names = sorted(concrete.structured_outputs)
    # Native code logs the number of GPUs.
    with quiet_native():
        # Loops stay whole: OpenVINO cannot read a SavedModel whose loops are lowered.
        constant = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    return lambda *inputs: dict(zip(names, constant(*inputs), strict=True))

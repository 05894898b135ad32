"""Tables that a layer holds and that come later: NaN until something fills them."""

import keras
import numpy as np

from devise_tf.label_ids import known_values

# What such a table starts as. Where it cannot be checked, within a compiled function, results are NaN and not wrong.
UNFILLED = keras.initializers.Constant(np.nan)


def check_filled(table: keras.Variable, message: str) -> None:
    """Raises a `ValueError` with this message if nothing has filled the table, wherever values are known."""
    row = known_values(table[0])
    if row is not None and np.isnan(row).all():
        raise ValueError(f"{message} Received: a table of the shape {list(table.shape)} that nothing has filled")

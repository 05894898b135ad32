"""What every visual model does: it learns, and its file holds what it has learned."""

import keras
import numpy as np


def assert_learns_and_is_saved(model, optimizer, x, y, path):
    """25 epochs halve the loss at least; the saved model answers as the model does."""
    # XLA, Keras's default, takes longer to compile than the rest does to run.
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    losses = model.fit(x, y, batch_size=8, epochs=25, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))

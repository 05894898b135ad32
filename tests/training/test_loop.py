"""The loop against Keras's own `fit`, callbacks, broken losses, and what a step copies."""

import glob

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.images import BadImages, Crop, ExampleOrder, ImageInput, open_images
from devise_tf.layers import HingeRankLoss
from devise_tf.model_dir import ModelDir
from devise_tf.models.devise import DeViSE
from devise_tf.models.registry import build_visual_model, representation_model
from devise_tf.models.skip_gram import SkipGram
from devise_tf.text import HuffmanTree, SkipGramBlocks
from devise_tf.training import Phase, make_strategy, run_phase
from devise_tf.training.phases.cnn import cnn_phase
from devise_tf.training.phases.devise import DeviseUpdates, devise_phase
from devise_tf.training.phases.moving_label_vectors import TrainedLabelVectors
from tests.helpers import tiny_run
from tests.helpers.tiny_run import SEEN, Interrupt, read_metrics

BATCH, STEPS = 10, 6


class Record(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append("train begins")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch} begins")

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(f"batch {batch} ends")
        assert set(logs) == {"loss"}

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch} ends")
        assert set(logs) == {"loss"}

    def on_train_end(self, logs=None):
        self.calls.append("train ends")


def line_phase(steps=STEPS, learning_rate=0.1, dropout=0.0, momentum=0.9):
    """Fits a line to twenty points, four a step, five steps an epoch."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dropout(dropout), keras.layers.Dense(1)])
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal((20, 5)), tf.float32)
    y = tf.reduce_sum(x, axis=1, keepdims=True)
    order = ExampleOrder(20, 4, seed=0)

    def dataset(start, stop, context):
        examples = order.dataset(start, stop, context)
        return examples.map(lambda e: (tf.gather(x, e["index"]), tf.gather(y, e["index"]))).batch(
            order.per_replica_batch_size(context)
        )

    def loss(batch):
        total = tf.reduce_sum(tf.square(model(batch[0], training=True) - batch[1]))
        return total / 4, {"loss": (total, tf.size(batch[1]))}

    optimizer = keras.optimizers.SGD(learning_rate, momentum=momentum)
    return Phase("line", model, [(optimizer, model.trainable_variables)], loss, dataset, steps, steps_per_epoch=5)


def test_callbacks_are_called_as_by_fit(tmp_path):
    """Thirteen steps are two epochs of five and a part; readings fall on multiples of `log_every`."""
    record = Record()
    logs = run_phase(line_phase(13), make_strategy(), ModelDir(str(tmp_path)), 2, callbacks=[record], verbose=0)
    assert record.calls == [
        "train begins",
        *("epoch 0 begins", "batch 1 ends", "batch 3 ends", "batch 5 ends", "epoch 0 ends"),
        *("epoch 1 begins", "batch 2 ends", "batch 4 ends", "epoch 1 ends"),
        *("epoch 2 begins", "batch 1 ends", "batch 2 ends", "epoch 2 ends"),
        "train ends",
    ]
    lines = read_metrics(tmp_path)
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12, 13]
    assert lines[-1] == {"phase": "line", "step": 13, "epoch": 2.6, **logs}
    assert glob.glob(str(tmp_path / "logs" / "line" / "events.out.tfevents.*"))


def test_readings_are_means_over_the_steps_between(tmp_path):
    every, second = ModelDir(str(tmp_path / "1")), ModelDir(str(tmp_path / "2"))
    run_phase(line_phase(), make_strategy(), every, log_every=1, verbose=0)
    run_phase(line_phase(), make_strategy(), second, log_every=2, verbose=0)
    losses = [line["loss"] for line in read_metrics(every.directory)]
    means = [line["loss"] for line in read_metrics(second.directory)]
    assert means == pytest.approx(np.reshape(losses, (-1, 2)).mean(axis=1).tolist(), rel=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_interrupted_phase_resumes_exactly(tmp_path, dropout):
    """Momentum and the state of the dropout's draws go on too."""
    whole, parts = ModelDir(str(tmp_path / "whole")), ModelDir(str(tmp_path / "parts"))
    run_phase(line_phase(9, dropout=dropout), make_strategy(), whole, 1, verbose=0)
    for stop in (2, 4):
        with pytest.raises(KeyboardInterrupt):
            phase = line_phase(9, dropout=dropout)
            run_phase(phase, make_strategy(), parts, 1, 0.0, callbacks=[Interrupt(stop)], verbose=0)
    phase = line_phase(9, dropout=dropout)
    run_phase(phase, make_strategy(), parts, 1, verbose=0)
    assert read_metrics(parts.directory) == read_metrics(whole.directory)
    # A finished phase takes no step, and gives its model back.
    again = line_phase(9, dropout=dropout)
    assert run_phase(again, make_strategy(), parts, 1, verbose=0) == {}
    for value, expected in zip(again.model.get_weights(), phase.model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_infinite_loss_ends_the_run(tmp_path):
    """With lr = 1e15, the loss grows by about 1e31 a step and leaves float32 in the third."""
    model_dir = ModelDir(str(tmp_path))
    phase = line_phase(learning_rate=1e15, momentum=0.0)
    with pytest.raises(FloatingPointError, match="line: the loss is not finite in steps 3 to 3.*ckpt-2"):
        run_phase(phase, make_strategy(), model_dir, log_every=1, checkpoint_seconds=0.0, verbose=0)
    assert tf.train.latest_checkpoint(model_dir.path("line")).endswith("ckpt-2")
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]


def test_infinite_variables_are_not_saved(tmp_path):
    """The loss of a step is from before its update: that of the only step is finite, what it leaves is not."""
    model_dir = ModelDir(str(tmp_path))
    with pytest.raises(
        FloatingPointError, match="line: these variables are not finite after step 1: .*none was written"
    ):
        run_phase(line_phase(steps=1, learning_rate=3e38), make_strategy(), model_dir, verbose=0)
    assert tf.train.latest_checkpoint(model_dir.path("line")) is None


def test_phase_without_steps_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no step to take.*Received: steps=0"):
        run_phase(line_phase(steps=0), make_strategy(), ModelDir(str(tmp_path)), verbose=0)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("source")
    return open_images(tiny_run.make_inputs(directory)["images"], "train").select(SEEN)


def images_of(source):
    """The images and their order, as phases take them."""
    return ImageInput(source, Crop(16, 18), BadImages(source)), ExampleOrder(len(source), BATCH, seed=0)


def first_batches(phase):
    return list(phase.dataset(0, STEPS, None))


def train_and_read(phase, tmp_path):
    run_phase(phase, make_strategy(), ModelDir(str(tmp_path)), log_every=1, verbose=0)
    return [line["loss"] for line in read_metrics(tmp_path)]


def fit(model, batches):
    """Trains by `fit`, one batch a step, and returns the loss of each."""
    losses = []

    class Losses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            # Keras reports the mean since the epoch's start.
            losses.append(logs["loss"] * (batch + 1) - sum(losses))

    pairs = tf.data.Dataset.from_tensor_slices(
        (tf.stack([b["image"] for b in batches]), tf.stack([b["label"] for b in batches]))
    )
    model.fit(pairs, callbacks=[Losses()], shuffle=False, verbose=0)
    return losses


def test_cnn_phase_equals_fit(source, tmp_path):
    """Constant learning rate and no weight decay: the phase's own are a schedule."""
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        models.append(build_visual_model("resnet_tiny", len(SEEN), 16))
    phase = cnn_phase(models[0], *images_of(source), STEPS * BATCH / len(source), 0.02, 0.0)
    phase.updates = [(keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True), models[0].trainable_variables)]
    assert phase.steps == STEPS
    batches = first_batches(phase)
    losses = train_and_read(phase, tmp_path)
    models[1].compile(
        keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    assert fit(models[1], batches) == pytest.approx(losses, rel=1e-4)
    for value, expected in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("frozen", [True, False])
def test_devise_phase_equals_fit(source, tmp_path, frozen):
    """All false labels count, so that nothing is drawn; one learning rate for all and no schedule."""
    vectors = np.random.default_rng(0).standard_normal((len(SEEN), 8))
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        visual = representation_model(build_visual_model("resnet_tiny", len(SEEN), 16))
        models.append(DeViSE(visual, vectors, HingeRankLoss(margin=0.3, violations="sum")))
        models[-1].freeze_visual_model(frozen)
    updates = DeviseUpdates(0.01, cnn_learning_rate=None if frozen else 0.01)
    phase = devise_phase("devise", models[0], *images_of(source), STEPS * BATCH / len(source), updates)
    trained = [variable for _, group in phase.updates for variable in group]
    assert {v.path for v in trained} == {v.path for v in models[1].trainable_variables}
    phase.updates = [(keras.optimizers.Adagrad(0.01), trained)]
    batches = first_batches(phase)
    losses = train_and_read(phase, tmp_path)
    models[1].compile(optimizer=keras.optimizers.Adagrad(0.01))
    assert fit(models[1], batches) == pytest.approx(losses, rel=1e-4)
    np.testing.assert_allclose(*(m.projection.get_weights()[0] for m in models), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(models[0].get_weights()[0], models[1].get_weights()[0], rtol=1e-3, atol=1e-4)


def test_trained_label_vectors_learn_from_every_image(source):
    """The objective is a mean over images, except for the label vectors: theirs is the sum."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 9, 300).astype(np.int32)
    counts = np.bincount(ids, minlength=9)
    skip_gram = SkipGram(counts, 8)
    skip_gram.embedding.embeddings.assign(rng.standard_normal((9, 8)))
    blocks = SkipGramBlocks(ids, counts, HuffmanTree.from_counts(counts))
    rows = np.array([[0, -1], [1, 2], [3, -1], [4, 5], [8, -1]])
    trained = TrainedLabelVectors(skip_gram, blocks, rows, learning_rate=0.1, weight=0.0)
    visual = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.GlobalAveragePooling2D()])
    model = DeViSE(visual, rng.standard_normal((len(SEEN), 8)), HingeRankLoss(margin=0.3, violations="sum"))
    updates = DeviseUpdates(0.01, cnn_learning_rate=0.01)
    phase = devise_phase("devise", model, *images_of(source), 1.0, updates, trained)
    batch = next(iter(phase.dataset(0, 1, None)))
    variables = [model.projection.kernel.value, skip_gram.embedding.embeddings.value]
    with tf.GradientTape() as tape:
        objective, _ = phase.loss(batch)
    gradients = tape.gradient(objective, variables)
    with tf.GradientTape() as tape:
        embeddings = model(batch["image"])
        total = tf.reduce_sum(model.loss(embeddings, batch["label"], label_vectors=trained.label_vectors()))
    kernel, table = tape.gradient(total, variables)
    np.testing.assert_allclose(objective, total / BATCH, rtol=1e-5)
    np.testing.assert_allclose(gradients[0], kernel / BATCH, rtol=1e-4, atol=1e-5)
    table = tf.convert_to_tensor(table).numpy()
    assert np.abs(table).max() > 1
    np.testing.assert_allclose(tf.convert_to_tensor(gradients[1]), table, rtol=1e-4, atol=1e-4)


def test_steps_do_not_copy_the_label_vectors(source):
    """The table is a variable that the step reads: no constant of its graph, and no part of a batch, is so large."""
    many = 400
    visual = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.GlobalAveragePooling2D()])
    model = DeViSE(visual, np.random.default_rng(0).standard_normal((many, 8)))
    phase = devise_phase("devise", model, *images_of(source), 1.0, DeviseUpdates(0.01))
    spec = phase.dataset(0, 1, None).element_spec
    assert all(many not in part.shape for part in spec.values())
    step = tf.function(phase.loss).get_concrete_function(spec)
    handle = model.label_vectors.value.handle
    assert any(captured is handle for captured in step.captured_inputs)
    constants = [op for op in step.graph.get_operations() if op.type == "Const"]
    assert max((op.outputs[0].shape.num_elements() for op in constants), default=0) < many

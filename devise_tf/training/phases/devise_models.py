"""The models of phase 3 that a run trains: DeViSE, and those that it is compared with."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from devise_tf import text
from devise_tf.config import Config
from devise_tf.images import ExampleOrder
from devise_tf.labels import LabelSpace, RandomSpace, WordSpace
from devise_tf.layers import named_loss
from devise_tf.model_dir import CNN, DEVISE, SKIP_GRAM, Entry, ModelDir
from devise_tf.models.devise import DeViSE, SpaceRecipe, fuse_softmax
from devise_tf.models.devise.space_recipe import NO_TERMS
from devise_tf.models.model_names import random_name, random_seed
from devise_tf.models.registry import representation_model
from devise_tf.models.skip_gram import SkipGram
from devise_tf.text.vector_tokenizer import save_tokenizer
from devise_tf.training.context import RunContext
from devise_tf.training.encoded_text import encoded_text
from devise_tf.training.inputs import Inputs
from devise_tf.training.phases.devise import DeviseUpdates, devise_phase
from devise_tf.training.phases.least_squares import solve_projection
from devise_tf.training.phases.moving_label_vectors import TermDraws, TrainedLabelVectors
from devise_tf.training.run_labels import RunLabels


@dataclasses.dataclass(frozen=True)
class DeviseModel:
    """A model of phase 3.

    Attributes:
        name: String. Its name.
        config: `Config`. Its settings.
        random: Integer. Number of the model whose label vectors are random; None for those made of terms.
    """

    name: str
    config: Config
    random: int | None = None


def devise_models(config: Config) -> list[DeviseModel]:
    """The models of phase 3 that a run is to have, in the order in which they are trained."""
    return [
        DeviseModel(DEVISE, config),
        *(DeviseModel(name, config.recipe(name)) for name in config.compared()),
        *(DeviseModel(random_name(i), config.without_words(), random=i) for i in range(config.random_models)),
    ]


def train_devise_models(run: RunContext, inputs: Inputs, labels: RunLabels) -> None:
    """Trains and saves the models of phase 3 that are not finished."""
    for model in devise_models(run.config):
        if not run.has_model(model.name):
            _Training(run, inputs, labels, model).run_all()


class _Training:
    """The steps in which one model of phase 3 is made."""

    def __init__(self, run: RunContext, inputs: Inputs, labels: RunLabels, model: DeviseModel):
        self.run, self.inputs, self.labels, self.model, self.config = run, inputs, labels.labels, model, model.config
        words = labels.space(model.config)
        self.profile = words.profile
        space: LabelSpace = words
        if model.random is not None:
            space = RandomSpace(words, random_seed(self.config.seed, model.random))
        vectors = space.table(self.labels).by_label()
        self.seen = [label for label in inputs.seen if label in vectors]
        self.table = np.stack([vectors[label] for label in self.seen])
        self.draws = None
        if self.config.label_terms == "random":
            by_terms = words.table(self.labels.select(self.seen), "terms")
            self.draws = TermDraws([by_terms.values[rows] for rows in by_terms.entries])
        self.images = run.images(inputs.source("train").select(self.seen))

    def run_all(self) -> None:
        name, run = self.model.name, self.run
        projected = ModelDir.projection_name(name)
        if not run.has_model(projected):
            run.save_model(self._train_projection(projected), projected)
        model = run.load_model(projected)
        if self.config.finetune_epochs:
            self._finetune(model)
        if self.config.softmax_weight:
            with run.strategy.scope():
                model = fuse_softmax(model, run.load_model(CNN), self.config.softmax_weight)
        run.save_model(model, name)

    def _order(self, seed: int) -> ExampleOrder:
        return ExampleOrder(len(self.images.source), self.config.devise_batch_size, seed)

    def _train_projection(self, name: str) -> DeViSE:
        config, run = self.config, self.run
        run.say(f"\nPhase 3: {self.model.name}, projection with the CNN frozen")
        with run.strategy.scope():
            keras.utils.set_random_seed(config.seed)
            loss = named_loss(config.devise_loss, config.margin, config.temperature)
            terms = NO_TERMS if self.model.random is not None else config.label_terms
            recipe = SpaceRecipe(terms, self.profile, bool(config.descriptions))
            model = DeViSE(representation_model(run.load_model(CNN)), self.table, loss, recipe)
        order, epochs = self._order(config.seed), config.projection_epochs
        if config.devise_loss == "l2" and self.draws is None:
            solve_projection(model, self.images, order, epochs, config.ridge, run.strategy)
            return model
        with run.strategy.scope():
            updates = DeviseUpdates(config.devise_rates().projection)
            phase = devise_phase(name, model, self.images, order, epochs, updates, draws=self.draws)
        run.train(phase)
        return model

    def _finetune(self, model: DeViSE) -> None:
        config, run, rates = self.config, self.run, self.config.devise_rates()
        run.say(f"\nPhase 3: {self.model.name}, projection and CNN")
        trained = self._trained_label_vectors() if config.train_label_vectors else None
        updates = DeviseUpdates(
            rates.finetune_projection, rates.finetune_cnn, config.frozen_layers, config.dtype == "mixed_float16"
        )
        with run.strategy.scope():
            phase = devise_phase(
                self.model.name, model, self.images, self._order(config.seed + 1), config.finetune_epochs, updates,
                trained, self.draws,
            )  # fmt: skip
        run.train(phase)
        if trained is None:
            return
        model.label_vectors.assign(trained.label_vectors())
        terms = text.Vocabulary.load(run.model_dir.path(Entry.VOCABULARY)).terms
        path = run.model_dir.path(Entry.TRAINED_VECTORS)

        def save() -> None:
            save_tokenizer(path, self.inputs.tokenizer)
            text.save_vectors(path, terms, trained.skip_gram.vectors(), "word2vec_binary")

        run.by_chief(save)

    def _trained_label_vectors(self) -> TrainedLabelVectors:
        config, run = self.config, self.run
        vocabulary, blocks = encoded_text(run, self.inputs)
        terms, vectors = text.load_vectors(run.model_dir.needed(Entry.VECTORS), max_bad_rows=0)
        with run.strategy.scope():
            skip_gram = SkipGram(vocabulary.counts, vectors.shape[1])
        checkpoint = tf.train.latest_checkpoint(run.model_dir.needed(SKIP_GRAM))
        if checkpoint is None:
            raise ValueError(f"No checkpoint of phase 1 is left. Received: {run.model_dir.path(SKIP_GRAM)}")
        status = tf.train.Checkpoint(model=skip_gram).restore(checkpoint)
        status.assert_existing_objects_matched().expect_partial()
        words = WordSpace(terms, vectors, missing=config.missing_labels, tokenizer=self.inputs.tokenizer)
        rows = words.rows(self.labels.select(self.seen))
        with run.strategy.scope():
            return TrainedLabelVectors(
                skip_gram, blocks, rows, config.text_learning_rate, config.text_weight, config.seed
            )

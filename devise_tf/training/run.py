"""A whole run: from text and images to the three phases' models and the report."""

import importlib
import shlex
import types
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from devise_tf import text
from devise_tf.config import FREE, Config
from devise_tf.evaluation.evaluate_runs import evaluate_runs
from devise_tf.evaluation.settings import EvaluationSettings
from devise_tf.files import atomic_path
from devise_tf.images import BadImages, ImageSource
from devise_tf.labels import LabelVectors, make_label_vectors, random_label_vectors
from devise_tf.labels.coverage import LabelCoverage, label_coverage
from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.layers import named_loss
from devise_tf.model_dir import CNN, SKIP_GRAM, Entry, ModelDir
from devise_tf.models.devise import DeViSE, SpaceRecipe, fuse_softmax
from devise_tf.models.skip_gram import SkipGram
from devise_tf.models.trained_run import random_seed
from devise_tf.models.visual import build_visual_model, freeze_layers, representation_model
from devise_tf.models.visual_weights import load_visual_weights
from devise_tf.training import phases
from devise_tf.training.inputs import Inputs
from devise_tf.training.loop import Phase, run_phase
from devise_tf.training.strategy import is_chief


class Run:
    """One run in one model directory. Each step is done once: what a directory already holds is not made again.

    Args:
        config: The settings.
        strategy: The `tf.distribute` strategy, from `make_strategy`.
        callbacks: Keras callbacks, driven by every phase.
    """

    def __init__(
        self,
        config: Config,
        strategy: tf.distribute.Strategy,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        self.config, self.strategy, self.callbacks = config, strategy, callbacks
        self.chief = is_chief(strategy)
        self.model_dir = ModelDir(config.model_dir)
        self._bad: list[BadImages] = []
        self._coverage: LabelCoverage | None = None
        # Everything is opened before anything is written: a mistyped path must not become this directory's setting.
        phase = config.phase
        self.inputs = Inputs(config, phase in ("all", "skip_gram") and not self.model_dir.has(Entry.VECTORS))
        self.seen, self.unseen = self.inputs.seen, self.inputs.unseen
        if phase in ("all", "cnn") and not self.model_dir.has(ModelDir.model_file(CNN)):
            self._visual_model()  # raises where it cannot
        if self.chief:
            self.model_dir.bind_flags(config.bound(), free=FREE)
            if self.inputs.labels is not None:
                self.model_dir.bind_labels(self.inputs.labels, self.unseen, self.inputs.hierarchy)

    def all(self) -> str:
        """Runs the phases that the config asks for, and the report where all are done; returns the tables."""
        phase = self.config.phase
        try:
            if phase in ("all", "skip_gram"):
                self.skip_gram()
            if phase == "all":
                self.label_vectors()  # labels without one are better known before the CNN is trained than after
            if phase in ("all", "cnn"):
                self.cnn()
            if phase in ("all", "devise"):
                self.devise()
                tables = self.report()
                self._wait_for_chief()  # a worker that leaves would be missed by the others
                return tables
        except tf.errors.OpError:
            # What the input pipeline's Python raised comes back as a TensorFlow error, between tracebacks.
            for images in self._bad:
                images.check()
            raise
        return ""

    def _bad_images(self, source: ImageSource) -> BadImages:
        self._bad.append(BadImages(source, self.model_dir.path(Entry.BAD_IMAGES), self.config.max_bad_images))
        return self._bad[-1]

    # Phase 1

    def skip_gram(self) -> None:
        """Phase 1: vectors of terms, in `vectors.bin`."""
        if self.config.vectors:
            # No worker may ask whether the file is there: the chief could be faster, and wait for it in vain.
            if self.chief and not self.model_dir.has(Entry.VECTORS):
                terms, vectors = text.load_vectors(self.inputs.vectors)
                # Published files hold terms of odd spaces, which a word2vec file cannot.
                kept = [i for i, term in enumerate(terms) if term and not any(map(str.isspace, term))]
                if len(kept) < len(terms):
                    logging.warning("%d terms with white space are left out", len(terms) - len(kept))
                    terms, vectors = [terms[i] for i in kept], vectors[kept]
                text.save_vectors(self.model_dir.path(Entry.VECTORS), terms, vectors, "word2vec_binary")
            self._wait_for_chief()
            return
        if self.model_dir.has(Entry.VECTORS):
            return
        self._print("\nPhase 1: skip-gram")
        engine = self._fast_engine()
        vocabulary, blocks = self._encoded_text(**engine.BLOCKS if engine else {})
        with self.strategy.scope():
            keras.utils.set_random_seed(self.config.seed)
            model = SkipGram(vocabulary.counts, self.config.dimension)
            phase = phases.skip_gram_phase(
                model,
                blocks,
                self.config.skip_gram_epochs,
                self.config.skip_gram_learning_rate,
                seed=self.config.seed,
                threads=self.config.skip_gram_threads if engine else None,
            )
        self._run(phase)
        if self.chief:
            path = self.model_dir.path(Entry.VECTORS)
            text.save_vectors(path, vocabulary.terms, model.vectors(), "word2vec_binary")
        self._wait_for_chief()

    def _fast_engine(self) -> types.ModuleType | None:
        """The module of `SkipGramEngine`, for training on one CPU where Numba is; else None."""
        if self.strategy.num_replicas_in_sync > 1 or tf.config.list_logical_devices("GPU"):
            return None
        try:
            return importlib.import_module("devise_tf.training.skip_gram_engine")
        except (ImportError, OSError) as error:  # OSError: a library of LLVM cannot be loaded
            self._print(f"Training with Keras operations, which is slower: Numba cannot be used here ({error}).")
            return None

    def _encoded_text(self, **block_arguments) -> tuple[text.Vocabulary, text.SkipGramBlocks]:
        """The vocabulary and the corpus as skip-gram blocks, made by the chief where they are not there."""
        config, model_dir = self.config, self.model_dir
        words, ids = model_dir.path(Entry.VOCABULARY), model_dir.path(Entry.CORPUS)
        if self.chief:
            self._encode(words, ids)
        self._wait_for_chief()
        vocabulary, encoded = text.Vocabulary.load(words), text.EncodedCorpus.open(ids)
        self._print(f"\n{encoded.num_words:,} words of text, {len(vocabulary):,} terms in the vocabulary")
        tree = text.HuffmanTree.from_counts(vocabulary.counts)
        blocks = text.SkipGramBlocks(
            encoded.ids,
            vocabulary.counts,
            tree,
            config.window,
            config.sample,
            chunks_per_step=config.skip_gram_batch_size,
            **block_arguments,
        )
        return vocabulary, blocks

    def _encode(self, words: str, ids: str) -> None:
        config, corpus = self.config, self.inputs.corpus()
        if not self.model_dir.has(Entry.VOCABULARY):
            label_terms, phrases = self.inputs.label_terms(), {}
            if config.phrases:
                phrases = text.find_phrases(
                    corpus,
                    label_terms,
                    config.phrases,
                    threshold=config.phrase_threshold,
                    min_count=config.phrase_min_count,
                    progress=self._progress("Looking for phrases"),
                )
            vocabulary = text.Vocabulary.build(
                corpus,
                min_count=config.min_count,
                max_size=config.max_vocabulary or None,
                label_terms=label_terms,
                phrases=phrases,
                progress=self._progress("Counting terms"),
            )
            vocabulary.save(words)
        vocabulary = text.Vocabulary.load(words)
        try:
            encoded = text.EncodedCorpus.open(ids)
        except ValueError:
            text.encode_corpus(corpus, vocabulary, ids, progress=self._progress("Encoding text"))
            return
        if not encoded.matches(corpus, vocabulary):
            raise ValueError(
                f"The text has changed since {ids} was made of it. Restore it to go on with this run, or choose "
                f"another --model_dir. Received: corpus={config.corpus!r}"
            )

    # Phase 2

    def cnn(self) -> None:
        """Phase 2: the visual model with its softmax, in `cnn.keras`."""
        if self.model_dir.has(ModelDir.model_file(CNN)):
            return
        self._print(f"\nPhase 2: {self.config.visual_model} with softmax, {len(self.seen)} labels")
        config = self.config
        with self.strategy.scope():
            keras.utils.set_random_seed(config.seed)
            model, known = self._visual_model()
        if config.visual_weights:
            softmax = "kept" if known == len(self.seen) else f"new, since theirs is for {known or 'no'} labels"
            self._print(f"Weights: {config.visual_weights}; softmax: {softmax}")
        if config.cnn_epochs:
            self._train_cnn(model)
        self._save(model, CNN)

    def _visual_model(self) -> tuple[keras.Model, int]:
        """The model that phase 2 starts with, and the number of labels that its weights are for."""
        config = self.config
        model = build_visual_model(config.visual_model, len(self.seen), config.image_size, config.dtype)
        freeze_layers(model, config.frozen_layers)
        known = load_visual_weights(model, config.visual_model, config.visual_weights) if config.visual_weights else 0
        if not config.cnn_epochs and known != len(self.seen):
            raise ValueError(
                f"Without training, the weights' softmax must be for the run's {len(self.seen)} seen labels, and it is "
                f"for {known or 'none'}: give `cnn_epochs` above 0. "
                f"Received: cnn_epochs=0, visual_weights={config.visual_weights!r}"
            )
        return model, known

    def _train_cnn(self, model: keras.Model) -> None:
        config = self.config
        source = self.inputs.source("train").select(self.seen)
        with self.strategy.scope():
            phase = phases.cnn_phase(
                model,
                source,
                config.cnn_epochs,
                config.cnn_batch_size,
                config.image_size,
                config.resize_size,
                self._bad_images(source),
                config.cnn_learning_rate,
                config.weight_decay,
                config.seed,
                half_precision=config.dtype == "mixed_float16",
            )
        self._run(phase)

    # Phase 3

    def label_vectors(self, config: Config | None = None) -> LabelVectors:
        """The vectors of all labels, as a recipe has them; the run's own are read and reported once."""
        if self._coverage is None:
            labels = self.inputs.labels
            self._terms = text.load_vectors(self.model_dir.needed(Entry.VECTORS), terms=labels.names())
            self._coverage = label_coverage(labels, self._terms[0])
            images = {label: count for label, count in self.inputs.source("train").counts().items() if count}
            self._print(f"\nLabels and their vectors\n{self._coverage.table(images)}\n{self._coverage.listing(labels)}")
        config = config or self.config
        arguments = (*self._terms, config.missing_labels, config.label_terms)
        found = make_label_vectors(self.inputs.labels, *arguments)
        if config.label_profiles:
            vectors = found.by_label()
            references = np.stack([vectors[label] for label in self.seen if label in vectors])
            profile = SimilarityProfile(references, config.profile_temperature)
            found = make_label_vectors(self.inputs.labels, *arguments, profile)
        return found

    def devise(self) -> None:
        """Phase 3: the DeViSE model, and those to compare it with."""
        self._devise("devise", self.config)
        for name in self.config.compared():
            self._devise(name, self.config.recipe(name))
        for number in range(self.config.random_models):
            self._devise(f"random_{number}", self.config.without_words(), random=number)

    def _devise(self, name: str, config: Config, random: int | None = None) -> None:
        model_dir = self.model_dir
        if model_dir.has(ModelDir.model_file(name)):
            return
        found = self.label_vectors(config)
        vectors = found.by_label()
        if random is not None:
            rows = random_label_vectors(found.ids, found.vectors.shape[1], random_seed(config.seed, random))
            vectors = dict(zip(found.ids, rows, strict=True))
        terms = [found.term_vectors[label] for label in self.seen if label in vectors]
        draws = phases.TermDraws(terms) if config.label_terms == "random" and random is None else None
        rates = config.devise_rates()
        seen = [label for label in self.seen if label in vectors]
        source = self.inputs.source("train").select(seen)
        bad_images = self._bad_images(source)
        sizes = (config.devise_batch_size, config.image_size, config.resize_size, bad_images)
        projected = ModelDir.projection_name(name)
        if not model_dir.has(ModelDir.model_file(projected)):
            self._print(f"\nPhase 3: {name}, projection with the CNN frozen")
            with self.strategy.scope():
                keras.utils.set_random_seed(config.seed)
                cnn = keras.models.load_model(model_dir.needed(ModelDir.model_file(CNN)), compile=False)
                table = np.stack([vectors[label] for label in seen])
                loss = named_loss(config.devise_loss, config.margin, config.temperature)
                recipe = SpaceRecipe(config.label_terms if random is None else "none", found.profile)
                model = DeViSE(representation_model(cnn), table, loss, recipe)
                phase = phases.devise_phase(
                    projected, model, source, config.projection_epochs, *sizes,
                    learning_rate=rates.projection, seed=config.seed, draws=draws,
                )  # fmt: skip
            self._run(phase)
            self._save(model, projected)
        with self.strategy.scope():
            model = keras.models.load_model(model_dir.path(ModelDir.model_file(projected)), compile=False)
        if config.finetune_epochs:
            self._print(f"\nPhase 3: {name}, projection and CNN")
            trained = self._trained_label_vectors(seen) if config.train_label_vectors else None
            with self.strategy.scope():
                phase = phases.devise_phase(
                    name, model, source, config.finetune_epochs, *sizes,
                    learning_rate=rates.finetune_projection,
                    cnn_learning_rate=rates.finetune_cnn,
                    seed=config.seed + 1, text=trained, draws=draws,
                    frozen_layers=config.frozen_layers,
                    half_precision=config.dtype == "mixed_float16",
                )  # fmt: skip
            self._run(phase)
            if trained is not None:
                model.label_vectors.assign(trained.label_vectors())
                if self.chief:
                    terms = text.Vocabulary.load(model_dir.path(Entry.VOCABULARY)).terms
                    path = model_dir.path(Entry.TRAINED_VECTORS)
                    text.save_vectors(path, terms, trained.skip_gram.vectors(), "word2vec_binary")
        if config.softmax_weight:
            with self.strategy.scope():
                cnn = keras.models.load_model(model_dir.needed(ModelDir.model_file(CNN)), compile=False)
                model = fuse_softmax(model, cnn, config.softmax_weight)
        self._save(model, name)

    def _trained_label_vectors(self, seen: list[str]) -> phases.TrainedLabelVectors:
        config, model_dir = self.config, self.model_dir
        vocabulary, blocks = self._encoded_text()
        terms, vectors = text.load_vectors(self.model_dir.needed(Entry.VECTORS))
        with self.strategy.scope():
            skip_gram = SkipGram(vocabulary.counts, vectors.shape[1])
        checkpoint = tf.train.latest_checkpoint(model_dir.needed(SKIP_GRAM))
        if checkpoint is None:
            raise ValueError(f"No checkpoint of phase 1 is left. Received: {self.model_dir.path(SKIP_GRAM)}")
        status = tf.train.Checkpoint(model=skip_gram).restore(checkpoint)
        status.assert_existing_objects_matched().expect_partial()
        rows = make_label_vectors(self.inputs.labels.select(seen), terms, vectors, config.missing_labels).rows
        with self.strategy.scope():
            return phases.TrainedLabelVectors(
                skip_gram,
                blocks,
                rows,
                config.text_learning_rate,
                config.text_weight,
                config.seed,
            )

    # The report

    def report(self) -> str:
        """Measures the run's models and writes `report/`; returns the tables."""
        if not self.chief:
            return ""
        self._print("\nReport")
        config = self.config
        settings = EvaluationSettings(
            model_dirs=(self.model_dir.directory,),
            images=config.images,
            data_dir=config.data_dir,
            max_bad_images=config.max_bad_images,
            batch_size=config.devise_batch_size,
            seed=config.seed,
            verbose=config.verbose,
        )
        command = shlex.join(["python", "-m", "devise_tf.train", *config.command_line()])
        return evaluate_runs(settings, command)

    # Small helpers

    def _run(self, phase: Phase) -> None:
        config = self.config
        run_phase(
            phase,
            self.strategy,
            self.model_dir,
            log_every=config.log_every,
            checkpoint_seconds=config.checkpoint_seconds,
            callbacks=self.callbacks,
            verbose=config.verbose,
        )

    def _save(self, model: keras.Model, name: str) -> None:
        if self.chief:
            with atomic_path(self.model_dir.path(ModelDir.model_file(name))) as temporary:
                model.save(temporary)
        self._wait_for_chief()

    def _wait_for_chief(self) -> None:
        """A barrier: workers go on only when the chief has written what they will read."""
        if self.strategy.cluster_resolver is not None and self.strategy.num_replicas_in_sync > 1:
            ones = self.strategy.run(
                tf.function(lambda: tf.distribute.get_replica_context().all_reduce("SUM", tf.constant(1.0)))
            )
            self.strategy.experimental_local_results(ones)[0].numpy()

    def _print(self, line: str) -> None:
        if self.chief:
            print(line, flush=True)

    def _progress(self, title: str) -> Callable[[int, int | None], None] | None:
        if not self.config.verbose:
            return None
        print(f"\n{title}", flush=True)
        bar = keras.utils.Progbar(None, unit_name="MB")

        def show(done, total):
            bar.target = None if total is None else max(1, total // 1_000_000)
            bar.update(done // 1_000_000, finalize=total is not None and done >= total)

        return show


def train(config: Config, strategy: tf.distribute.Strategy, callbacks=()) -> str:
    """Trains as `config` says and returns the result tables; see `Run`."""
    return Run(config, strategy, callbacks).all()

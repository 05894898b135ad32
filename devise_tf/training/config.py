"""Everything that a run can be told, in one dataclass; the command line's flags are made from it."""

import dataclasses
import math

from devise_tf.choices import DTYPES, LABEL_TERMS, LOSSES, MARGIN, MISSING_LABELS, PROFILE_TEMPERATURE, TEMPERATURE
from devise_tf.models.recipes import RECIPES

STRATEGIES = ("default", "mirrored", "multi_worker")
PHASES = ("all", "skip_gram", "cnn", "devise")
# A run may be resumed with other values of these: they do not shape what is trained.
FREE = ("model_dir", "phase", "strategy", "data_dir", "log_every", "checkpoint_seconds", "verbose", "skip_gram_threads")
# Settings that came later. At their defaults they are not in `flags.txt`, so that runs from before can be resumed.
ADDED = ("visual_weights", "frozen_layers", "dtype")


# The paper's label vectors.
_PLAIN = {"label_terms": "first", "label_profiles": False, "softmax_weight": 0.0, "train_label_vectors": False}


def _option(default, help, choices=None):
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


@dataclasses.dataclass(frozen=True)
class Config:
    """A run's settings. Each field's meaning is its help text.

    Raises:
        ValueError: A value is out of its range, or two contradict each other.
    """

    model_dir: str = _option("", "Directory of all that the run produces. A run found there is resumed.")
    phase: str = _option("all", "Phases to run, in order; a single one needs those before it finished.", PHASES)
    seed: int = _option(0, "Seed of everything random: order, crops, first weights, false labels.")
    strategy: str = _option("default", "Devices: one, this machine's, or those of TF_CONFIG's machines.", STRATEGIES)
    data_dir: str = _option("", "Where TensorFlow Datasets keeps its files; empty for its own default.")

    corpus: str = _option("", "Text of phase 1: globs separated by commas (plain, .gz, .xz), tfds:NAME, or builtin.")
    vectors: str = _option("", "Vectors trained before, in place of --corpus: a file, or the name of packaged ones.")
    dimension: int = _option(300, "Length of the term vectors that phase 1 trains.")
    window: int = _option(10, "Largest reach of the skip-gram's window, to either side, in words.")
    min_count: int = _option(5, "Least occurrences of a term in the text; terms of labels need one only.")
    max_vocabulary: int = _option(0, "Most terms in the vocabulary, those of labels aside; 0 for no limit.")
    phrases: int = _option(0, "Passes over the text that look for phrases, two words or phrases in a pass; 0: none.")
    phrase_threshold: float = _option(200.0, "Least score of a phrase, in the first pass; it halves from pass to pass.")
    phrase_min_count: int = _option(5, "Least occurrences of a phrase in the text.")
    sample: float = _option(1e-3, "word2vec's subsampling of terms above this share of the text; 0 for none.")
    skip_gram_epochs: float = _option(1.0, "Passes over the text in phase 1.")
    skip_gram_batch_size: int = _option(2, "Chunks of 250 words a step in phase 1, over all devices.")
    skip_gram_learning_rate: float = _option(0.025, "Learning rate at the start of phase 1; it falls to 0.0001.")

    skip_gram_threads: int = _option(
        0, "Threads of phase 1 on a CPU; 0: one a core. Several differ a little from run to run, 1 repeats exactly."
    )

    images: str = _option("", "Images: folder:DIR (DIR/train/LABEL/*.jpg, DIR/val/...), tfds:NAME, or builtin.")
    labels: str = _option("", "Label files, comma-separated: `id<TAB>term, term` a line, or .csv. Else ids are terms.")
    unseen_labels: str = _option("", "File of label ids, one a line, that no image phase may see: zero-shot.")
    validation_labels: str = _option(
        "", "File of label ids that are held out too, to choose settings by: the report has them for the unseen ones."
    )
    hierarchy: str = _option(
        "", "For hierarchical precision: a file of `parent child` lines, wordnet, wordnet:DIR, imagenet or cifar100."
    )
    missing_labels: str = _option(
        "compose",
        "Labels without a vector. compose: the mean of their words; drop: the same, else leave them out; stop.",
        MISSING_LABELS,
    )
    image_size: int = _option(56, "Side of the crops, pixels.")
    resize_size: int = _option(64, "Shorter side of the image that the crops are cut from, pixels.")
    max_bad_images: float = _option(0.05, "Share of unreadable images, 0 to 1, above which the run stops.")

    visual_model: str = _option(
        "resnet_small",
        "Visual model of phase 2: alexnet, resnet_small, resnet_micro, efficientnet_lite0 to efficientnet_lite4, "
        "keras_applications/NAME or keras_hub/PRESET.",
    )
    visual_weights: str = _option(
        "",
        "Weights that phase 2 starts with. imagenet: the visual model's pretrained ones, which come with the package "
        "for efficientnet_lite0 and are downloaded for models of Keras; or a file: .keras, .npz, .weights.h5. Of "
        "another number of labels the softmax starts anew. Empty: random ones.",
    )
    frozen_layers: str = _option(
        "",
        "How deep the visual model stays as it is in phases 2 and 3: the name of the last frozen layer, all for "
        "everything below the softmax, or nothing.",
    )
    dtype: str = _option(
        "float32",
        "Keras dtype policy of the visual model; softmax, projection and losses are float32 under each. float16 can "
        "only be trained on top of.",
        DTYPES,
    )
    cnn_epochs: float = _option(
        20.0,
        "Passes over the images in phase 2; 0 with --visual_weights of a softmax over the run's seen labels, in their "
        "order, which is then kept as it is.",
    )
    cnn_batch_size: int = _option(64, "Images a step in phase 2, over all devices.")
    cnn_learning_rate: float = _option(0.05, "Peak learning rate of phase 2: a warm-up, then a cosine.")
    weight_decay: float = _option(5e-4, "Weight decay of phase 2.")

    margin: float = _option(MARGIN, "Margin of the hinge rank loss, phase 3.")
    devise_loss: str = _option(
        "one",
        "Loss of phase 3: hinge rank loss over one false label, over all, over the hardest; l2; softmax over cosines.",
        LOSSES,
    )
    temperature: float = _option(TEMPERATURE, "With --devise_loss=softmax: what cosines are divided by.")
    label_terms: str = _option(
        "first",
        "A label's vector: of its first term; the mean of all its terms'; heads: that mean with the terms' last words "
        "added; of a random term at each step.",
        LABEL_TERMS,
    )
    label_profiles: bool = _option(
        False, "Label vectors are profiles of similarities to the seen labels' vectors, in place of those of words."
    )
    profile_temperature: float = _option(
        PROFILE_TEMPERATURE, "With --label_profiles: what similarities are divided by."
    )
    softmax_weight: float = _option(
        0.0, "With --label_profiles and --finetune_epochs=0: weight of the softmax's probabilities in the embedding."
    )
    devise_batch_size: int = _option(64, "Images a step in phase 3, over all devices.")
    projection_epochs: float = _option(4.0, "Passes over the images in phase 3 with the CNN frozen.")
    projection_learning_rate: float = _option(
        0.0, "Adagrad's learning rate of the projection, CNN frozen; 0: the loss's own, 0.3 or, for sum and l2, 0.03."
    )
    finetune_epochs: float = _option(2.0, "Passes after those with the CNN unfrozen; 0 for none.")
    finetune_projection_learning_rate: float = _option(
        0.0, "The projection's learning rate with the CNN unfrozen; 0: 0.1 or, for sum and l2, 0.01."
    )
    finetune_cnn_learning_rate: float = _option(
        0.0, "Adagrad's learning rate of the CNN in phase 3; 0: 0.01 or, for sum and l2, 0.002."
    )
    train_label_vectors: bool = _option(
        False, "Train the label vectors too while the CNN is unfrozen, with the skip-gram loss beside (needs --corpus)."
    )
    text_weight: float = _option(1.0, "With --train_label_vectors: weight of the skip-gram loss.")
    text_learning_rate: float = _option(0.01, "With --train_label_vectors: learning rate of the vectors.")
    random_models: int = _option(1, "Random-embedding models to train for comparison, each with its own seed.")
    compare: str = _option(
        "", f"Further recipes of phase 3 to train for comparison, separated by commas: {', '.join(RECIPES)}."
    )

    log_every: int = _option(50, "Steps between two readings of the metrics; checkpoints are written at these only.")
    checkpoint_seconds: float = _option(120.0, "Least seconds between two checkpoints.")
    verbose: int = _option(1, "0 for no progress bars.")

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, choices = getattr(self, field.name), field.metadata["choices"]
            if choices and value not in choices:
                raise ValueError(f"`{field.name}` must be one of {choices}. Received: {field.name}={value!r}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"`{field.name}` must be finite. Received: {field.name}={value}")
            if isinstance(value, (int, float)) and value < 0:
                raise ValueError(f"`{field.name}` must not be negative. Received: {field.name}={value}")
        positive = ("dimension", "window", "skip_gram_epochs", "skip_gram_batch_size", "image_size")
        for name in (*positive, "cnn_batch_size", "devise_batch_size", "projection_epochs", "log_every"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` must be positive. Received: {name}={getattr(self, name)}")
        if not self.cnn_epochs and not self.visual_weights:
            raise ValueError(
                "`cnn_epochs` must be positive, or `visual_weights` name weights to use as they are. "
                f"Received: cnn_epochs={self.cnn_epochs}"
            )
        if self.dtype == "float16" and self.frozen_layers != "all" and (self.cnn_epochs or self.finetune_epochs):
            raise ValueError(
                "`dtype` float16 is too coarse for weights that are trained: choose mixed_bfloat16 or mixed_float16, "
                "or keep the weights as they are with `frozen_layers` all. "
                f"Received: dtype='float16', frozen_layers={self.frozen_layers!r}"
            )
        if self.phrases and not (self.phrase_threshold and self.phrase_min_count):
            raise ValueError(
                "`phrases` needs `phrase_threshold` and `phrase_min_count` above 0. "
                f"Received: phrase_threshold={self.phrase_threshold}, phrase_min_count={self.phrase_min_count}"
            )
        if self.seed >= 2**31 - 1:
            raise ValueError(f"`seed` must be below {2**31 - 1}. Received: seed={self.seed}")
        if self.max_bad_images > 1:
            raise ValueError(f"`max_bad_images` must not be above 1. Received: max_bad_images={self.max_bad_images}")
        if not self.model_dir:
            raise ValueError("`model_dir` must name a directory. Received: model_dir=''")
        if self.corpus and self.vectors:
            raise ValueError(
                "Give `corpus` to train vectors or `vectors` to bring them, not both. "
                f"Received: corpus={self.corpus!r}, vectors={self.vectors!r}"
            )
        if self.phase in ("all", "skip_gram") and not (self.corpus or self.vectors):
            raise ValueError("Phase 1 needs `corpus`, or `vectors` in its place. Received: neither")
        if self.phase != "skip_gram" and not self.images:
            raise ValueError(f"Phase {self.phase!r} needs `images`. Received: images=''")
        if self.train_label_vectors and not self.corpus:
            raise ValueError("`train_label_vectors` needs `corpus`. Received: corpus=''")
        if self.train_label_vectors and not self.finetune_epochs:
            raise ValueError("`train_label_vectors` needs `finetune_epochs` above 0. Received: finetune_epochs=0")
        if self.train_label_vectors and (self.label_terms != "first" or self.label_profiles):
            raise ValueError(
                "`train_label_vectors` trains the vectors of first terms, not profiles. Received: "
                f"label_terms={self.label_terms!r}, label_profiles={self.label_profiles}"
            )
        if self.softmax_weight and (self.finetune_epochs or not self.label_profiles):
            raise ValueError(
                "`softmax_weight` needs `label_profiles`, and `finetune_epochs=0`: the softmax is that of the CNN as "
                f"phase 2 left it. Received: {self.softmax_weight=}, label_profiles={self.label_profiles}, "
                f"finetune_epochs={self.finetune_epochs}"
            )
        for name in ("temperature", "profile_temperature"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` must be positive. Received: {name}=0")
        unknown = [name for name in self.compared() if name not in RECIPES]
        if unknown:
            raise ValueError(f"`compare` must name some of {sorted(RECIPES)}. Received: {unknown}")
        if self.resize_size < self.image_size:
            raise ValueError(
                "`resize_size` must not be smaller than `image_size`. "
                f"Received: resize_size={self.resize_size}, image_size={self.image_size}"
            )

    def bound(self) -> dict[str, object]:
        """The settings that a model directory is bound to, and the free ones, by name."""
        values = {field.name: (getattr(self, field.name), field.default) for field in dataclasses.fields(self)}
        return {name: value for name, (value, default) in values.items() if name not in ADDED or value != default}

    def compared(self) -> list[str]:
        """The names of the recipes to compare with."""
        return [name.strip() for name in self.compare.split(",") if name.strip()]

    def recipe(self, name: str) -> "Config":
        """This run's settings with those of a recipe, and the learning rates that go with its loss."""
        rates = ("projection_learning_rate", "finetune_projection_learning_rate", "finetune_cnn_learning_rate")
        return dataclasses.replace(self, **dict.fromkeys(rates, 0.0), **{**_PLAIN, **RECIPES[name]})

    def without_words(self) -> "Config":
        """This run's settings for label vectors that are not made of terms."""
        return dataclasses.replace(self, **_PLAIN)

    def devise_rates(self) -> tuple[float, float, float]:
        """The learning rates of phase 3: the projection's, and the projection's and the CNN's when both learn."""
        # Sums over labels and squared distances have larger gradients than a hinge over one label.
        own = (0.03, 0.01, 0.002) if self.devise_loss in ("sum", "l2") else (0.3, 0.1, 0.01)
        given = (
            self.projection_learning_rate,
            self.finetune_projection_learning_rate,
            self.finetune_cnn_learning_rate,
        )
        return tuple(rate or default for rate, default in zip(given, own, strict=True))

    def command_line(self) -> list[str]:
        """The flags that differ from their defaults: a command that repeats the run."""
        values = {field.name: (getattr(self, field.name), field.default) for field in dataclasses.fields(self)}
        return [f"--{name}={value}" for name, (value, default) in values.items() if value != default]

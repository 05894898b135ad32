"""What a run works on: labels, text, images and the hierarchy, opened and checked before anything is trained."""

import difflib
from collections.abc import Sequence

from absl import logging

from devise_tf import small_world, text
from devise_tf.config import Config
from devise_tf.images import ImageSource, open_images
from devise_tf.labels import Hierarchy, LabelSet
from devise_tf.labels.candidate_lists import candidate_labels
from devise_tf.labels.descriptions import Descriptions
from devise_tf.labels.label_rows import is_synset_id
from devise_tf.labels.open_labels import open_descriptions, open_hierarchy, open_ids, open_labels
from devise_tf.text.tokenizer import Tokenizer
from devise_tf.text.tokenizers import get_tokenizer
from devise_tf.text.vector_source import find_vectors
from devise_tf.text.vector_tokenizer import load_tokenizer


class Inputs:
    """The opened inputs of a run.

    Args:
        config: `Config`. The run's settings.
        text_needed: Boolean. Whether phase 1 is still to be done, so that its text or vectors must exist.
        tokenizer: `Tokenizer`. The rule that phase 1 began with; by default the setting's, or that of the vectors.

    Attributes:
        labels: `LabelSet` of the labels that images may have, or more; None without images.
        seen: Strings. Ids of the labels that are trained, in order.
        unseen: Strings. Ids of the labels that no phase may see images of.
        tokenizer: `Tokenizer`. The rule by which text becomes words.
        vectors: String. Path of the pretrained vectors, where phase 1 still needs them.
        hierarchy: `Hierarchy` of the seen and unseen labels, or None.
        descriptions: `Descriptions` of labels, or None.

    Raises:
        ValueError: Something is missing or contradicts the rest; it is named.
    """

    def __init__(self, config: Config, text_needed: bool, tokenizer: Tokenizer | None = None):
        self.config = config
        self.labels: LabelSet | None = None
        self.hierarchy: Hierarchy | None = None
        self.descriptions: Descriptions | None = None
        self.seen: list[str] = []
        self.unseen: list[str] = []
        self.vectors = ""
        self.tokenizer = tokenizer or get_tokenizer(config.tokenizer)
        self._chooses_tokenizer = tokenizer is None and not config.tokenizer
        self._sources: dict[str, ImageSource] = {}
        # Ids of labels that have no part in the run.
        self._excluded: set[str] = set()
        if text_needed:
            self._open_text()
        if config.labels_file:
            self.labels = open_labels(config.labels_file)
        self._listed = self.labels
        self._open_held_out()
        if config.hierarchy:
            self.hierarchy = open_hierarchy(config.hierarchy)
        if config.descriptions:
            self.descriptions = open_descriptions(config.descriptions)
        if config.images:
            self._split_labels()
        if config.images and config.phase in ("all", "devise"):
            self._check_val()

    def _open_text(self) -> None:
        if self.config.corpus:
            self.corpus()
        else:
            self.vectors = find_vectors(self.config.vectors)
            if self._chooses_tokenizer:
                self.tokenizer = load_tokenizer(self.vectors)

    def _open_held_out(self) -> None:
        if self.config.unseen_labels:
            self.unseen = open_ids(self.config.unseen_labels, "unseen_labels")
        if self.config.images == "builtin":
            world = small_world.world()
            self.hierarchy, self.unseen = world.hierarchy, list(world.unseen)
            if self.labels is None:
                self.labels = world.labels
        if self.config.validation_labels:
            # Labels to choose by replace the unseen ones.
            self._excluded = set(self.unseen)
            self.unseen = open_ids(self.config.validation_labels, "validation_labels")
            both = sorted(self._excluded & set(self.unseen))
            if both:
                raise ValueError(
                    "`validation_labels` must hold no unseen labels: nothing may be chosen by those. "
                    f"Received: {both[:10]}"
                )

    def _split_labels(self) -> None:
        """Splits the labels that have images into seen and unseen ones, and restricts everything to them."""
        config = self.config
        present = [label for label in self.source("train").present() if label not in self._excluded]
        missing = set(self.unseen) - set(present)
        if missing:
            missing -= set(self.source("val").present())
        if missing:
            raise ValueError(
                f"{len(missing)} of the {len(self.unseen)} unseen labels have no images, neither for training nor for "
                "the report, so that nothing is held out: correct or remove them. "
                f"Received: {'validation' if config.validation_labels else 'unseen'}_labels with {sorted(missing)[:10]}"
            )
        self.seen = [label for label in present if label not in set(self.unseen)]
        if len(self.seen) < 2:
            raise ValueError(
                "Training needs images of at least two labels that are not held out: add labels, or hold out fewer. "
                f"Received: {len(self.seen)} in {config.images}, with {len(self.unseen)} held out"
            )
        ids = [*self.seen, *self.unseen]
        if self.labels is None:
            self.labels = LabelSet.from_ids(ids)
        else:
            self.labels = self.labels.select(ids, origin=f"the images {config.images}")  # names the ids without terms
        if self.hierarchy is not None:
            self.hierarchy = self.hierarchy.restricted_to(ids)

    def kinds(self) -> LabelSet | None:
        """What the hierarchy's ids are called, as far as the label file or ImageNet's own list says so.

        Ids that are words are names themselves. None without a hierarchy.
        """
        if self.hierarchy is None:
            return None
        ids = list(self.hierarchy.parents)
        names = self._listed or LabelSet.from_ids(self.seen)
        if any(is_synset_id(label) and label not in names for label in ids):
            names = names.merged_with(candidate_labels("imagenet21k"))
        unnamed = [label for label in ids if label not in names and not is_synset_id(label)]
        names = names.merged_with(LabelSet.from_ids(unnamed)) if unnamed else names
        return names.select([label for label in ids if label in names])

    def _check_val(self) -> None:
        """Checks what the report needs: what is missing is better known now than after the training."""
        present = set(self.source("val").present())
        if not present & set(self.seen):
            raise ValueError(
                "The report needs `val` images of labels that were trained. "
                f"Received: {self.config.images} whose `val` has {sorted(present)[:10]}"
            )
        others = sorted(present - set(self.seen) - set(self.unseen) - self._excluded)
        if others:
            raise ValueError(
                f"`val` has images of {len(others)} labels that have none in `train`: "
                f"{', '.join(_with_nearest(label, self.seen + self.unseen) for label in others[:10])}. Rename their "
                "folders as in `train`, add images there, remove them, or list labels that shall be unseen in "
                f"`unseen_labels`. Received: images={self.config.images}"
            )
        missing = [label for label in [*self.seen, *self.unseen] if label not in present]
        if missing:
            logging.warning("No `val` images of %d labels, which stay candidates: %s", len(missing), missing[:20])

    def source(self, split: str) -> ImageSource:
        """The images of a split, `"train"` or `"val"`."""
        if split not in self._sources:
            config = self.config
            self._sources[split] = open_images(config.images, split, config.data_dir or None, config.val_share)
        return self._sources[split]

    def corpus(self) -> text.Corpus:
        """The text of phase 1."""
        pattern, data_dir = self.config.corpus, self.config.data_dir or None
        if pattern == "builtin":
            small_world.prepare(data_dir, "text")
            pattern = "tfds:small_world/text"
        return text.Corpus(pattern, data_dir, self.tokenizer)

    def label_terms(self) -> list[str]:
        """All terms of the labels: of the whole label file where there is one, so that its terms get vectors too."""
        labels = self.labels if self._listed is None else self._listed
        return [] if labels is None else [term for terms in labels.terms for term in terms]


def _with_nearest(label: str, labels: Sequence[str]) -> str:
    """A label, and the one that it may be a misspelling of."""
    spellings = {" ".join(other.split()).casefold(): other for other in labels}
    nearest = difflib.get_close_matches(" ".join(label.split()).casefold(), spellings, n=1, cutoff=0.8)
    return f"{label!r} (is it {spellings[nearest[0]]!r}?)" if nearest else repr(label)

"""What a run works on: labels, text, images and the hierarchy, opened and checked before anything is trained."""

from absl import logging

from devise_tf import text
from devise_tf.config import Config
from devise_tf.images import ImageSource, open_images
from devise_tf.labels import Hierarchy, LabelSet
from devise_tf.labels.open_labels import open_hierarchy, open_ids, open_labels
from devise_tf.packaged import existing_file, packaged_files


class Inputs:
    """The opened inputs of a run.

    Args:
        config: The run's settings.
        text_needed: Whether phase 1 is still to be done, so that its text or vectors must be there.

    Attributes:
        labels: `LabelSet` of the labels that images may have, or more; None without images.
        seen: Ids of the labels that are trained, in order.
        unseen: Ids of the labels that no phase may see images of.
        vectors: Path of the vectors trained elsewhere, where phase 1 still needs them.
        hierarchy: `Hierarchy` of the seen and unseen labels, or None.

    Raises:
        ValueError: Something is missing or contradicts the rest; it is named.
    """

    def __init__(self, config: Config, text_needed: bool):
        self.config = config
        self.labels: LabelSet | None = None
        self.hierarchy: Hierarchy | None = None
        self.seen: list[str] = []
        self.unseen: list[str] = []
        self.vectors = ""
        self._sources: dict[str, ImageSource] = {}
        if text_needed and config.corpus:
            self.corpus()
        elif text_needed:
            self.vectors = packaged_files("vectors").get(config.vectors) or existing_file(config.vectors, "vectors")
        if config.labels_file:
            self.labels = open_labels(config.labels_file)
        self._listed = self.labels
        if config.unseen_labels:
            self.unseen = open_ids(config.unseen_labels, "unseen_labels")
        if config.images == "builtin":
            from devise_tf import small_world

            world = small_world.world()
            self.labels, self.hierarchy, self.unseen = world.labels, world.hierarchy, list(world.unseen)
        # Labels to choose by stand in the unseen ones' place; those have no part in such a run.
        self._excluded: set[str] = set()
        if config.validation_labels:
            self._excluded = set(self.unseen)
            self.unseen = open_ids(config.validation_labels, "validation_labels")
            both = sorted(self._excluded & set(self.unseen))
            if both:
                raise ValueError(
                    "`validation_labels` must be others than the unseen ones, by which nothing may be chosen. "
                    f"Received: {both[:10]}"
                )
        if config.hierarchy:
            self.hierarchy = open_hierarchy(config.hierarchy)
        if config.images:
            self._open_images()

    def _open_images(self) -> None:
        config = self.config
        present = [label for label in self.source("train").present() if label not in self._excluded]
        lost = set(self.unseen) - set(present)
        if lost:
            lost -= set(self.source("val").present())
        if lost:
            raise ValueError(
                f"{len(lost)} of the {len(self.unseen)} unseen labels have no images, neither for training nor for the "
                "report, so that nothing is held out: correct or remove them. "
                f"Received: {'validation' if config.validation_labels else 'unseen'}_labels with {sorted(lost)[:10]}"
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
        if config.phase in ("all", "devise"):
            # What is missing for the report is better known now than after the training.
            shown = set(self.source("val").present())
            if not shown & set(self.seen):
                raise ValueError(
                    "The report needs `val` images of labels that were trained. "
                    f"Received: {config.images} whose `val` has {sorted(shown)[:10]}"
                )
            dark = [label for label in ids if label not in shown]
            if dark:
                logging.warning("No `val` images of %d labels, which stay candidates: %s", len(dark), dark[:20])

    def source(self, split: str) -> ImageSource:
        """The images of a split, `"train"` or `"val"`."""
        if split not in self._sources:
            self._sources[split] = open_images(self.config.images, split, self.config.data_dir or None)
        return self._sources[split]

    def corpus(self) -> text.Corpus:
        """The text of phase 1."""
        pattern, data_dir = self.config.corpus, self.config.data_dir or None
        if pattern == "builtin":
            from devise_tf import small_world

            small_world.prepare(data_dir, "text")
            pattern = "tfds:small_world/text"
        return text.Corpus(pattern, data_dir)

    def label_terms(self) -> list[str]:
        """All terms of the labels: of the whole label file where there is one, so that its terms get vectors too."""
        labels = self.labels if self._listed is None else self._listed
        return [] if labels is None else [term for terms in labels.normalized_terms() for term in terms]

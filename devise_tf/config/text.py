"""Settings of phase 1: the text and the skip-gram."""

import dataclasses
import re

from devise_tf.choices import MAX_BAD_ROWS, TOKENIZERS
from devise_tf.config.setting import SettingsGroup, setting


@dataclasses.dataclass(frozen=True)
class TextSettings(SettingsGroup):
    """The text and the skip-gram. Each field's meaning is its help text."""

    corpus: str = setting(
        "", "Text of phase 1: globs separated by commas (plain, .gz, .bz2, .xz), tfds:NAME, or builtin."
    )
    vectors: str = setting("", "Pretrained vectors, in place of --corpus: a file, or the name of packaged ones.")
    max_bad_rows: int = setting(
        MAX_BAD_ROWS,
        "Most rows of --vectors that may be left out because they cannot be read; with more the run stops.",
        free=True,
        later=True,
    )
    tokenizer: str = setting(
        "",
        f"How text becomes words: {', '.join(TOKENIZERS)}; by default that which --vectors were made with, or words.",
        later=True,
    )
    dimension: int = setting(300, "Length of the term vectors that phase 1 trains.", positive=True)
    window: int = setting(10, "Largest reach of the skip-gram's window, to either side, in words.", positive=True)
    min_count: int = setting(5, "Least occurrences of a term in the text; terms of labels need one only.")
    max_vocabulary: int = setting(0, "Most terms in the vocabulary, those of labels aside; 0 for no limit.")
    phrases: int = setting(0, "Passes of phrase detection; each joins two words or phrases. 0 disables it.")
    phrase_threshold: float = setting(
        200.0, "Least score of a phrase, in the first pass; it is halved from pass to pass."
    )
    phrase_min_count: int = setting(5, "Least occurrences of a phrase in the text.")
    sample: float = setting(1e-3, "word2vec's subsampling of terms above this share of the text; 0 for none.")
    skip_gram_epochs: float = setting(1.0, "Passes over the text in phase 1.", positive=True)
    skip_gram_batch_size: int = setting(2, "Chunks of 250 words a step in phase 1, over all devices.", positive=True)
    skip_gram_learning_rate: float = setting(0.025, "Learning rate at the start of phase 1; it falls to 0.0001.")
    skip_gram_threads: int = setting(
        0,
        "Threads of phase 1 on a CPU; 0: one a core. Several differ a little from run to run, 1 repeats exactly.",
        free=True,
    )

    def check(self) -> None:
        super().check()
        if self.phrases and not (self.phrase_threshold and self.phrase_min_count):
            raise ValueError(
                "`phrases` needs `phrase_threshold` and `phrase_min_count` above 0. "
                f"Received: phrase_threshold={self.phrase_threshold}, phrase_min_count={self.phrase_min_count}"
            )
        if self.tokenizer and self.tokenizer not in TOKENIZERS and not re.match("sentencepiece:.", self.tokenizer):
            raise ValueError(
                f"`tokenizer` must be one of {', '.join(TOKENIZERS)}. Received: tokenizer={self.tokenizer!r}"
            )
        if self.corpus and self.vectors:
            raise ValueError(
                "Give `corpus` to train vectors or `vectors` to bring them, not both. "
                f"Received: corpus={self.corpus!r}, vectors={self.vectors!r}"
            )

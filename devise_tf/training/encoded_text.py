"""The text of a run as numbers of terms: made once, in its directory."""

from typing import Any

from devise_tf import text
from devise_tf.model_dir import Entry
from devise_tf.training.context import RunContext
from devise_tf.training.inputs import Inputs


def encoded_text(
    run: RunContext, inputs: Inputs, **block_arguments: Any
) -> tuple[text.Vocabulary, text.SkipGramBlocks]:
    """The vocabulary and the corpus as skip-gram blocks, made by the chief where they do not exist yet."""
    config, path = run.config, run.model_dir.path(Entry.CORPUS)

    def encode() -> None:
        corpus = inputs.corpus()
        _encode(run, corpus, _vocabulary(run, corpus, inputs.label_terms()))

    run.by_chief(encode)
    vocabulary, encoded = text.Vocabulary.load(run.model_dir.path(Entry.VOCABULARY)), text.EncodedCorpus.open(path)
    run.say(f"\n{encoded.num_words:,} words of text, {len(vocabulary):,} terms in the vocabulary")
    blocks = text.SkipGramBlocks(
        encoded.ids,
        vocabulary.counts,
        text.HuffmanTree.from_counts(vocabulary.counts),
        config.window,
        config.sample,
        chunks_per_step=config.skip_gram_batch_size,
        **block_arguments,
    )
    return vocabulary, blocks


def _vocabulary(run: RunContext, corpus: text.Corpus, label_terms: list[str]) -> text.Vocabulary:
    config, path = run.config, run.model_dir.path(Entry.VOCABULARY)
    if not run.model_dir.has(Entry.VOCABULARY):
        phrases = {}
        if config.phrases:
            phrases = text.find_phrases(
                corpus,
                label_terms,
                config.phrases,
                threshold=config.phrase_threshold,
                min_count=config.phrase_min_count,
                progress=run.progress("Looking for phrases"),
            )
        text.Vocabulary.build(
            corpus,
            min_count=config.min_count,
            max_size=config.max_vocabulary or None,
            label_terms=label_terms,
            phrases=phrases,
            progress=run.progress("Counting terms"),
        ).save(path)
    return text.Vocabulary.load(path)


def _encode(run: RunContext, corpus: text.Corpus, vocabulary: text.Vocabulary) -> None:
    path = run.model_dir.path(Entry.CORPUS)
    try:
        encoded = text.EncodedCorpus.open(path)
    except ValueError:
        text.encode_corpus(corpus, vocabulary, path, progress=run.progress("Encoding text"))
        return
    if not encoded.matches(corpus, vocabulary):
        raise ValueError(
            f"The text has changed since {path} was made of it. Restore it to go on with this run, or choose "
            f"another --model_dir. Received: corpus={run.config.corpus!r}"
        )

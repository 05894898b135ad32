"""Corpora, vocabularies and vector files."""

from devise_tf.huffman import HuffmanTree
from devise_tf.text.corpus import Corpus
from devise_tf.text.encoded_corpus import EncodedCorpus, encode_corpus
from devise_tf.text.phrases import find_phrases
from devise_tf.text.skip_gram_blocks import SkipGramBlocks
from devise_tf.text.term_vectors import TermVectors
from devise_tf.text.tokenizer import WORDS, Tokenizer, normalize_term, tokenize
from devise_tf.text.tokenizers import get_tokenizer
from devise_tf.text.vector_file import load_vectors, save_vectors
from devise_tf.text.vocabulary import Vocabulary

__all__ = [
    "WORDS",
    "Corpus",
    "EncodedCorpus",
    "HuffmanTree",
    "SkipGramBlocks",
    "TermVectors",
    "Tokenizer",
    "Vocabulary",
    "encode_corpus",
    "find_phrases",
    "get_tokenizer",
    "load_vectors",
    "normalize_term",
    "save_vectors",
    "tokenize",
]

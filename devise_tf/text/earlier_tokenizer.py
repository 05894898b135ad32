"""The rule by which text became words before there were others."""

import re

from devise_tf.text.tokenizer import ASCII, NOT_ASCII, Tokenizer, ascii_words, mostly_beyond_ascii

_CAPITAL_SIGMA = "Σ".encode()


class UnnormalizedTokenizer(Tokenizer):
    """The rule of version 1: lower case, and only letters and numbers; text is not normalized.

    Every run of characters that are neither letters nor numbers separates words, so that marks separate too. Runs,
    vectors and exports that were made before there were other rules go on being read by it.
    """

    name = "unnormalized_words"
    finds_parts = False
    # What words are made of, `\w` without the underscore, is exactly the Unicode categories L and N. Line ends stay.
    _separators = re.compile(r"(?:[^\w\n]|_)+")

    def tokenize(self, text: str) -> list[str]:
        return ascii_words(text) if text.isascii() else self._lower(text).split()

    def fold_block(self, block: bytes) -> bytes:
        if not block.isascii():
            # The lower case of no character but the capital sigma depends on what stands beside it, so that the runs
            # of characters beyond ASCII can be dealt with alone.
            if mostly_beyond_ascii(block):
                block = self._lower_bytes(block)
            else:
                if _CAPITAL_SIGMA in block:
                    lines = block.split(b"\n")
                    block = b"\n".join([self._lower_bytes(line) if _CAPITAL_SIGMA in line else line for line in lines])
                block = NOT_ASCII.sub(lambda run: self._lower_bytes(run[0]), block)
        return block.translate(ASCII).replace(b"\n", b" \n ")

    def _lower(self, text: str) -> str:
        return self._separators.sub(" ", text.lower())

    def _lower_bytes(self, text: bytes) -> bytes:
        return self._lower(text.decode("utf-8", errors="replace")).encode("utf-8")


UNNORMALIZED_WORDS = UnnormalizedTokenizer()

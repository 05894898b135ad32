"""The order of examples, computed and not shuffled in a buffer."""

import tensorflow as tf


def without_tuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset, and all that is made of it, with parallel calls and buffers as they are given.

    tf.data's tuning thread sleeps up to a minute between two looks. Whoever deletes an iterator waits for that thread,
    which may miss that it should end (TensorFlow 2.21).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


class ExampleOrder:
    """Says which example has which position in which training step, as a pure function of the seed and the step.

    Examples form one endless stream, epoch after epoch without gaps: number `n` of the stream belongs to epoch
    `n // num_examples`, and every epoch is a fresh permutation. Step `s` takes the numbers
    `[s * global_batch_size, (s + 1) * global_batch_size)` and cuts them into one contiguous piece per replica.
    Nothing is buffered, so a run resumes in the middle of an epoch from its step alone, and one device, several
    devices and several processes see the same global batches.

    `global_batch_size / num_examples` epochs pass in a step: training `E` epochs takes
    `math.ceil(E * order.steps_per_epoch)` steps.

    Args:
        num_examples: Integer >= 1. Number of examples in an epoch.
        global_batch_size: Integer >= 1. Number of examples in a step over all replicas.
        seed: Integer in `[0, 2**31)`. Permutations and example seeds depend on it.
        shuffle: Bool. Whether to permute each epoch; otherwise every epoch runs from 0 to `num_examples - 1`.

    Raises:
        ValueError: An argument is out of its range.

    Example:

    >>> order = ExampleOrder(num_examples=5, global_batch_size=2, seed=0, shuffle=False)
    >>> [int(example["index"]) for example in order.dataset(1, 4)]
    [2, 3, 4, 0, 1, 2]

    Reference:
        - [Black and Rogaway, 2002, Ciphers with arbitrary finite domains](
            https://www.cs.ucdavis.edu/~rogaway/papers/subset.pdf), the permutation behind the shuffle
        - [Steele et al., 2014, Fast splittable pseudorandom number generators](
            https://doi.org/10.1145/2714064.2660195), the mixing of seed and epoch
    """

    def __init__(self, num_examples: int, global_batch_size: int, seed: int, shuffle: bool = True):
        if num_examples < 1:
            raise ValueError(f"`num_examples` must be at least 1. Received: num_examples={num_examples}")
        if global_batch_size < 1:
            raise ValueError(f"`global_batch_size` must be at least 1. Received: global_batch_size={global_batch_size}")
        if not 0 <= seed < 2**31:
            raise ValueError(f"`seed` must be in [0, 2**31). Received: seed={seed}")
        self.num_examples = num_examples
        self.global_batch_size = global_batch_size
        self.seed = seed
        self.shuffle = shuffle

    @property
    def steps_per_epoch(self) -> float:
        return self.num_examples / self.global_batch_size

    def per_replica_batch_size(self, input_context: tf.distribute.InputContext | None = None) -> int:
        """Returns how many examples of a step one replica gets: the batch size for `dataset`."""
        replicas = input_context.num_replicas_in_sync if input_context else 1
        if self.global_batch_size % replicas:
            raise ValueError(
                "`global_batch_size` must be divisible by the number of replicas. "
                f"Received: global_batch_size={self.global_batch_size}, {replicas} replicas"
            )
        return self.global_batch_size // replicas

    def dataset(
        self, start_step: int, stop_step: int, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Returns the examples of steps `[start_step, stop_step)` that this worker's replicas read.

        Args:
            start_step: Integer >= 0. The first step.
            stop_step: Integer >= `start_step`. The step after the last.
            input_context: tf.distribute.InputContext or None. Which worker this is and how many replicas there are, as
                `Strategy.distribute_datasets_from_function` gives it. All workers have equally many replicas. By
                default one worker with one replica.

        Returns:
            Unbatched `tf.data.Dataset` of `{"index": int64 scalar, "epoch": int64 scalar, "seed": int32 [2]}`: for
            each step, for each replica of this worker, its examples. `seed` differs for every example in every epoch.
        """
        if not 0 <= start_step <= stop_step:
            raise ValueError(
                "`start_step` must be at least 0 and not after `stop_step`. "
                f"Received: start_step={start_step}, stop_step={stop_step}"
            )
        batch_size = self.per_replica_batch_size(input_context)
        replicas, workers, worker = 1, 1, 0
        if input_context:
            replicas = input_context.num_replicas_in_sync
            workers, worker = input_context.num_input_pipelines, input_context.input_pipeline_id
        if replicas % workers:
            raise ValueError(f"Workers must have equally many replicas. Received: {replicas} over {workers} workers")
        local = replicas // workers

        @tf.autograph.experimental.do_not_convert
        def examples_of_replica(number):
            step, replica = start_step + number // local, worker * local + number % local
            first = step * self.global_batch_size + replica * batch_size
            return self.examples(first + tf.range(batch_size, dtype=tf.int64))

        steps = tf.data.Dataset.range((stop_step - start_step) * local)
        return without_tuning(steps.map(examples_of_replica).unbatch())

    def examples(self, numbers: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the examples of these numbers of the stream, int64 [N]: `dataset`'s entries, batched."""
        epochs, index = numbers // self.num_examples, numbers % self.num_examples
        if self.shuffle:
            # The public `index_shuffle` feeds consecutive seeds straight into its cipher; short keys then repeat
            # after 256 epochs and small sets are shuffled unevenly. Mixed keys and more rounds cure both.
            state = tf.bitwise.bitwise_xor(_mix(tf.cast(epochs, tf.uint64)), _mix(tf.constant(self.seed, tf.uint64)))
            keys = tf.stack([_mix(state + tf.constant(word, tf.uint64)) for word in range(3)], axis=1)
            max_index = tf.constant(self.num_examples - 1, tf.int64)
            index = tf.raw_ops.RandomIndexShuffle(index=index, seed=keys, max_index=max_index, rounds=12)
        # The number of the example as two words, the seed over the high one (which is 0 for 4e9 examples).
        seeds = tf.bitwise.bitwise_xor(tf.bitcast(numbers, tf.int32), tf.constant([0, self.seed], tf.int32))
        return {"index": index, "epoch": epochs, "seed": seeds}

    def step(self, seeds: tf.Tensor) -> tf.Tensor:
        """Returns the steps of examples, int64 [...], from their seeds, int32 [..., 2]."""
        numbers = tf.bitcast(tf.bitwise.bitwise_xor(seeds, tf.constant([0, self.seed], tf.int32)), tf.int64)
        return numbers // self.global_batch_size


def _mix(words):
    """SplitMix64's step from uint64 words to well-mixed uint64 words."""
    words += tf.constant(0x9E3779B97F4A7C15, tf.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words = tf.bitwise.bitwise_xor(words, tf.bitwise.right_shift(words, tf.constant(shift, tf.uint64)))
        words *= tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(words, tf.bitwise.right_shift(words, tf.constant(31, tf.uint64)))

"""Choices and defaults that settings, functions and models share, each listed once. Imports nothing."""

# What a label's vector is made of; see `devise_tf.labels.WordSpace`.
LABEL_TERMS = ("first", "mean", "heads", "random")
# What to do about labels without a vector.
MISSING_LABELS = ("compose", "drop", "stop")
# Which false labels the hinge rank loss counts.
VIOLATIONS = ("one", "sum", "hardest")
# The losses of phase 3: the hinge rank loss by its violations, and its alternatives.
LOSSES = (*VIOLATIONS, "l2", "softmax")
# Keras dtype policies of a visual model.
DTYPES = ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16")
# Forms of vector files, and of the answers that a command prints.
VECTOR_FORMS = ("word2vec_text", "word2vec_binary", "glove", "npz")
ANSWER_FORMATS = ("table", "json", "csv")
# What an evaluated model answers with, and an export. `auto`: as the model was trained.
EVALUATED_ANSWERS = ("auto", "terms", "labels")
EXPORTED_ANSWERS = ("terms", "ids")

MARGIN = 0.1
# Of the softmax over cosines, and of profiles of similarities.
TEMPERATURE = 0.05
PROFILE_TEMPERATURE = 0.15

# The phases of training, and the devices that it runs on.
PHASES = ("all", "skip_gram", "cnn", "devise")
STRATEGIES = ("default", "mirrored", "multi_worker")

"""From a trained model to a SavedModel that TF Serving runs.

Importing this package imports neither TensorFlow nor Keras; its modules do so when they are used.
"""

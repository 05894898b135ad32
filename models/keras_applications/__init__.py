"""The models of `keras.applications`."""

from devise_tf.models.keras_applications.application import application, load_application_weights
from devise_tf.models.keras_applications.reverse_channels import ReverseChannels

__all__ = ["ReverseChannels", "application", "load_application_weights"]

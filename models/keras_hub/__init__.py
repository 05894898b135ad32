"""Backbones of KerasHub."""

from devise_tf.models.keras_hub.hub_backbone import hub_backbone, load_hub_weights

__all__ = ["hub_backbone", "load_hub_weights"]

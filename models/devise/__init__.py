"""DeViSE: a visual model projected into the space of label vectors."""

from devise_tf.models.devise.devise import DeViSE
from devise_tf.models.devise.fusion import SoftmaxFusion, fuse_softmax
from devise_tf.models.devise.space_recipe import SpaceRecipe

__all__ = ["DeViSE", "SoftmaxFusion", "SpaceRecipe", "fuse_softmax"]

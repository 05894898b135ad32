from devise_tf.models.conse.conse import ConSE

__all__ = ["ConSE"]

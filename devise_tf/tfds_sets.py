"""Sets of TensorFlow Datasets, prepared already or downloaded."""


def prepared_builder(name: str, data_dir: str | None = None, file_format: str | None = None):
    """Gives the builder of a set, which is downloaded and prepared first if it is not.

    Args:
        name: String. The set's name, with a configuration if it has several: `"wiki40b/en"`.
        data_dir: String. Where TensorFlow Datasets keeps its files; by default the library's folder.
        file_format: String. Of the files, where they are to be prepared; `"array_record"` allows random access.

    Raises:
        ValueError: The set is not available; the message says why and what to do.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
        if not builder.is_prepared():
            if file_format:
                builder = tfds.builder(name, data_dir=data_dir, file_format=file_format)
            builder.download_and_prepare()
        return builder
    # A missing set, configuration, package, permission or network: whatever it was, the set is not there.
    except Exception as error:
        reason = (str(error).strip() or "no message").splitlines()[0]
        raise ValueError(
            f"The TFDS set {name!r} is not prepared in data_dir={data_dir or tfds.core.constants.DATA_DIR!r} and could "
            f"not be downloaded ({type(error).__name__}: {reason}). Prepare it on a machine with network "
            f"(`tfds build{f' --file_format={file_format}' if file_format else ''}`) and copy the folder. "
            f"Received: tfds:{name}"
        ) from error

"""The parts of Apache Beam that are used here, which is an optional extra."""

try:
    import apache_beam as beam
    from apache_beam.io.filesystem import BeamIOError, CompressionTypes
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
    from apache_beam.runners.runner import PipelineState
    from apache_beam.utils.shared import Shared
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "apache_beam":
        raise
    raise ModuleNotFoundError('This needs Apache Beam: pip install "devise_tf[beam]"', name=error.name) from None

__all__ = [
    "BeamIOError",
    "CompressionTypes",
    "FileSystems",
    "GoogleCloudOptions",
    "PipelineOptions",
    "PipelineState",
    "Shared",
    "StandardOptions",
    "beam",
]

"""The configuration files for TensorFlow Serving are what it parses."""

import os
import re

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.helpers.serving_files import FOLDER, text_of


def _model_config(text):
    [config] = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    return config


def test_models_config():
    config = _model_config(text_of("models.config"))
    assert (config.name, config.base_path, config.model_platform) == ("devise", "/models/devise", "tensorflow")
    assert not config.HasField("model_version_policy") and not config.version_labels


def test_examples_in_models_config():
    examples = re.findall(r"^#( {4}\w.*)$", text_of("models.config"), re.MULTILINE)
    latest, specific, *labels = examples
    assert len(labels) == 2

    def with_lines(*lines):
        text = text_of("models.config")
        for line in lines:
            text = text.replace(f"#{line}", line)
        return _model_config(text)

    assert with_lines(latest).model_version_policy.latest.num_versions == 2
    config = with_lines(specific, *labels)
    assert list(config.model_version_policy.specific.versions) == [1, 2]
    assert dict(config.version_labels) == {"stable": 1, "canary": 2}


@pytest.fixture(scope="module")
def messages():
    """The messages that the package of TensorFlow Serving's API lacks, as its `.proto` files declare them."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="configs.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )

    def declare(name, **fields):
        message = file.message_type.add(name=name)
        for field_name, (number, kind, type_name, label) in fields.items():
            message.field.add(name=field_name, number=number, type=kind, type_name=type_name, label=label)

    def value(number, kind):
        return number, field.TYPE_MESSAGE, f".google.protobuf.{kind}Value", field.LABEL_OPTIONAL

    # tensorflow_serving/servables/tensorflow/session_bundle_config.proto
    declare(
        "BatchingParameters",
        max_batch_size=value(1, "Int64"),
        batch_timeout_micros=value(2, "Int64"),
        max_enqueued_batches=value(3, "Int64"),
        num_batch_threads=value(4, "Int64"),
        thread_pool_name=value(5, "String"),
        allowed_batch_sizes=(6, field.TYPE_INT64, None, field.LABEL_REPEATED),
        pad_variable_length_inputs=(7, field.TYPE_BOOL, None, field.LABEL_OPTIONAL),
    )
    # tensorflow_serving/config/monitoring_config.proto
    declare(
        "PrometheusConfig",
        enable=(1, field.TYPE_BOOL, None, field.LABEL_OPTIONAL),
        path=(2, field.TYPE_STRING, None, field.LABEL_OPTIONAL),
    )
    declare(
        "MonitoringConfig",
        prometheus_config=(1, field.TYPE_MESSAGE, ".tensorflow.serving.PrometheusConfig", field.LABEL_OPTIONAL),
    )
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    descriptor_pool.Default().FindFileByName("google/protobuf/wrappers.proto").CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)

    def message(name):
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))()

    return message


def test_batching_config(messages):
    config = text_format.Parse(text_of("batching.config"), messages("BatchingParameters"))
    assert config.max_batch_size.value == 32
    assert config.batch_timeout_micros.value == 1000
    assert config.num_batch_threads.value == 4
    assert config.max_enqueued_batches.value == 100
    assert not config.pad_variable_length_inputs and not config.allowed_batch_sizes


def test_monitoring_config(messages):
    config = text_format.Parse(text_of("monitoring.config"), messages("MonitoringConfig"))
    assert config.prometheus_config.enable
    assert config.prometheus_config.path == "/monitoring/prometheus/metrics"
    assert config.prometheus_config.path in text_of("README.md")


def test_yaml_files():
    """The lines that matter; the layout, by two spaces a level, is the only one that the files use."""
    compose, kserve = text_of("compose.yaml"), text_of("kserve.yaml")
    for text in (compose, kserve):
        assert "\t" not in text
        for line in text.splitlines():
            assert (len(line) - len(line.lstrip())) % 2 == 0
    [image] = re.findall(r"^    image: (\S+)$", compose, re.MULTILINE)
    assert re.fullmatch(r"tensorflow/serving:\d+\.\d+\.\d+", image)
    assert image in text_of("README.md")
    assert f'runtimeVersion: "{image.partition(":")[2]}"' in kserve
    assert re.findall(r'^      - "(\S+)"', compose, re.MULTILINE) == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    assert compose.count("read_only: true") == compose.count("type: bind") == 2
    assert "    restart: unless-stopped\n" in compose
    for path in re.findall(r"=/config/(\S+)", compose):
        assert os.path.isfile(os.path.join(FOLDER, path))
    assert f"target: {_model_config(text_of('models.config')).base_path}\n" in compose
    for line in (
        "apiVersion: serving.kserve.io/v1beta1",
        "kind: InferenceService",
        "  name: devise",
        "      modelFormat:\n        name: tensorflow",
        "      storageUri: gs://",
    ):
        assert f"\n{line}" in kserve

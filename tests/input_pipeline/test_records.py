"""Record files: what is written is what is read, and damaged or foreign ones are refused."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from input_pipeline import batches, records, sources
from scrn_jax.errors import UserError


class Noise(tfds.core.GeneratorBasedBuilder):
    """Records of a MemorySource."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None
    source = None

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=records.features(*self.source.frame))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index in range(len(self.source)):
            yield str(index), records.encode(self.source.read(index))


@pytest.fixture
def written(tmp_path, memory_source, monkeypatch):
    """(folder, source): the records of seven pairs in three shards and the pairs themselves."""
    tfds.disable_progress_bar()
    monkeypatch.setattr(Noise, "source", memory_source(7))
    builder = Noise(data_dir=str(tmp_path), file_format="array_record")
    builder.download_and_prepare(
        download_dir=str(tmp_path / "downloads"), download_config=tfds.download.DownloadConfig(num_shards=3)
    )
    return builder.data_path, builder.source


def test_every_pair_comes_back_bit_for_bit(written):
    folder, source = written
    read = {pair.source_name: pair for pair in map(records.RecordSource(folder, "train").read, range(7))}
    assert len(read) == 7
    for index in range(7):
        pair = source.read(index)
        for key, value in dataclasses.asdict(pair).items():
            assert np.array_equal(getattr(read[pair.source_name], key), value), key


def test_the_frame_is_the_size_of_the_pictures(written):
    assert records.RecordSource(written[0], "train").frame == (16, 12)


def test_records_and_their_source_make_equal_batches(written):
    folder, source = written
    opened = sources.open_source({"name": "records", "dir": str(folder)}, "train")
    order = [int(opened.names(index)[0].removeprefix("source")) for index in range(7)]
    stored = next(batches.eval_batches(opened, batch_size=7, size=(8, 6)))
    direct = next(batches.eval_batches(source, batch_size=7, size=(8, 6)))
    for key in batches.KEYS:
        assert np.array_equal(stored[key], direct[key][order]), key


def test_a_parent_folder_leads_to_the_one_data_set_in_it(written, tmp_path):
    assert len(records.RecordSource(tmp_path, "train")) == 7


def test_an_incomplete_folder_never_counts_as_prepared(written, tmp_path):
    folder = tmp_path / "noise" / "1.0.0"
    folder.rename(folder.with_name("incomplete.ABCDEF_1.0.0"))
    with pytest.raises(UserError, match="no prepared data set"):
        records.RecordSource(tmp_path, "train")


def refused(folder, split, *expected):
    with pytest.raises(UserError) as caught:
        source = records.RecordSource(folder, split)
        list(batches.eval_batches(source, batch_size=2, size=source.frame))
    for part in expected:
        assert str(part) in str(caught.value)


def test_an_absent_split_is_refused_with_those_there_are(written):
    refused(written[0], "test", written[0], "it has train")


def test_an_absent_folder_is_refused(tmp_path):
    refused(tmp_path / "none", "train", tmp_path / "none", "no such folder")


def test_a_missing_shard_is_refused_by_name(written):
    shard = next(written[0].glob("*.array_record*"))
    shard.unlink()
    refused(written[0], "train", shard, "prepare the data set again")


def test_a_damaged_shard_is_refused(written):
    shard = next(written[0].glob("*.array_record*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2 - 3000 : len(data) // 2 + 3000] = bytes(6000)
    shard.write_bytes(data)
    refused(written[0], "train", written[0], "prepare")


def test_a_foreign_schema_is_refused(written):
    schema = json.loads((written[0] / "features.json").read_text())
    del schema["featuresDict"]["features"]["face_box"]
    (written[0] / "features.json").write_text(json.dumps(schema))
    refused(written[0], "train", written[0], "another schema")


FACE_BOX = "face_box"


def _class_of_a_feature(schema, spelling):
    feature = schema["featuresDict"]["features"][FACE_BOX]
    del feature["pythonClassName"]
    feature[spelling] = "planted.Tensor"
    return schema


def _class_of_the_whole(schema, spelling):
    del schema["pythonClassName"]
    return schema | {spelling: "planted.Features"}


def _legacy(schema, _):
    return {"type": "planted.Features", "content": {}}


def _legacy_feature(schema, _):
    features = {FACE_BOX: {"type": "planted.Tensor", "content": {}}}
    return {"type": schema["pythonClassName"], "content": features}


def _inside_a_sequence(schema, spelling):
    inner = {spelling: "planted.Tensor", "tensor": {"shape": {"dimensions": ["4"]}, "dtype": "float32"}}
    schema["featuresDict"]["features"][FACE_BOX] = {
        "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence",
        "sequence": {"feature": inner, "length": "4"},
    }
    return schema


@pytest.mark.parametrize(
    ("plant", "spelling"),
    [
        (_class_of_a_feature, "pythonClassName"),
        (_class_of_a_feature, "python_class_name"),
        (_class_of_the_whole, "pythonClassName"),
        (_class_of_the_whole, "python_class_name"),
        (_inside_a_sequence, "pythonClassName"),
        (_inside_a_sequence, "python_class_name"),
        (_legacy, "type"),
        (_legacy_feature, "type"),
    ],
)
def test_no_spelling_of_a_class_makes_opening_run_code_that_lies_in_the_folder(written, monkeypatch, plant, spelling):
    folder = written[0]
    (folder / "planted.py").write_text(f"open({str(folder / 'it_ran')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(folder))  # as when a command is started in the folder
    monkeypatch.delitem(sys.modules, "planted", raising=False)
    schema = plant(json.loads((folder / "features.json").read_text()), spelling)
    (folder / "features.json").write_text(json.dumps(schema))
    refused(folder, "train", folder / "features.json", "another schema", "input_pipeline.prepare")
    assert not (folder / "it_ran").exists() and "planted" not in sys.modules
    # TFDS's own reader does run it: the folder is one that would have harmed.
    with pytest.raises(ValueError, match="planted"):
        tfds.builder_from_directory(str(folder))
    assert (folder / "it_ran").exists()


def _changed(folder, change):
    info = json.loads((folder / "dataset_info.json").read_text())
    change(info)
    (folder / "dataset_info.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    "change",
    [
        lambda info: info.update(name="../noise"),
        lambda info: info.update(name="/etc/noise"),
        lambda info: info.update(fileFormat="tfrecord"),
        lambda info: info["splits"][0].update(filepathTemplate="/etc/{SPLIT}.{SHARD_X_OF_Y}"),
        lambda info: info["splits"][0].update(filepathTemplate="../{SPLIT}"),
        lambda info: info["splits"][0].update(name="../train"),
        lambda info: info["splits"][0].update(shardLengths=["-7"]),
        lambda info: info["splits"][0].update(shardLengths="7"),
        lambda info: info["splits"].append(info["splits"][0]),
    ],
)
def test_an_info_file_cannot_point_outside_its_folder(written, change):
    _changed(written[0], change)
    refused(written[0], "train", written[0] / "dataset_info.json", "prepare it again")


def test_the_module_that_an_info_file_names_is_not_imported(written):
    _changed(written[0], lambda info: info.update(moduleName="antigravity"))
    assert len(records.RecordSource(written[0], "train")) == 7
    assert "antigravity" not in sys.modules


def test_a_broken_info_file_is_refused(written):
    (written[0] / "dataset_info.json").write_text("{")
    refused(written[0], "train", written[0], "prepare it again")


def test_a_broken_picture_in_a_record_is_named_by_its_number(tmp_path, memory_source):
    source = memory_source(3)
    pair = source.read(1)
    source._pairs[1] = dataclasses.replace(pair, target_image=pair.target_image[:-40])
    with pytest.raises(UserError, match="pair 1, target_image: truncated"):
        list(batches.eval_batches(source, batch_size=2, size=source.frame))

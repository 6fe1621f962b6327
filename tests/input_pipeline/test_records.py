"""Record files: what is written is what is read, and damaged or foreign ones are refused."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from input_pipeline import pairs, records, sources
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
    stored = next(pairs.eval_batches(opened, batch_size=7, size=(8, 6)))
    direct = next(pairs.eval_batches(source, batch_size=7, size=(8, 6)))
    for key in pairs.KEYS:
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
        list(pairs.eval_batches(source, batch_size=2, size=source.frame))
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


def test_a_schema_that_names_foreign_code_is_refused_before_it_is_imported(written):
    schema = json.loads((written[0] / "features.json").read_text())
    schema["featuresDict"]["features"]["face_box"]["pythonClassName"] = "antigravity.Tensor"
    (written[0] / "features.json").write_text(json.dumps(schema))
    refused(written[0], "train", written[0], "antigravity")
    assert "antigravity" not in sys.modules


def test_a_broken_info_file_is_refused(written):
    (written[0] / "dataset_info.json").write_text("{")
    refused(written[0], "train", written[0], "prepare it again")


def test_a_broken_picture_in_a_record_is_named_by_its_number(tmp_path, memory_source):
    source = memory_source(3)
    pair = source.read(1)
    source._pairs[1] = dataclasses.replace(pair, target_image=pair.target_image[:-40])
    with pytest.raises(UserError, match="pair 1, target_image: truncated"):
        list(pairs.eval_batches(source, batch_size=2, size=source.frame))

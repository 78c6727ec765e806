import pytest

from swath import storage
from swath.errors import InputError
from swath.sagemaker.jobs.inputs import check_inputs, upload_inputs


@pytest.mark.parametrize(
    "uri",
    [
        "s3://scenes",
        "s3://scenes/ports/",
        "s3://scenes/train.json",
        "s3://my-data/train.json",
        "s3://results/training/",
        "s3://results/training/data/a.json",
    ],
)
def test_what_the_stacks_roles_read(deployment, uri):
    check_inputs({"images": uri}, deployment)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://other/ports/",
        "s3://scenes-of-others/ports/",
        "s3://results/runs/1/detections.parquet",
        "s3://results/trainings/a.json",
    ],
)
def test_what_they_may_not_read_is_refused_with_both_remedies(deployment, uri):
    with pytest.raises(InputError) as raised:
        check_inputs({"images": uri}, deployment)

    assert str(raised.value) == (
        f"{uri}: the jobs of the stack 'swath' may not read it; they may read below "
        "s3://scenes/, s3://my-data/, s3://results/training/. Copy the data there, or add its "
        "bucket to `data_buckets` in cdk.json and run `cdk deploy`"
    )


def test_nothing_at_a_local_path(deployment, tmp_path):
    with pytest.raises(InputError, match=r"no file or folder .*nowhere \(val_labels\)"):
        check_inputs({"val_labels": str(tmp_path / "nowhere")}, deployment)


def test_what_is_local_is_uploaded_whole_and_s3_stays_where_it_is(aws, deployment, tmp_path):
    (tmp_path / "scenes" / "north").mkdir(parents=True)
    (tmp_path / "scenes" / "a.tif").write_bytes(b"a")
    (tmp_path / "scenes" / "north" / "b.tif").write_bytes(b"b")
    (tmp_path / "scenes" / ".cache").write_bytes(b"hidden")
    (tmp_path / "train.json").write_bytes(b"{}")
    sources = {
        "images": str(tmp_path / "scenes"),
        "labels": str(tmp_path / "train.json"),
        "val_labels": "s3://scenes/val.json",
    }

    found = upload_inputs(sources, deployment)

    assert found["val_labels"] == "s3://scenes/val.json"
    assert found["images"].startswith("s3://results/training/data/")
    assert found["images"].endswith("/")
    assert storage.read_bytes(found["images"] + "a.tif") == b"a"
    assert storage.read_bytes(found["images"] + "north/b.tif") == b"b"
    assert not storage.exists(found["images"] + ".cache")
    assert found["labels"].endswith("/train.json")
    assert storage.read_bytes(found["labels"]) == b"{}"
    # Trainings and evaluations may read the uploaded objects.
    check_inputs(found, deployment)

from swath.sagemaker.jobs.reason import write_reason


def test_a_reason_is_cut_between_characters(tmp_path):
    write_reason(tmp_path / "output" / "failure", "é" * 1000 + "x")

    assert (tmp_path / "output" / "failure").read_bytes() == "é".encode() * 512


def test_a_character_that_does_not_fit_is_left_out(tmp_path):
    write_reason(tmp_path / "failure", "x" + "é" * 512)

    assert (tmp_path / "failure").read_text(encoding="utf-8") == "x" + "é" * 511

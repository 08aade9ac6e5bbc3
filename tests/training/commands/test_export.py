"""The command export: the form by the ending, output, exit codes and error lines."""

import importlib
import json
import re
import sys

import onnxruntime
import pytest
import typer

import training.export.onnx
import training.export.stablehlo
from tests.support.commands import run
from training.commands.console import friendly_errors


def test_the_ending_chooses_the_form_and_a_line_says_what_was_written(trained_store, few_digits, tmp_path):
    out = tmp_path / "tiny.onnx"
    code, said, _ = run("export", "tiny", out, "--store", trained_store.path)
    assert code == 0
    assert re.fullmatch(
        r"\S+/tiny.onnx: tiny version 1 as onnx, 0\.\d MB, answers the golden pictures as published\n", said
    )
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    (digits,) = session.run(["digit"], {"images": few_digits.images})
    assert (digits == few_digits.labels).mean() > 0.8


def test_format_says_what_the_ending_does_not_and_json_is_for_scripts(trained_store, tmp_path):
    out = tmp_path / "tiny.bin"
    code, said, _ = run("export", "tiny", out, "--format", "stablehlo", "--store", trained_store.path, "--json")
    assert code == 0
    assert json.loads(said) == {"model": "tiny", "version": 1, "format": "stablehlo", "bytes": out.stat().st_size}


def test_what_is_refused_is_refused_in_one_line(trained_store, tmp_path):
    out = tmp_path / "tiny.onnx"
    out.write_text("precious")
    store = ("--store", trained_store.path)
    assert run("export", "tiny", out, *store)[::2] == (1, f"error: {out}: exists already; --force overwrites it")
    code, _, err = run("export", "tiny", tmp_path / "tiny.tflite", *store)
    assert code == 2
    assert "the ending of tiny.tflite is not .stablehlo or .onnx; say which" in err
    assert out.read_text() == "precious"
    code, _, err = run("export", "tyni", out, "--force", *store)
    assert code == 1
    assert err.startswith("error: there is no model 'tyni' in the store")
    assert out.read_text() == "precious"
    assert run("export", "tiny", out, "--force", *store)[0] == 0
    assert out.read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("module", "package", "message"),
    [
        (
            training.export.onnx,
            "onnxruntime",
            "export to ONNX wants the packages onnx and onnxruntime: python -m pip install onnx onnxruntime",
        ),
        (
            training.export.stablehlo,
            "flatbuffers",
            "export to StableHLO wants the package flatbuffers: python -m pip install flatbuffers",
        ),
    ],
)
def test_without_the_package_one_line_says_how_to_install_it(monkeypatch, capsys, module, package, message):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(typer.Exit) as ended, friendly_errors():
        importlib.reload(module)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == f"error: {message}\n"

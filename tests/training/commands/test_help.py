"""What the commands say of themselves, and of options that there are not."""

import pytest
from typer.testing import CliRunner

from training.__main__ import app
from training.commands.suggest import meant_by
from training.network.models import MODELS


def run(*arguments: str) -> tuple[int, str]:
    """Exit code, and what is printed, without frames and line breaks."""
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return done.exit_code, " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("fit", "--lr", "0.1"), "there is no option --lr; did you mean --learning-rate?"),
        (("fit", "--batch=3"), "there is no option --batch; did you mean --batch-size?"),
        (("fit", "--epoch", "3"), "No such option: --epoch (Possible options: --epochs"),
        (("data", "show", "--why"), "No such option: --why"),
    ],
)
def test_an_unknown_option_is_told_with_the_one_that_is_meant(arguments, text):
    """--lr was answered with --help and --layers."""
    code, said = run(*arguments)
    assert code == 2
    assert text in said


def test_an_abbreviation_has_the_initials_of_an_option_or_is_one_of_its_words():
    known = ["--learning-rate", "--weight-decay", "--warmup-epochs", "--epochs", "--no-distort"]
    assert meant_by("--lr", known) == ["--learning-rate"]
    assert meant_by("--decay", known) == ["--weight-decay"]
    assert meant_by("--rate", known) == ["--learning-rate"]
    assert meant_by("--epochs", known) == ["--warmup-epochs"]
    assert meant_by("--e", known) == []


def test_help_of_fit_names_the_models_and_the_defaults_of_every_recipe():
    code, said = run("fit", "--help")
    assert code == 0
    assert f"{', '.join(MODELS)}; with --layers any name. [default: DIGITS_MODEL, or else lenet]" in said
    assert "[default: mlp 80, mlp_deep 80, lenet 40, --quick 8, --layers 8]" in said
    assert "At its peak. [default: 0.002]" in said
    assert "[default: mlp yes, mlp_deep yes, lenet yes, --quick yes, --layers no]" in said

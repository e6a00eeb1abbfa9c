"""The command's frame: subcommands, and errors as one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dis import opmap
from typing import Annotated, NoReturn

import typer

from ray_matdesign.cli import (
    cascade,
    config,
    llm,
    potential,
    ppo,
    reference,
    relax,
    report,
    run,
    saga,
    sample,
    sandbox,
    score,
    status,
    train,
    tune,
)

DEBUG_VARIABLE = "RAY_MATDESIGN_DEBUG"
USER_ERROR = 2
INTERNAL_ERROR = 1

app = typer.Typer(
    name="ray-matdesign",
    help="Design inorganic crystals with reinforcement learning.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("tune")(tune.tune)
app.command("ppo")(ppo.ppo)
app.command("sample")(sample.sample)
app.command("train")(train.train)
app.command("relax")(relax.relax)
app.command("score")(score.score)
app.add_typer(reference.app, name="reference")
app.add_typer(potential.app, name="potential")
app.command("report")(report.report)
app.command("status")(status.status)
app.add_typer(saga.app, name="saga")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(llm.app, name="llm")
app.add_typer(cascade.app, name="cascade")
app.add_typer(config.app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        from ray_matdesign import __version__

        typer.echo(f"ray-matdesign {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", envvar=DEBUG_VARIABLE)
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version)
    ] = False,
) -> None:
    """Design inorganic crystals with reinforcement learning."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Those after the command's name; the process's own by default.

    Returns:
        The exit status: 0, 1 for an error of the program, 2 for one the user can put right, 130
        after Ctrl-C, 143 for a run ended by SIGTERM; ``status`` has 3 for a run that stopped.
    """
    try:
        status = app(
            args=None if arguments is None else list(arguments),
            prog_name="ray-matdesign",
            standalone_mode=False,
        )
    except Exception as error:  # noqa: BLE001 - the one place where errors become lines
        return _explain(error)
    return status if isinstance(status, int) else 0


def entry() -> NoReturn:
    """Runs the command and ends the process with its status."""
    sys.exit(main())


def _explain(error: Exception) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, typer.TyperException):
        return _explain_usage(error)
    if isinstance(error, OSError) and not _raised_here(error):
        what = error.strerror or str(error)
        _complain(f"{error.filename}: {what}" if error.filename else what)
        return USER_ERROR
    if _raised_here(error):
        _complain(str(error))
        return USER_ERROR
    _complain(
        f"internal error: {type(error).__name__}: {_one_line(str(error))} "
        f"(ray-matdesign --debug ... shows where)"
    )
    return INTERNAL_ERROR


def _explain_usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "ray-matdesign"
    message = _one_line(error.format_message())
    if message:  # without one, the help has been shown
        _complain(f"{message.rstrip('.')}; see {command} --help")
    return USER_ERROR


def _raised_here(error: Exception) -> bool:
    """Whether a ``raise`` statement of this package, not a slip or a library, made the error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or isinstance(error, (TypeError, AttributeError, AssertionError)):
        return False
    frame = trace.tb_frame
    raised = frame.f_code.co_code[trace.tb_lasti] == opmap["RAISE_VARARGS"]
    return raised and str(frame.f_globals.get("__name__")).startswith("ray_matdesign.")


def _complain(message: str) -> None:
    for line in message.splitlines():
        typer.echo(f"ray-matdesign: {line}", err=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())

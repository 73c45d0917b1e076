"""All commands in one app, and the exit code of every way it can end."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from enova.cli import (
    accuracy,
    apply,
    backtest,
    calibrate,
    delete,
    fit,
    gpus,
    history,
    init,
    inject,
    inventory,
    ledger,
    logs,
    models,
    plan,
    rollback,
    schema,
    simulate,
    status,
    validate,
    version,
    watch,
    what_if,
)
from enova.cli.session import Session, session_of
from enova.errors import EnovaError, SpecError, UsageError

INTERRUPTED = 130

app = typer.Typer(
    name="enova",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def enova(
    ctx: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="ENOVA_DEBUG", help="Show the traceback of unexpected errors.")
    ] = False,
) -> int:
    """Say what you want to serve, see what will happen, and keep it true.

    Write a spec for each model, look at the plan, apply it. What runs is Enova's only source of truth beside your
    files: every command can be interrupted and run again.

    \b
    Examples:
      $ enova init Qwen/Qwen2.5-7B-Instruct > specs/chat.yaml
      $ enova plan
      $ enova apply
      $ enova status

    \b
    Exit codes: 0 done, 1 failed, 2 changes are pending (plan only), 64 called wrongly, 130 interrupted.
    Environment: ENOVA_STATE_DIR, ENOVA_PRICES, ENOVA_INVENTORY, HF_TOKEN, DOCKER_HOST, ENOVA_DEBUG, NO_COLOR,
    FORCE_COLOR.
    """
    session_of(ctx).debug = debug
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help(), err=True)
        return UsageError.exit_code
    return 0


app.command("init")(init.init)
app.command("validate")(validate.validate)
app.command("schema")(schema.schema)
app.command("plan")(plan.plan)
app.command("what-if")(what_if.what_if)
app.command("apply")(apply.apply)
app.command("watch")(watch.watch)
app.command("status")(status.status)
app.command("logs")(logs.logs)
app.command("delete")(delete.delete)
app.command("history")(history.history)
app.command("rollback")(rollback.rollback)
app.command("simulate")(simulate.simulate)
app.command("backtest")(backtest.backtest)
app.command("fit")(fit.fit)
app.command("calibrate")(calibrate.calibrate)
app.command("accuracy")(accuracy.accuracy)
app.add_typer(inject.app, name="inject")
app.add_typer(ledger.app, name="ledger")
app.command("models")(models.models)
app.command("gpus")(gpus.gpus)
app.command("inventory")(inventory.inventory)
app.command("version")(version.version)


def run(arguments: Sequence[str], session: Session) -> int:
    """Run one command line and return its exit code. Nothing that a user can cause ends in a traceback."""
    try:
        code = get_command(app).main(args=list(arguments), prog_name="enova", standalone_mode=False, obj=session)
        session.stdout.flush()
        return int(code or 0)
    except typer.TyperException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "enova")
        return _fail(
            session,
            error.format_message().replace("Value error, ", ""),
            f"see `{command} --help`",
            UsageError.exit_code,
        )
    except SpecError as error:
        for problem in error.problems:
            session.say(str(problem))
        many = "s" if len(error.problems) != 1 else ""
        return _fail(session, f"{len(error.problems)} problem{many} in {error.what}", None, error.exit_code)
    except EnovaError as error:
        return _fail(session, error.message, error.hint, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(session, "interrupted", None, INTERRUPTED)
    except BrokenPipeError:
        # Who read our output has seen enough; Python must not complain about that when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last resort, for mistakes in Enova itself
        if session.debug:
            session.say(traceback.format_exc().rstrip())
        hint = "this is a mistake in Enova; please report it with what `enova --debug …` prints"
        return _fail(session, f"unexpected {type(error).__name__}: {error}", hint, 1)


def _fail(session: Session, message: str, hint: str | None, code: int) -> int:
    session.say(f"error: {message}")
    if hint:
        session.say(f"hint: {hint}")
    return code

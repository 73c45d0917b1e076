"""`enova inject`: real load against a service or any address, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from enova.cli import inject_options as options
from enova.cli.inject_reports import FAILED, check_files, compare, keep_run, list_, show, show_report, write_files
from enova.cli.inject_sweep import sweep
from enova.cli.interrupt import INTERRUPTED
from enova.cli.options import Color, TextOrJson, seconds_of
from enova.cli.session import session_of


class RunByDefault(TyperGroup):
    """A group of commands that sends a load where none of them is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` before arguments that name no command."""
        named = not args or args[0] in self.commands or args[0] in ctx.help_option_names
        return super().parse_args(ctx, args if named else ["run", *args])


app = typer.Typer(
    cls=RunByDefault,
    subcommand_metavar="SERVICE|SPEC|URL | COMMAND [ARGS]...",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Send real load, and report whether promises were kept and whether the forecast was right.

    `enova inject TARGET` is short for `enova inject run TARGET`. Every run is kept in $ENOVA_STATE_DIR/history.db.

    \b
    Examples:
      $ enova inject chat
      $ enova inject http://127.0.0.1:8000 --rate 5 --duration 2m --prompt-tokens 512 --output-tokens 128
      $ enova inject sweep chat --html sweep.html
      $ enova inject compare 3 4
    """,
)


@app.command("run")
def run(
    ctx: typer.Context,
    target: options.Target,
    profile: options.ProfileFile = None,
    rate: options.Rate = None,
    concurrency: options.Concurrency = None,
    prompt_tokens: options.PromptTokens = None,
    output_tokens: options.OutputTokens = None,
    duration: Annotated[
        str | None, typer.Option("--duration", help="How long to send. Default: the traffic's own, or 60s.")
    ] = None,
    requests: options.Requests = None,
    warmup: options.Warmup = None,
    seed: options.Seed = None,
    slo: options.Slo = None,
    deadline: options.Deadline = "120s",
    max_in_flight: options.MaxInFlight = None,
    api: options.ApiOption = "completions",
    stream: options.Stream = True,
    ignore_eos: options.IgnoreEos = True,
    model: options.ModelName = None,
    api_key_env: options.KeyVariable = None,
    tokenizer: options.TokenizerPlace = None,
    workers: options.Workers = None,
    predict: options.Predict = True,
    html: options.HtmlFile = None,
    out: options.OutFile = None,
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Send a service's traffic, or what options say, and report what its users saw.

    The load is open-loop: a request is sent when it is due, whatever became of the others, and its latency counts
    from then. The report says whether the load was what it was to be, what of it was answered, whether promises
    were kept, and how far off the simulator's forecast of the very same requests was. The first Ctrl-C ends the
    run early, with a report. Exits with 0 if the run is valid and keeps every promise, 1 if not, 64 if called
    wrongly, 130 if it was ended by hand.

    \b
    Examples:
      $ enova inject chat
      $ enova inject specs/chat.yaml --rate 20 --duration 5m --html report.html
      $ enova inject http://127.0.0.1:8000 --profile night.yaml --slo ttft.p95=500ms -o json
    """
    from enova.cli.inject_aim import aim_of
    from enova.cli.inject_run import How, injected, prepared
    from enova.cli.traffic import Traffic

    session = session_of(ctx)
    check_files(html, out)
    how = How(
        api=api,
        stream=stream,
        ignore_eos=ignore_eos,
        model=model,
        tokenizer=tokenizer,
        deadline_s=seconds_of("--deadline", deadline),
        in_flight=max_in_flight,
        workers=workers,
        predict=predict,
    )
    traffic = Traffic(
        rate=rate,
        users=concurrency,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        requests=requests,
        duration=duration,
        warmup=warmup,
        seed=seed,
        promises=tuple(slo or ()),
    )
    aim = aim_of(session, target, profile=profile, model=model, key_variable=api_key_env)
    report = injected(session, prepared(aim, traffic, how), color)
    number = keep_run(session, report, aim.name, aim.fingerprint)
    write_files(session, report, html, out)
    show_report(session, report, output, color)
    session.say(f"kept as run {number}: `enova inject show {number}`, `enova inject compare`")
    if report.sent.delivery is not None and report.sent.delivery.stopped:
        return INTERRUPTED
    return 0 if report.valid and report.keeps else FAILED


app.command("sweep")(sweep)
app.command("compare")(compare)
app.command("list")(list_)
app.command("show")(show)

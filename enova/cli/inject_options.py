"""Options that all kinds of runs of load share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from enova.cli.options import complete_path, complete_service_or_path

Target = Annotated[
    str,
    typer.Argument(
        metavar="SERVICE|SPEC|URL",
        help="A service that runs, by name or spec file; or the address of any OpenAI-compatible server.",
        autocompletion=complete_service_or_path,
    ),
]
ProfileFile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help="YAML with `injection:` and, if wanted, `slo:`; or a spec. Default: the service's own.",
        show_default=False,
        autocompletion=complete_path,
    ),
]
Rate = Annotated[
    float | None, typer.Option("--rate", help="Mean requests per second, of the spec's pattern or at random.")
]
Concurrency = Annotated[
    int | None,
    typer.Option("--concurrency", min=1, help="Users who wait for answers, in place of a rate: a closed loop."),
]
PromptTokens = Annotated[
    int | None, typer.Option("--prompt-tokens", min=1, help="Of every prompt. Default without a spec: 512.")
]
OutputTokens = Annotated[
    int | None, typer.Option("--output-tokens", min=1, help="Of every answer. Default without a spec: 128.")
]
Requests = Annotated[int | None, typer.Option("--requests", min=1, help="At most so many.")]
Warmup = Annotated[
    str | None, typer.Option("--warmup", help="Time not counted. Default: a fifth under steady arrivals.")
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Another seed is another run.")]
Slo = Annotated[list[str] | None, typer.Option("--slo", help="A promise such as ttft.p95=500ms; may be repeated.")]
Deadline = Annotated[
    str, typer.Option("--deadline", help="An answer that is not there so long after its time is given up.")
]
MaxInFlight = Annotated[
    int | None,
    typer.Option("--max-in-flight", min=1, help="At most so many at once; the run counts as a closed loop."),
]
ApiOption = Annotated[
    Literal["completions", "chat"],
    typer.Option("--api", help="Prompts of completions are token ids of exact lengths, those of chats are text."),
]
Stream = Annotated[bool, typer.Option("--stream/--no-stream", help="Whether answers come token by token.")]
IgnoreEos = Annotated[
    bool,
    typer.Option("--ignore-eos/--natural-end", help="Whether answers get the very length asked for (vLLM only)."),
]
ModelName = Annotated[
    str | None,
    typer.Option("--model", help="As the server calls it. Default: the first it names.", show_default=False),
]
KeyVariable = Annotated[
    str | None,
    typer.Option(
        "--api-key-env", metavar="NAME", help="Environment variable with the server's key.", show_default=False
    ),
]
TokenizerPlace = Annotated[
    str | None,
    typer.Option(
        "--tokenizer",
        metavar="PLACE",
        help="Folder, tokenizer.json or hub id in the cache. Default: the model's, if it is here.",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, max=256, help="Processes that send. Default: enough for the rate."),
]
Predict = Annotated[
    bool, typer.Option("--predict/--no-predict", help="Set the simulator's figures of this load beside it.")
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a report that opens offline, with charts.")
]
OutFile = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Also write the report as JSON into a file.")
]

"""The command line: one verb per file; every error ends as three lines and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.main import get_command

from pellucid.cli import (
    activity,
    compare,
    concepts,
    demo,
    doctor,
    evaluate,
    explain,
    heads,
    look,
    methods,
    output,
    report,
    show,
    watch,
)
from pellucid.cli.flags import MethodFlags
from pellucid.cli.spoken import in_chinese
from pellucid.version import __version__
from pellucid.words.errors import OptionError, PellucidError, nearest

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What typer raises for arguments that do not fit; newer versions carry a click of their own."""

app = typer.Typer(
    name="pellucid", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine, 1 a finding or a failed check, 2 wrong use or input, 75 try again later.",
)
app.command()(demo.demo)
app.command(cls=MethodFlags)(explain.explain)
app.command(cls=MethodFlags)(evaluate.evaluate)
app.command(cls=MethodFlags)(compare.compare)
app.command()(look.look)
app.command()(activity.activity)
app.command()(heads.heads)
app.command()(concepts.concepts)
app.command()(watch.watch)
app.command()(methods.methods)
app.command()(show.show)
app.command()(report.report)
app.command()(doctor.doctor)
VERBS = ("demo", "explain", "evaluate", "compare", "look", "activity", "heads", "concepts", "watch",
         "methods", "show", "report", "doctor")


def _version(asked: bool) -> None:
    if asked:
        output.say(f"pellucid {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; with any verb.")]


@app.callback()
def pellucid(version: Version = False, debug: Debug = False) -> None:
    """See why a PyTorch model said what it said, and how far the answer can be trusted."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the answer is the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    args = args or ["--help"]
    end = args.index("--") if "--" in args else len(args)
    debug, machine, lang = "--debug" in args[:end], "--json" in args[:end], output.asked(args[:end])
    args = [a for i, a in enumerate(args) if a != "--debug" or i > end]
    # The overview is plain text, so that it is there at once; a verb's own help is worth loading rich for.
    app.rich_markup_mode = "rich" if args and not args[0].startswith("-") else None
    try:
        command = app if lang == "en" else in_chinese(get_command(app))
        code = command(args, prog_name="pellucid", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else output.FINE
    except PellucidError as error:
        return _ended(error, machine, debug, lang)
    except UsageError as error:
        return _ended(_usage(error), machine, debug, lang)
    except (KeyboardInterrupt, typer.Abort):
        return output.STOPPED
    except BrokenPipeError:
        # The reader (head, say) has what it wanted; what Python still holds must not fail on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if debug:
            raise
        wrong = PellucidError("bug", f"{type(error).__name__}: {str(error)[:200]}", "no such error inside Pellucid",
                              "run it again with --debug and report the traceback")
        _ended(wrong, machine, debug, lang)
        return output.BUG


def _ended(error: PellucidError, machine: bool, debug: bool, lang: str) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    if machine:
        output.say_json({"error": error.as_dict()})
    output.complain(error, "", lang)
    return output.code_of(error)


def _usage(error: Exception) -> PellucidError:
    """What typer says of wrong arguments, in our three parts."""
    text = " ".join(str(getattr(error, "message", "") or error).split()).rstrip(".")
    ctx = getattr(error, "ctx", None)
    verb = f"pellucid {ctx.info_name}" if ctx is not None and ctx.parent is not None else "pellucid"
    wrong = getattr(error, "option_name", None)
    if wrong and ctx is not None:
        flags = [o for p in ctx.command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("--")]
        return OptionError("option.unknown", f"the option {wrong}", ", ".join(flags), nearest(wrong, flags))
    if text.startswith("No such command"):
        name = text.partition("'")[2].partition("'")[0]
        return OptionError("verb.unknown", repr(name), "a verb: " + ", ".join(VERBS), nearest(name, VERBS))
    if "Missing" in text:
        lacking = str(getattr(getattr(error, "param", None), "name", None) or "argument").upper()
        return OptionError("argument.missing", f"no {lacking}", _usage_of(ctx, verb), f"see {verb} --help")
    param = getattr(error, "param", None)
    lead = f"{param.opts[0] if param.opts[0].startswith('-') else param.name}: " if param is not None else ""
    return OptionError("argument.unfit", lead + text[:1].lower() + text[1:], _usage_of(ctx, verb), f"see {verb} --help")


def _usage_of(ctx: Any, verb: str) -> str:
    """How the verb is written, such as `pellucid explain MODEL INPUT`."""
    takes = [] if ctx is None else [p.name.upper() for p in ctx.command.params if p.param_type_name == "argument"]
    return " ".join([verb, *takes, "[OPTIONS]"])


if __name__ == "__main__":
    sys.exit(main())

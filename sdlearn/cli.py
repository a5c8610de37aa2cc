"""The command line: `sdlearn lab | generate | models | train | eval | book | doctor`.

It only reads arguments; the work is elsewhere. Nothing heavy is imported here, so that every
command answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sdlearn import __version__
from sdlearn._arguments import port, positive, several, split, take_back


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code."""
    ours, jupyters = split(sys.argv[1:] if argv is None else list(argv))
    parser = _parser()
    arguments = parser.parse_args(ours)
    arguments.jupyters = jupyters
    if "last" in arguments:
        take_back(arguments)
    if arguments.run is None:
        parser.print_help()
        return 0
    try:
        return arguments.run(arguments)
    except BrokenPipeError:  # who reads has read enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sdlearn",
        description="How Stable Diffusion works: lessons that run on a plain laptop.",
    )
    parser.add_argument("--version", action="version", version=f"sdlearn {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    lab = commands.add_parser(
        "lab",
        help="open the lessons in JupyterLab",
        description="Copy the lessons to a folder (default: sdlearn-lessons), and open the first "
        "in JupyterLab; a lesson that you changed is never overwritten.",
        epilog="Options of JupyterLab itself come after --, as in: "
        "sdlearn lab -- --ServerApp.token=class",
    )
    lab.add_argument("folder", nargs="?", metavar="DIR", help="your folder for the lessons")
    lab.add_argument(
        "--blank",
        action=argparse.BooleanOptionalAction,
        help="copy them without their results, for a class that shall guess first; the folder "
        "stays so until --no-blank",
    )
    lab.add_argument("--no-browser", action="store_true", help="print the address only")
    lab.add_argument("--port", type=port, help="where JupyterLab listens (default: 8888)")
    lab.add_argument("--ip", help="the address it listens on (default: this machine only)")
    lab.add_argument("--copy-only", action="store_true", help="copy the lessons, open nothing")
    lab.set_defaults(run=_lab)

    draw = commands.add_parser(
        "generate",
        help="draw a picture for a prompt",
        description="Draw a picture. Its settings are written into it; the run itself can be kept.",
        epilog="A prompt that begins with - comes last, after --",
    )
    prompt = draw.add_argument("prompt", metavar="PROMPT", help='such as "a red cat on the grass"')
    draw.add_argument("--model", metavar="NAME", help="a name, a folder or a file (pocket-sd15)")
    draw.add_argument("--download", action="store_true", help="fetch --model if it is not here")
    draw.add_argument(
        "--tokenizer", metavar="DIR", help="for a single file: a tokenizer, or a model that has one"
    )
    draw.add_argument(
        "--config", metavar="NAME", help="for a single file: a model with the same configs"
    )
    draw.add_argument("--negative", metavar="TEXT", help="a prompt to go away from")
    draw.add_argument("--seed", nargs="+", default=["0"], metavar="N", help="a picture for each")
    draw.add_argument("--steps", type=positive, metavar="N", help="(25; a Turbo: 4)")
    draw.add_argument("--guidance", type=float, metavar="S", help="its scale (the model's usual)")
    draw.add_argument(
        "--sampler",
        metavar="NAME",
        help='such as ddim or "DPM++ 2M Karras"; an unknown one is answered with the list',
    )
    draw.add_argument("--height", type=positive, metavar="PIXELS")
    draw.add_argument("--width", type=positive, metavar="PIXELS")
    draw.add_argument("--image", metavar="FILE", help="begin with this picture")
    draw.add_argument(
        "--strength",
        type=float,
        metavar="0..1",
        help="which share of the steps is walked: near 0 little changes, 1 begins with pure noise",
    )
    draw.add_argument("--mask", metavar="FILE", help="draw into --image where this is white")
    draw.add_argument("--out", default="picture.png", metavar="FILE", help="(picture.png)")
    draw.add_argument("--trace", metavar="FILE", help="keep the whole run (.safetensors)")
    draw.add_argument("--strip", metavar="FILE", help="draw the run as a figure (.png, .svg)")
    draw.add_argument(
        "--words", nargs="+", default=[], metavar="WORD", help="rows of --strip: where they looked"
    )
    draw.add_argument(
        "--device",
        metavar="NAME",
        help="cpu, cuda, mps (the best that is here; for a pocket model cpu)",
    )
    draw.add_argument("--dtype", metavar="NAME", help="float32, float16, bfloat16")
    draw.add_argument("--quiet", action="store_true", help="no progress bar")
    draw.set_defaults(run=_generate, parser=draw, last=(prompt, ("seed", "words")))

    models = commands.add_parser("models", help="list the models: what each is, and if it is here")
    models.set_defaults(run=_models)

    train = commands.add_parser(
        "train",
        help="train a pocket model, or go on with it",
        description="Train a pocket model, stage after stage, each from its last checkpoint on. "
        "Ctrl-C writes a checkpoint; the same command goes on from there.",
        epilog="On several GPUs: accelerate launch --multi_gpu -m sdlearn train MODEL. Several "
        "processes without a GPU: torchrun --nproc_per_node 2 -m sdlearn train MODEL (there "
        "accelerate launch starts a single one).",
    )
    model = train.add_argument("model", metavar="MODEL", help="a recipe's name (pocket-sd15)")
    train.add_argument(
        "--stage",
        nargs="+",
        metavar="STAGE",
        help="only these: tokenizer clip text sides sight vae unet grow taught decoder",
    )
    train.add_argument("--folder", metavar="DIR", help="where checkpoints and pictures lie")
    train.add_argument("--stop-at", type=positive, metavar="N", help="end each stage at step N")
    train.add_argument(
        "--go-on",
        action="store_true",
        help="a stage without a checkpoint begins with the weights that the package carries",
    )
    train.add_argument(
        "--compile",
        action="store_true",
        help="have torch compile the models first: minutes at the beginning, then faster",
    )
    train.add_argument(
        "--export",
        nargs="?",
        const="",
        metavar="DIR",
        help="train nothing: put what is trained together as a diffusers folder, in DIR or "
        "among the package's own models",
    )
    train.add_argument("--unfinished", action="store_true", help="export half-trained stages too")
    train.set_defaults(run=_train, parser=train, last=(model, ("stage",)))
    prompt.required = model.required = False  # of argparse: `take_back` sees to that

    evaluate = commands.add_parser(
        "eval",
        help="ask a model for pictures, and count those that are right",
        description="PocketEval: prompts of eight kinds, half of them with combinations that no "
        "training picture shows; the share of pictures that show what was asked.",
    )
    evaluate.add_argument("model", metavar="MODEL", help="a pocket model, or a diffusers folder")
    evaluate.add_argument(
        "--count", type=several, default=200, help="prompts of each kind (default: 200)"
    )
    evaluate.add_argument("--steps", type=positive, default=25, help="DDIM steps (default: 25)")
    evaluate.add_argument("--guidance", type=float, default=5.0, help="its scale (default: 5)")
    evaluate.add_argument(
        "--sweep",
        type=several,
        metavar="N",
        help="also vary steps and guidance, with N prompts of each kind",
    )
    where = evaluate.add_mutually_exclusive_group()
    where.add_argument("--to", metavar="DIR", help="keep tables and figures here")
    where.add_argument(
        "--rehearse",
        action="store_true",
        help="ask other prompts than the card's, to compare trainings with: what was chosen on "
        "its prompts would look better there than it is",
    )
    evaluate.set_defaults(run=_eval)

    book = commands.add_parser("book", help="build the static book (in a checkout)")
    book.set_defaults(run=_book)

    doctor = commands.add_parser("doctor", help="say what is here, what is not, and what to do")
    doctor.set_defaults(run=_doctor)
    return parser


def _lab(arguments: argparse.Namespace) -> int:
    from sdlearn import _lab as lab

    try:
        if arguments.copy_only and arguments.folder is None:
            raise lab.LabError("--copy-only needs a folder: sdlearn lab my-lessons --copy-only")
        idle = _given(arguments, "no_browser", "port", "ip") + arguments.jupyters[:1]
        if arguments.copy_only and idle:
            raise lab.LabError(f"--copy-only starts no JupyterLab: leave {' '.join(idle)} out.")
        folder = lab.prepare(arguments.folder, arguments.blank)
    except lab.LabError as error:
        return _fail(error)
    if arguments.copy_only:
        return 0
    options = ["--no-browser"] if arguments.no_browser else []
    options += [f"--port={arguments.port}"] if arguments.port is not None else []
    options += [f"--ip={arguments.ip}"] if arguments.ip else []
    return lab.run(folder, [*options, *arguments.jupyters])


def _generate(arguments: argparse.Namespace) -> int:
    from sdlearn import _generate as generate

    try:
        return 0 if generate.generate(arguments) else 130
    except generate.GenerateError as error:
        return _fail(error)
    except KeyboardInterrupt:  # while loading, reading or writing: there is nothing to keep
        _fail("stopped.")
        return 130


def _models(arguments: argparse.Namespace) -> int:
    from sdlearn.models.table import models

    print(models())
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from sdlearn import _train as train

    name, stages, folder = arguments.model, arguments.stage, arguments.folder
    try:
        if arguments.export is not None:
            idle = _given(arguments, "stop_at", "go_on", "compile")
            if idle:
                raise train.TrainError(f"--export trains nothing: leave {' '.join(idle)} out.")
            train.export(name, stages, folder, arguments.export or None, arguments.unfinished)
        elif arguments.unfinished:
            raise train.TrainError("--unfinished is for --export, which was not asked for.")
        else:
            begin = arguments.stop_at, arguments.go_on, arguments.compile
            train.train(name, stages, folder, *begin)
    except train.TrainError as error:
        return _fail(error)
    except (train.Interrupted, KeyboardInterrupt) as stop:
        _fail(stop if str(stop) else "stopped; the same command goes on from the last checkpoint.")
        return 130
    return 0


def _eval(arguments: argparse.Namespace) -> int:
    from sdlearn import _train as train

    try:
        train.evaluate(
            arguments.model,
            arguments.count,
            arguments.steps,
            arguments.guidance,
            arguments.sweep,
            arguments.to,
            arguments.rehearse,
        )
    except train.TrainError as error:
        return _fail(error)
    except KeyboardInterrupt:
        there = arguments.to and Path(arguments.to, "pocketeval.json").exists()
        _fail("stopped." + (f" What was measured is in {arguments.to}." if there else ""))
        return 130
    return 0


def _book(arguments: argparse.Namespace) -> int:
    from sdlearn import _book as book

    try:
        return book.build()
    except book.BookError as error:
        return _fail(error)
    except KeyboardInterrupt:
        _fail("stopped.")
        return 130


def _doctor(arguments: argparse.Namespace) -> int:
    from sdlearn import _doctor as doctor

    findings = doctor.examine()
    print(doctor.report(findings))
    return doctor.exit_code(findings)


def _given(arguments: argparse.Namespace, *names: str) -> list[str]:
    """Which of these options were given, as they are typed."""
    told = ((name, getattr(arguments, name)) for name in names)
    return [f"--{name.replace('_', '-')}" for name, value in told if value not in (None, False)]


def _fail(error: BaseException | str) -> int:
    print(f"sdlearn: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

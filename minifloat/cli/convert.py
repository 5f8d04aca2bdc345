"""`minifloat convert`: a model quantized into the layout of another tool."""

from __future__ import annotations

import argparse

from minifloat.cli.options import (
    add_patterns,
    executor,
    flat,
    in_terms_of_options,
    integer,
    recipe_named,
)
from minifloat.cli.terminal import print_parts, progress_bar

ARGUMENTS = {  # of the library, as the command line has them
    "destination": "DST",
    "exclude": "--exclude",
    "hessians": "--hessians",
    "include": "--include",
    "layout": "--layout",
    "recipe": "--recipe",
    "source": "SRC",
}
EXAMPLES = """\
examples:
  minifloat convert llama llama-nvfp4 --recipe nvfp4
  minifloat convert llama llama-int4 --recipe int4/128/bfloat16 --exclude '*.down_proj.*'
  minifloat convert llama llama-fp8 --recipe e4m3fn/channel/float32 --workers 4
  minifloat convert llama llama-gptq --recipe int4/128/float16 --layout gptq
  minifloat convert llama llama-gguf --recipe int8full/32/float16 --layout gguf
  minifloat convert llama-modelopt llama-ct --recipe nvfp4

SRC is a directory with .safetensors files, an .index.json or a .safetensors file. Quantized are \
matrices named *.weight, without embeddings, routers and the last layer (lm_head), by their names; \
with --include, the matrices that it names. All others are copied as they are. A model that is \
quantized already, by the same recipe, changes its layout alone.

Recipes by layout:
  compressed-tensors  nvfp4, mxfp4, mxfp8e4m3, int4/128/bfloat16, e4m3fn/channel/float32, ...
  modelopt            nvfp4
  gptq, gptq_v2       int4/128/float16, uint3/64/float16/zero-point, ...
  awq                 uint4/128/float16/zero-point, int4/128/float16, ...
  fpe2m2              fpe2m2, e2m2b0/channel/bfloat16/authors
  gpt-oss             mxfp4, for experts that are one tensor
  gguf                int8full/32/float16 (Q8_0), int4full/32/float16 (Q4_0),
                      int5full/32/float16 (Q5_0), mxfp4, nvfp4, int2/256/float16 (TQ2_0)
  minifloat           any

After an interruption run the same command again: shards that were finished are kept.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `convert` to its parser."""
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add("source", metavar="SRC", help="the model to convert")
    add("destination", metavar="DST", help="the directory to write, new or empty")
    add("--recipe", required=True, metavar="R", help="nvfp4, mxfp4, int4/128/bfloat16, ...")
    add(
        "--layout",
        default="compressed-tensors",
        help="compressed-tensors (the default), modelopt, gptq, gptq_v2, awq, fpe2m2, gpt-oss, "
        "gguf, minifloat",
    )
    add_patterns(parser, "quantize only tensors", "do not quantize those")
    add("--hessians", metavar="FILE", help="Hessians by the tensors' names, for GPTQ")
    add("--workers", type=integer(1), default=1, metavar="N", help="tensors at a time (1)")
    add("--top", type=integer(1), metavar="N", help="list N tensors only; the total stays")
    add("--json", action="store_true", help="print JSON instead of tables")


def run(options: argparse.Namespace) -> None:
    """Convert and print the errors."""
    from minifloat.conversion import convert

    recipe = recipe_named(options.recipe, "--recipe")
    try:
        with executor(options.workers) as pool, progress_bar("converting") as progress:
            result = convert(
                options.source,
                options.destination,
                recipe,
                layout=options.layout,
                include=flat(options.include),
                exclude=flat(options.exclude),
                hessians=options.hessians,
                executor=pool,
                progress=progress,
            )
    except ValueError as error:
        raise ValueError(in_terms_of_options(str(error), ARGUMENTS)) from error
    except OSError as error:
        raise ValueError(
            f"DST must be a directory that can be written, got {options.destination} "
            f"({error.strerror}: {error.filename}); make room or name another"
        ) from error
    if options.json:
        print(result.to_json())
    else:
        print_parts(result.report(options.top))

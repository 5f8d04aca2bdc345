"""Measure what recipes cost real models, of text, images and sound: `python -m analysis.models`.

Each model is a module, and every module has the same four names:

    MODEL      its name in the table
    MODALITY   "text", "image" or "audio"
    FILES      the `packages.PackageFile`s it needs, which the user installs
    evaluate   a function ``evaluate(recipes, *, progress=None) -> list[Result]``

``recipes`` are those of `minifloat.quantize`; `evaluation.RECIPES` is the usual list. ``progress``
is called with the steps done and all steps. `evaluate` first measures the model as its package
ships it, called fp32, with which all recipes are compared, and then the model quantized by each
recipe. It returns a `Result` for each recipe, text or set of items (``data``), and metric; items
are the same, in the same order, for all recipes. It raises `packages.MissingPackage` if a package
is missing, and ValueError as `minifloat.quantize`.

The usual recipes are alike: blocks of 128 weights of a row, each with a float16 absmax scale. NF4
is mostly used in blocks of 64; here bits per weight differ only by the bits of the codes.
Embeddings are quantized like other matrices. Parameters that are no matrix of a product (norms,
biases, convolutions of one channel) stay float32. Weights are rounded to nearest; SmolLM2's also by
GPTQ, in results of their own. Standard errors are over items of one quantized model, so they do not
cover that its rounding errors are one draw: other groupings of the channels into blocks give other
losses (docs/models.md). ``Result.packed`` says whether products read packed weights, or
float32 weights that were rounded before.
"""

"""What formats cost real models, of text, images and sound; `python -m analysis.models` runs it.

One model to a module, and every module offers the same four names:

    MODEL      what the table calls it
    MODALITY   "text", "image" or "audio"
    FILES      the `packages.PackageFile`s it needs, which the user installs
    evaluate(formats, *, progress=None) -> list[Result]

``formats`` are names that `minifloat.quantize` takes, which `evaluation.FORMATS` lists. fp32, the
model as its package ships it, is not among them: `evaluate` measures it always and returns it
first, since all others are compared with it. It then returns a `Result` for each format, of the
same items in the same order; of each text or set of items (``data``) and each metric its own
results. ``progress`` is called with the steps done and all steps.

All formats are quantized alike, by `evaluation.quantize`: one float16 scale, the absmax, to 128
weights of a row. NF4 is used in blocks of 64 elsewhere; here bits per weight differ by those of the
codes alone. Embeddings are quantized like other matrices. What is no matrix of a product (norms,
biases, convolutions of one channel) stays float32. Weights are rounded to nearest; SmolLM2's by
GPTQ as well, in results of their own.

A module says in ``packed`` whether its products read packed weights or float32 ones that were
rounded, and raises `packages.MissingPackage` from `evaluate` where a package is missing.
"""

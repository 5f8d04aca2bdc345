"""Measure what formats cost real models, of text, images and sound: `python -m analysis.models`.

Each model is a module, and every module has the same four names:

    MODEL      its name in the table
    MODALITY   "text", "image" or "audio"
    FILES      the `packages.PackageFile`s it needs, which the user installs
    evaluate   a function ``evaluate(formats, *, progress=None) -> list[Result]``

``formats`` are names that `minifloat.quantize` takes; `evaluation.FORMATS` is the usual list.
``progress`` is called with the steps done and all steps. `evaluate` first measures the model as its
package ships it, called fp32, with which all formats are compared, and then the model in each
format. It returns a `Result` for each format, text or set of items (``data``), and metric; items
are the same, in the same order, in all formats. It raises `packages.MissingPackage` if a package
is missing, and ValueError as `minifloat.quantize`.

All formats are quantized alike, by `evaluation.quantize`: blocks of 128 weights of a row, each with
a float16 absmax scale. NF4 is usually used in blocks of 64; here bits per weight differ only by the
bits of the codes. Embeddings are quantized like other matrices. Parameters that are no matrix of a
product (norms, biases, convolutions of one channel) stay float32. Weights are rounded to nearest;
SmolLM2's also by GPTQ, in results of their own. ``Result.packed`` says whether products read
packed weights, or float32 weights that were rounded before.
"""

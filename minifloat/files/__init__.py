"""Everything on disk, taken as untrusted: model files, and quantized weights."""

"""What other libraries call our formats and modes."""

# our format, the type of ml_dtypes, the policy that ml_dtypes follows
ML_DTYPES = [
    ("e5m2", "float8_e5m2", "ieee"),
    ("e4m3fn", "float8_e4m3fn", "ieee"),
    ("e4m3fnuz", "float8_e4m3fnuz", "ieee"),
    ("e5m2fnuz", "float8_e5m2fnuz", "ieee"),
    ("e4m3b11fnuz", "float8_e4m3b11fnuz", "ieee"),
    ("e4m3ieee", "float8_e4m3", "ieee"),
    ("e3m4ieee", "float8_e3m4", "ieee"),
    ("e2m3", "float6_e2m3fn", "saturate"),
    ("e3m2", "float6_e3m2fn", "saturate"),
    ("e2m1", "float4_e2m1fn", "saturate"),
]
GFLOAT_MODES = {
    "nearest_even": "TiesToEven",
    "nearest_away": "TiesToAway",
    "toward_zero": "TowardZero",
    "upward": "TowardPositive",
    "downward": "TowardNegative",
}
GFLOAT_STOCHASTIC = {
    "stochastic": "StochasticFastest",
    "stochastic_b": "StochasticFast",
    "stochastic_c": "Stochastic",
}

"""Published theorems and laws, beside exact results."""

/* Products and sums of E4M3 codes, to nearest even; what is too large becomes the largest value. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

static double value(uint8_t code)
{
    int exponent = code >> 3 & 15, mantissa = code & 7;
    if ((code & 127) == 127)
        return NAN;
    double size = exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9);
    return code & 128 ? -size : size;
}

static uint8_t nearest(double x)
{
    int exponent;
    if (isnan(x))
        return 127;
    double size = fmin(fabs(x), 448);
    frexp(size, &exponent);
    int unit = size < ldexp(1, -6) ? -9 : exponent - 4; /* the exponent of the last bit */
    int magnitude = (unit + 9) * 8 + (int)nearbyint(ldexp(size, -unit));
    return magnitude | (signbit(x) ? 128 : 0);
}

void multiply(const uint8_t *a, const uint8_t *b, uint8_t *product, size_t n)
{
    for (size_t i = 0; i < n; i++)
        product[i] = nearest(value(a[i]) * value(b[i]));
}

void add(const uint8_t *a, const uint8_t *b, uint8_t *sum, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = nearest(value(a[i]) + value(b[i]));
}

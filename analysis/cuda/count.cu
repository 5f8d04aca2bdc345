// Kernels to be compiled and counted, never run. `kernel_n` loads, converts and stores n groups;
// `kernel_0` loads and stores one group and converts nothing. Every address is a register plus a
// constant and neighbouring words lie 32 apart, so that each further group costs WORDS loads,
// PAIRS stores and the conversion, nothing else.

constexpr int LANES = 32;

template <int GROUPS, bool CONVERTS>
__device__ __forceinline__ void load_convert_store(const uint32_t *in, const uint32_t *values,
                                                   uint32_t *results) {
    const uint32_t lane = threadIdx.x;
    in += lane;
    results += lane;
#if TABLE_SIZE
    __shared__ uint32_t table[TABLE_SIZE];
    table[lane] = values[lane];
    __syncthreads();
    results[-LANES] = table[lane ^ 1];  // so that kernel_0 keeps the table too
#endif
#pragma unroll
    for (int group = 0; group < GROUPS; ++group) {
        uint32_t w[WORDS], out[PAIRS];
#pragma unroll
        for (int i = 0; i < WORDS; ++i) w[i] = in[LANES * (group * WORDS + i)];
        if constexpr (CONVERTS) {
            CONVERT(w, table, out);
        } else {
#pragma unroll
            for (int i = 0; i < PAIRS; ++i) out[i] = w[i % WORDS];
        }
#pragma unroll
        for (int i = 0; i < PAIRS; ++i) results[LANES * (group * PAIRS + i)] = out[i];
    }
}

#define KERNEL(NAME, GROUPS, CONVERTS)                                                    \
    extern "C" __global__ void NAME(const uint32_t *__restrict__ in,                      \
                                    const uint32_t *__restrict__ values,                  \
                                    uint32_t *__restrict__ results) {                     \
        load_convert_store<GROUPS, CONVERTS>(in, values, results);                        \
    }

KERNEL(kernel_0, 1, false)
KERNEL(kernel_1, 1, true)
KERNEL(kernel_3, 3, true)

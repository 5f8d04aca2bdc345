// Kernels to be compiled and read, never run. `convert` loads, converts and stores GROUPS groups of
// words; `copy` loads and stores one and converts nothing. Every address is a register plus a
// constant and neighbouring words lie 32 apart, so that the code is a straight line in which no
// loads or stores are merged.

constexpr int LANES = 32;
constexpr int GROUPS = 4;

template <int COUNT, bool CONVERTS>
__device__ __forceinline__ void load_convert_store(const uint32_t *in, const uint32_t *values,
                                                   uint32_t *results) {
    const uint32_t lane = threadIdx.x;
    in += lane;
    results += lane;
#if TABLE_SIZE
    __shared__ uint32_t table[TABLE_SIZE];
    table[lane] = values[lane];
    __syncthreads();
    results[-LANES] = table[lane ^ 1];  // so that `copy` keeps the table too
#endif
#pragma unroll
    for (int group = 0; group < COUNT; ++group) {
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

#define ARGUMENTS                                                                         \
    const uint32_t *__restrict__ in, const uint32_t *__restrict__ values,                 \
        uint32_t *__restrict__ results

extern "C" __global__ void convert(ARGUMENTS) {
    load_convert_store<GROUPS, true>(in, values, results);
}
extern "C" __global__ void copy(ARGUMENTS) {
    load_convert_store<1, false>(in, values, results);
}

// program ROWS COLUMNS WORDS_FILE TABLE_FILE SCALES_FILE X_FILE Y_FILE: y = W x, and how long it
// takes. W's codes are packed along its rows, with a float16 scale for each 128 of them; x is
// float16, sums are float32. The same kernel also runs on plain float16 weights, those to which
// the codes convert. Y_FILE gets both results, JSON on the output the median microseconds.
//
// Words lie in planes: word i of all groups of a row, in the groups' order, then word i + 1. So
// neighbouring threads read neighbouring words, whatever WORDS is.

#include <algorithm>
#include <type_traits>

constexpr int SCALE_BLOCK = 128;     // codes
constexpr int CODES_PER_THREAD = 32; // of each row; they are the same columns in all rows
constexpr int ROWS_AT_ONCE = 4;
constexpr int MAX_THREADS = 512;
constexpr int WARP = 32;

struct Packed {
    static constexpr int words = WORDS, pairs = PAIRS;
};
struct Plain {
    static constexpr int words = CODES_PER_THREAD / 2, pairs = words;
};

static_assert(CODES_PER_THREAD % (2 * PAIRS) == 0, "a group has 2, 4, 8, 16 or 32 codes");

__device__ __forceinline__ float to_float(uint16_t half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}

__device__ __forceinline__ float2 to_float2(uint32_t pair) {
    return {to_float(static_cast<uint16_t>(pair)), to_float(static_cast<uint16_t>(pair >> 16))};
}

template <class Weights>
__global__ void __launch_bounds__(MAX_THREADS)
    gemv(const uint32_t *__restrict__ words, const uint32_t *__restrict__ values,
         const uint16_t *__restrict__ scales, const uint32_t *__restrict__ x,
         float *__restrict__ y, int rows, int columns) {
    constexpr int PAIRS_HERE = Weights::pairs, CODES = 2 * PAIRS_HERE;
    constexpr int GROUPS_PER_THREAD = CODES_PER_THREAD / CODES;
    const int groups = columns / CODES;  // of a row
    SHARED_TABLE(values);

    // 1. The thread's part of x stays in registers.
    float2 factors[GROUPS_PER_THREAD][PAIRS_HERE];
#pragma unroll
    for (int j = 0; j < GROUPS_PER_THREAD; ++j) {
        const int group = j * blockDim.x + threadIdx.x;
#pragma unroll
        for (int p = 0; p < PAIRS_HERE; ++p) factors[j][p] = to_float2(x[group * PAIRS_HERE + p]);
    }

    for (int first = blockIdx.x * ROWS_AT_ONCE; first < rows; first += gridDim.x * ROWS_AT_ONCE) {
        // 2. The thread's part of each row's sum.
        float sums[ROWS_AT_ONCE] = {};
#pragma unroll
        for (int r = 0; r < ROWS_AT_ONCE; ++r) {
            const size_t row = first + r;
#pragma unroll
            for (int j = 0; j < GROUPS_PER_THREAD; ++j) {
                const int group = j * blockDim.x + threadIdx.x;
                uint32_t w[Weights::words], out[PAIRS_HERE];
#pragma unroll
                for (int i = 0; i < Weights::words; ++i)
                    w[i] = words[(row * Weights::words + i) * groups + group];
                if constexpr (std::is_same_v<Weights, Packed>) {
                    CONVERT(w, table, out);
                } else {
#pragma unroll
                    for (int p = 0; p < PAIRS_HERE; ++p) out[p] = w[p];
                }
                float sum = 0;
#pragma unroll
                for (int p = 0; p < PAIRS_HERE; ++p) {
                    const float2 weights = to_float2(out[p]);
                    sum = fmaf(weights.x, factors[j][p].x, sum);
                    sum = fmaf(weights.y, factors[j][p].y, sum);
                }
                const size_t block = row * (columns / SCALE_BLOCK) + group * CODES / SCALE_BLOCK;
                sums[r] = fmaf(to_float(scales[block]), sum, sums[r]);
            }
        }

        // 3. The sum over the warp, then over the block's warps.
        __shared__ float partial[ROWS_AT_ONCE][MAX_THREADS / WARP];
#pragma unroll
        for (int r = 0; r < ROWS_AT_ONCE; ++r) {
            for (int step = WARP / 2; step; step /= 2)
                sums[r] += __shfl_xor_sync(0xffffffff, sums[r], step);
            if (threadIdx.x % WARP == 0) partial[r][threadIdx.x / WARP] = sums[r];
        }
        __syncthreads();
        if (threadIdx.x < ROWS_AT_ONCE) {
            float sum = 0;
            for (int warp = 0; warp < blockDim.x / WARP; ++warp) sum += partial[threadIdx.x][warp];
            y[first + threadIdx.x] = sum;
        }
        __syncthreads();
    }
}

// Write the float16 weights to which the codes convert, in the planes that gemv<Plain> reads.
__global__ void unpack(const uint32_t *words, const uint32_t *values, uint32_t *plain, int rows,
                       int columns) {
    SHARED_TABLE(values);
    const int groups = columns / (2 * PAIRS);
    for (size_t row = blockIdx.x; row < rows; row += gridDim.x) {
        for (int group = threadIdx.x; group < groups; group += blockDim.x) {
            uint32_t w[WORDS], out[PAIRS];
            for (int i = 0; i < WORDS; ++i) w[i] = words[(row * WORDS + i) * groups + group];
            CONVERT(w, table, out);
            for (int p = 0; p < PAIRS; ++p) {
                const int pair = group * PAIRS + p;
                const int plane = pair % Plain::words, place = pair / Plain::words;
                plain[(row * Plain::words + plane) * (columns / CODES_PER_THREAD) + place] = out[p];
            }
        }
    }
}

// Weights in the GPU's memory so many times over that its cache holds none of them when their
// turn comes again.
struct Copies {
    uint32_t *first;
    size_t size;  // words of one
    int count;

    Copies(const uint32_t *words, size_t size, int cache) : size(size) {
        count = 2 + static_cast<int>(2 * static_cast<size_t>(cache) / (size * sizeof(uint32_t)));
        first = allocate<uint32_t>(size * count);
        for (int i = 0; i < count; ++i)
            CHECK(cudaMemcpy(first + i * size, words, size * sizeof(uint32_t), cudaMemcpyDefault));
    }
    const uint32_t *operator[](int turn) const { return first + turn % count * size; }
};

// Median over 51 measurements of the mean time of 20 launches, in microseconds.
template <class Launch>
double microseconds(Launch launch) {
    constexpr int MEASUREMENTS = 51, LAUNCHES = 20;
    cudaEvent_t start, stop;
    CHECK(cudaEventCreate(&start));
    CHECK(cudaEventCreate(&stop));
    std::vector<float> times;
    int turn = 0;
    for (int i = 0; i < 1 + MEASUREMENTS; ++i) {
        CHECK(cudaEventRecord(start));
        for (int j = 0; j < LAUNCHES; ++j) launch(turn++);
        CHECK(cudaEventRecord(stop));
        CHECK(cudaEventSynchronize(stop));
        CHECK(cudaGetLastError());
        float milliseconds;
        CHECK(cudaEventElapsedTime(&milliseconds, start, stop));
        if (i) times.push_back(1e3f * milliseconds / LAUNCHES);  // the first one warms up
    }
    std::sort(times.begin(), times.end());
    return times[MEASUREMENTS / 2];
}

template <class Weights>
int resident_blocks(int threads, int multiprocessors) {
    int blocks;
    CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, gemv<Weights>, threads, 0));
    return blocks * multiprocessors;
}

int main(int, char **arguments) {
    const int rows = std::atoi(arguments[1]), columns = std::atoi(arguments[2]);
    const auto host_words = read_file<uint32_t>(arguments[3]);
    const auto *table = to_gpu(read_file<uint32_t>(arguments[4]));
    const auto *scales = to_gpu(read_file<uint16_t>(arguments[5]));
    const auto *x = to_gpu(read_file<uint32_t>(arguments[6]));
    float *y = allocate<float>(2 * rows);

    int multiprocessors, cache;
    CHECK(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0));
    CHECK(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, 0));
    const int threads = columns / CODES_PER_THREAD;

    const Copies words(host_words.data(), host_words.size(), cache);
    uint32_t *halves = allocate<uint32_t>(static_cast<size_t>(rows) * columns / 2);
    unpack<<<1024, 256>>>(words[0], table, halves, rows, columns);
    CHECK(cudaGetLastError());
    const Copies plain(halves, static_cast<size_t>(rows) * columns / 2, cache);

    const int packed_blocks = resident_blocks<Packed>(threads, multiprocessors);
    const int plain_blocks = resident_blocks<Plain>(threads, multiprocessors);
    const double packed_time = microseconds([&](int turn) {
        gemv<Packed><<<packed_blocks, threads>>>(words[turn], table, scales, x, y, rows, columns);
    });
    const double plain_time = microseconds([&](int turn) {
        gemv<Plain><<<plain_blocks, threads>>>(plain[turn], table, scales, x, y + rows, rows,
                                               columns);
    });
    write_file(arguments[7], from_gpu(y, 2 * rows));

    const auto copy_time = [&](const Copies &weights) {
        return microseconds([&](int turn) {
            CHECK(cudaMemcpyAsync(halves, weights[turn], weights.size * sizeof(uint32_t),
                                  cudaMemcpyDeviceToDevice));
        });
    };
    std::printf("{\"gemv\": %.3f, \"gemv_float16\": %.3f, ", packed_time, plain_time);
    std::printf("\"copy\": %.3f, \"copy_float16\": %.3f}\n", copy_time(words), copy_time(plain));
}

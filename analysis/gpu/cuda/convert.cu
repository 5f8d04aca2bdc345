// program WORDS_FILE TABLE_FILE RESULTS_FILE: convert a file of groups, one group per thread.

__global__ void convert(const uint32_t *words, const uint32_t *values, uint32_t *results,
                        size_t groups) {
    SHARED_TABLE(values);
    const size_t threads = static_cast<size_t>(gridDim.x) * blockDim.x;
    size_t group = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (; group < groups; group += threads) {
        uint32_t w[WORDS], out[PAIRS];
        for (int i = 0; i < WORDS; ++i) w[i] = words[group * WORDS + i];
        CONVERT(w, table, out);
        for (int i = 0; i < PAIRS; ++i) results[group * PAIRS + i] = out[i];
    }
}

int main(int, char **arguments) {
    const auto words = read_file<uint32_t>(arguments[1]);
    const auto table = read_file<uint32_t>(arguments[2]);
    const size_t groups = words.size() / WORDS;
    uint32_t *results = allocate<uint32_t>(groups * PAIRS);
    convert<<<1024, 256>>>(to_gpu(words), to_gpu(table), results, groups);
    CHECK(cudaGetLastError());
    write_file(arguments[3], from_gpu(results, groups * PAIRS));
}

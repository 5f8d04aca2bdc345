// The common part of the programs on the host: files, memory of the GPU, errors.

#include <cstdio>
#include <cstdlib>
#include <vector>

void check(cudaError_t error, const char *what) {
    if (error == cudaSuccess) return;
    std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
    std::exit(1);
}
#define CHECK(CALL) check(CALL, #CALL)

template <class T>
std::vector<T> read_file(const char *path) {
    std::FILE *file = std::fopen(path, "rb");
    if (!file) {
        std::perror(path);
        std::exit(1);
    }
    std::fseek(file, 0, SEEK_END);
    std::vector<T> data(std::ftell(file) / sizeof(T));
    std::rewind(file);
    if (std::fread(data.data(), sizeof(T), data.size(), file) != data.size()) std::exit(1);
    std::fclose(file);
    return data;
}

template <class T>
void write_file(const char *path, const std::vector<T> &data) {
    std::FILE *file = std::fopen(path, "wb");
    if (!file || std::fwrite(data.data(), sizeof(T), data.size(), file) != data.size() ||
        std::fclose(file)) {
        std::perror(path);
        std::exit(1);
    }
}

template <class T>
T *allocate(size_t count) {
    T *pointer = nullptr;
    CHECK(cudaMalloc(&pointer, (count ? count : 1) * sizeof(T)));
    return pointer;
}

template <class T>
T *to_gpu(const std::vector<T> &data) {
    T *pointer = allocate<T>(data.size());
    CHECK(cudaMemcpy(pointer, data.data(), data.size() * sizeof(T), cudaMemcpyHostToDevice));
    return pointer;
}

template <class T>
std::vector<T> from_gpu(const T *pointer, size_t count) {
    std::vector<T> data(count);
    CHECK(cudaMemcpy(data.data(), pointer, count * sizeof(T), cudaMemcpyDeviceToHost));
    return data;
}

// The conversion's table in shared memory, filled by all threads of the block; else nothing.
#if TABLE_SIZE
#define SHARED_TABLE(VALUES)                                                              \
    __shared__ uint32_t table[TABLE_SIZE];                                                \
    for (int i = threadIdx.x; i < TABLE_SIZE; i += blockDim.x) table[i] = VALUES[i];      \
    __syncthreads()
#else
#define SHARED_TABLE(VALUES) static_cast<void>(VALUES)
#endif

cimport cython

cdef extern from *:
    """
    #ifdef __cplusplus
    extern "C"
    #endif
    void *memmem(const void *, size_t, const void *, size_t);
    """
    void* memmem(const void* haystack, size_t size, const void* needle, size_t length) noexcept nogil

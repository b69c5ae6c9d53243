cdef extern from "marshal.h":
    object PyUnicode_EncodeFSDefault(object text)
    object PyMarshal_ReadObjectFromString(const char *data, Py_ssize_t len)

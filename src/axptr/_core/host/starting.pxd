from posix.stat cimport struct_stat

cdef extern from *:
    """
    #include <dlfcn.h>
    #include <sys/mman.h>

    /* As `_imp.create_dynamic` tells whoever listens (PySys_AddAuditHook): nothing costs where nobody does. */
    static int axptr_told(PyObject *name, PyObject *path) {
        return PySys_Audit("import", "OOOOO", name, path, Py_None, Py_None, Py_None);
    }

    /* A module of this library as its PyInit_ makes it, to be executed by who asks. */
    static PyObject *axptr_made(void *library, const char *init, PyObject *spec) {
        PyObject *(*make)(void) = (PyObject *(*)(void))dlsym(library, init);
        PyObject *made = make ? make() : NULL;
        if (made && PyObject_TypeCheck(made, &PyModuleDef_Type))
            return PyModule_FromDefAndSpec((PyModuleDef *)made, spec);
        Py_XDECREF(made);
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ImportError, "the core's library has no %s", init);
        return NULL;
    }

    static PyObjectArenaAllocator axptr_arenas;
    static void *axptr_arena(void *context, size_t size) {
        void *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        return made == MAP_FAILED ? NULL : made;
    }
    /* Arenas of small objects come with their pages, until the other is called; they are given back as all are. */
    static void axptr_pages_at_once(void) {
        PyObjectArenaAllocator ours;
        PyObject_GetArenaAllocator(&axptr_arenas);
        ours = axptr_arenas;
        ours.alloc = axptr_arena;
        PyObject_SetArenaAllocator(&ours);
    }
    static void axptr_pages_by_fault(void) { PyObject_SetArenaAllocator(&axptr_arenas); }
    """
    object axptr_made(void *library, const char *init, object spec)
    int axptr_told(object name, object path) except -1
    void axptr_pages_at_once() noexcept
    void axptr_pages_by_fault() noexcept

cdef extern from "dlfcn.h":
    int RTLD_NOLOAD

cdef extern from "fcntl.h":
    int O_DIRECTORY
    int O_PATH

cdef extern from "sys/stat.h":
    int fstatat(int at, const char *path, struct_stat *into, int flags) nogil

cdef extern from "marshal.h":
    ctypedef struct PyModuleDef
    object PyUnicode_EncodeFSDefault(object text)
    object PyMarshal_ReadObjectFromString(const char *data, Py_ssize_t len)
    PyModuleDef *PyModule_GetDef(object module) noexcept
    int PyModule_ExecDef(object module, PyModuleDef *made) except -1

cdef extern from *:
    """
    /* The function that sets attributes of the classes of a ctypes metaclass, ours before its own. */
    static PyObject *axptr_fields_set = NULL;
    static setattrofunc axptr_plain_struct = NULL, axptr_plain_union = NULL;

    static int axptr_set(setattrofunc plain, PyObject *type, PyObject *name, PyObject *value) {
        if (value != NULL && PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "_fields_") == 0) {
            PyObject *done = PyObject_CallFunctionObjArgs(axptr_fields_set, type, value, NULL);
            if (done == NULL) return -1;
            int ours = done == Py_True;
            Py_DECREF(done);
            if (ours) return 0;
        }
        return plain(type, name, value);
    }
    static int axptr_set_struct(PyObject *type, PyObject *name, PyObject *value) {
        return axptr_set(axptr_plain_struct, type, name, value);
    }
    static int axptr_set_union(PyObject *type, PyObject *name, PyObject *value) {
        return axptr_set(axptr_plain_union, type, name, value);
    }
    /* In the slot, and in what `super().__setattr__` of a metaclass written in Python finds. */
    static int axptr_precede(PyObject *kind, setattrofunc *plain, setattrofunc ours) {
        PyTypeObject *t = (PyTypeObject *)kind;
        PyObject *names = PyObject_GetAttrString(kind, "__dict__");
        if (names == NULL) return -1;
        PyObject *method = PyMapping_GetItemString(names, "__setattr__");
        Py_DECREF(names);
        if (method == NULL) {
            PyErr_Clear();
            return 0;
        }
        if (!Py_IS_TYPE(method, &PyWrapperDescr_Type) || ((PyWrapperDescrObject *)method)->d_wrapped != (void *)t->tp_setattro) {
            Py_DECREF(method);  /* not the ctypes that this was written for: left alone */
            return 0;
        }
        *plain = t->tp_setattro;
        ((PyWrapperDescrObject *)method)->d_wrapped = (void *)ours;
        t->tp_setattro = ours;
        Py_DECREF(method);
        PyType_Modified(t);
        return 0;
    }
    static int axptr_watch(PyObject *structs, PyObject *unions, PyObject *setter) {
        if (axptr_fields_set != NULL) return 0;
        axptr_fields_set = Py_NewRef(setter);
        if (axptr_precede(structs, &axptr_plain_struct, axptr_set_struct) < 0) return -1;
        return axptr_precede(unions, &axptr_plain_union, axptr_set_union);
    }
    static int axptr_set_plain(PyObject *type, PyObject *name, PyObject *value, int is_union) {
        return (is_union ? axptr_plain_union : axptr_plain_struct)(type, name, value);
    }
    static int axptr_set_quietly(PyObject *type, PyObject *name, PyObject *value) {
        return PyType_Type.tp_setattro(type, name, value);
    }
    """
    int axptr_watch(object structs, object unions, object setter) except -1
    int axptr_set_plain(object type, object name, object value, int is_union) except -1
    int axptr_set_quietly(object type, object name, object value) except -1

"""CPython's own regression tests end under `axptr run` as they end on the host. Slow: `pytest -m slow tests/everyday`.

Those that the host's Python fails, ours fails too. `docs/programs.md` has the list, with what is left out, and why.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .test_everyday import ENVIRONMENT

MODULES = [
    "__all__", "__future__", "_locale", "_opcode", "_osx_support", "_xxsubinterpreters", "abc", "abstract_numbers",
    "aifc", "argparse", "array", "ast", "asyncgen", "asynchat", "asyncio", "asyncore", "atexit", "audioop", "audit",
    "augassign", "base64", "baseexception", "bdb", "bigaddrspace", "bigmem", "binascii", "binop", "bisect", "bool",
    "buffer", "bufio", "builtin", "bytes", "bz2", "c_locale_coercion", "calendar", "call", "cgi", "cgitb",
    "charmapcodec", "class", "cmath", "cmd", "cmd_line", "cmd_line_script", "code", "code_module", "codeccallbacks",
    "codecencodings_cn", "codecencodings_hk", "codecencodings_iso2022", "codecencodings_jp", "codecencodings_kr",
    "codecencodings_tw", "codecmaps_cn", "codecmaps_hk", "codecmaps_jp", "codecmaps_kr", "codecmaps_tw", "codecs",
    "codeop", "collections", "colorsys", "compare", "compile", "compileall", "complex", "concurrent_futures",
    "configparser", "contains", "context", "contextlib", "contextlib_async", "copy", "copyreg", "coroutines",
    "cprofile", "crashers", "crypt", "csv", "ctypes", "dataclasses", "datetime", "dbm", "dbm_dumb", "dbm_ndbm",
    "decimal", "decorators", "defaultdict", "deque", "descr", "descrtut", "dict", "dict_version", "dictcomps",
    "dictviews", "difflib", "dis", "distutils", "doctest", "doctest2", "docxmlrpc", "dtrace", "dynamic",
    "dynamicclassattribute", "eintr", "email", "embed", "enum", "enumerate", "eof", "epoll", "errno", "except_star",
    "exception_group", "exception_hierarchy", "exception_variations", "exceptions", "extcall", "faulthandler",
    "fcntl", "file", "file_eintr", "filecmp", "fileinput", "fileio", "fileutils", "finalization", "float", "flufl",
    "fnmatch", "fork1", "format", "fractions", "frame", "frozen", "fstring", "ftplib", "funcattrs", "functools",
    "future", "future3", "future4", "future5", "gc", "generator_stop", "generators", "genericalias", "genericclass",
    "genericpath", "genexps", "getopt", "getpass", "getpath", "gettext", "glob", "global", "grammar", "graphlib",
    "grp", "gzip", "hash", "hashlib", "heapq", "hmac", "html", "htmlparser", "http_cookiejar", "http_cookies",
    "httplib", "httpservers", "imaplib", "imghdr", "imp", "import", "importlib", "index", "inspect", "int",
    "int_literal", "interpreters", "io", "ipaddress", "isinstance", "iter", "iterlen", "itertools", "json",
    "keyword", "keywordonlyarg", "largefile", "lib2to3", "linecache", "list", "listcomps", "lltrace", "locale",
    "logging", "long", "longexp", "lzma", "mailbox", "mailcap", "marshal", "math", "memoryio", "memoryview",
    "metaclass", "mimetypes", "minidom", "mmap", "module", "modulefinder", "multibytecodec",
    "multiprocessing_main_handling", "named_expressions", "netrc", "nis", "nntplib", "ntpath", "numeric_tower",
    "opcache", "opcodes", "openpty", "operator", "optparse", "ordered_dict", "os", "osx_env", "pathlib", "patma",
    "peepholer", "peg_generator", "pep646_syntax", "pickle", "picklebuffer", "pickletools", "pipes", "pkg",
    "pkgutil", "platform", "plistlib", "poll", "popen", "poplib", "positional_only_arg", "posix", "posixpath",
    "pow", "pprint", "print", "profile", "property", "pstats", "pty", "pulldom", "pwd", "py_compile", "pyclbr",
    "pydoc", "pyexpat", "queue", "quopri", "raise", "random", "range", "re", "readline", "repl", "reprlib",
    "resource", "richcmp", "rlcompleter", "robotparser", "runpy", "sax", "sched", "scope", "script_helper",
    "secrets", "select", "selectors", "set", "setcomps", "shelve", "shlex", "shutil", "signal", "site", "slice",
    "smtpd", "smtplib", "sndhdr", "socket", "socketserver", "sqlite3", "stat", "string", "struct", "subprocess",
    "support", "tarfile", "tempfile", "thread", "threading", "time", "tty", "types", "unittest", "urllib", "wait3",
    "wait4", "weakref", "zipfile", "zlib",
]  # fmt: skip
LEFT_OUT = {
    "socket": ["*VSOCK*"],
}
"""Tests of a module that are not run, by their patterns: where the host is a virtual machine itself, its own run of
these waits for the machine that runs it."""
LIMIT = 600.0


def _python() -> str:
    python = shutil.which("python3", path=ENVIRONMENT["PATH"])
    if python is None or subprocess.run([python, "-c", "import test.libregrtest"], capture_output=True).returncode:
        pytest.skip("needs the test package of the host's Python (Debian: libpython3-testsuite)")
    return python


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_a_module_of_cpythons_tests_ends_as_on_the_host(module: str, tmp_path: Path) -> None:
    left_out = [word for pattern in LEFT_OUT.get(module, ()) for word in ("-i", pattern)]
    command = [_python(), "-m", "test", "-u", "none", *left_out, f"test_{module}"]
    ours = [sys.executable, "-m", "axptr", "run", "--allow-write", "/tmp", "--timeout", str(LIMIT), "--", *command]
    ends = []
    for line in (command, ours):
        done = subprocess.run(
            line,
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=2 * LIMIT,
        )
        ends.append((done.returncode, [row for row in done.stdout.splitlines() if row.startswith("    test_")]))
    assert ends[1] == ends[0]

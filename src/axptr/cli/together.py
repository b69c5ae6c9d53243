"""Writes the one file with the code of what each run loads, for `quick` to load in one go: when the core is compiled
in place, at the first run, and again when a source has changed. Where it cannot be written there is none, and modules
are loaded one by one.

It stands beside the bytecode, and is as good: whoever may write the one may write the other.
"""

from __future__ import annotations

import os
from _frozen_importlib_external import SourceFileLoader
from marshal import dumps
from sys import intern

from .quick import FOLDER, HEAD, TOGETHER, files_are_limited, maker, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from types import CodeType

    _Import = tuple[str, tuple[str, ...], tuple[str, ...]]
    """A module, what is taken of it, and the names it gets."""

_ROOT = __package__.partition(".")[0]
NAMES = """
    named engine engine.auto _core _core.host _core.words _core.words.codes addr members flags errors
    _core.host.hostcalls cli.confine _core.kernel _core.cpu _core.phys weak _core.phys.hostmem _core.phys.coherence
    _core.phys.runs _core.phys.charges forms forms.base forms.find model layout _core.words.buffers _core.phys.phys
    _core.words.visit _core.words.budget _core.mm _core.mm.provider _core.paging paging _core.paging.format
    _core.paging.walk _core.paging.paging _core.mm.store _core.mm.shelf _core.mm.frames _core.mm.areas
    _core.mm.journal _core.mm.mmu _core.mm.points _core.mm.guest _core.mm.transfer _core.mm.usermem _core.mm.space
    _core.cpu.metronome _core.cpu.x86 _core.cpu.x86.x86regs _core.cpu.running _core.kernel.waiting
    _core.kernel.accounts _core.kernel.atonce _core.kernel.streams _core.cpu.native _core.cpu.native.stub
    _core.cpu.native.nativestate _core.cpu.native.parked _core.cpu.native.habits _core.cpu.native.stubcache
    _core.cpu.native.nativepages _core.kernel.fields light _core.kernel.runqueue _core.kernel.turns
    _core.words.conversion kernel.abi _core.kernel.pieces
    _core.kernel.quick _core.kernel.answering kernel.convert kernel.timers kernel.run kernel.kernel
    kernel.task kernel.wait kernel linux.fs linux.fs.host linux.fs.host.calls linux.host linux.arguments linux.ends
    _core.host.places mm mm.filecache linux.abi linux.abi.openflags linux.fs.node linux.fs.openfile linux.task
    linux.task.creds linux.fs.permissions linux.fs.host.fd linux.abi.numbers linux.calls linux.registry
    linux.signals linux.abi.signals linux.arch linux.signals.actions linux.signals.pending linux.signals.sending
    linux.task.usage linux.signals.stops linux.signals.state linux.task.waiting linux.task.limits _core.pointers
    pointers _core.pointers.blocks _core.pointers.codec _core.words.fieldhook
    _core.pointers.pointertype _core.pointers.elements _core.pointers.view _core.pointers.live
    _core.pointers.pointer _core.pointers.iovec linux.known linux.uaccess
    linux.fs.host.noblock linux.fs.host.file linux.fs.host.tree linux.process _core.mm.mapping _core.mm.backing
    _core.mm.history mm.area _core.mm.sharing mm.backend mm.fault mm.snapshots mm.snapshots.snapshot mm.twins mm.space
    linux.arch.x86_64 linux.arch.x86_64.cpu linux.task.held linux.fs.mounts linux.fs.writable linux.fs.host.mount
    linux.fs.latermount linux.fs.host.terminal linux.fs.ttynames linux.fs.dev linux.fs.setup linux.fs.walk
    linux.load linux.load.elf linux.load.loader linux.files linux.files.locks linux.abi.timespec
    linux.task.timers linux.task.group linux.task.pids linux.machine linux.personality
    _core.kernel.overlaid _core.kernel.ways _core.kernel.filecalls linux.abi.layouts
    linux.calls.stat linux.abi.mman linux.mem _core.mm.pages _core.kernel.memcalls linux.mem.vma linux.load.image
    linux.mem.mm linux.load.stack linux.fs.notify linux.task.exec linux.task.filetable linux.task.kept
    linux.task.scheduling linux.task.task linux.system linux.api linux _core.cpu.native.clockpage
    _core.cpu.native.native _core.cpu.native.crew engine.arch engine.context engine.exit engine.faults engine.points
    engine.native linux.load.vdso linux.signals.host linux.task.ending linux.mem.limits linux.calls.memory
    linux.fs.opening linux.calls.files _core.kernel.hostio linux.calls.rw linux.arch.x86_64.prctl linux.calls.process
    linux.task.rseq linux.calls.limits linux.files.robust
"""
"""What a run of a program that does nothing loads: each module behind those that it imports while it is loaded."""


def write() -> bool:
    """Whether it was written; not where it cannot be, or where a source is not to be had."""
    if files_are_limited():
        return False
    made = f"{TOGETHER}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(made), exist_ok=True)
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError:
        return False
    try:
        try:
            data = _data([_source(name) for name in NAMES.split()])
            while data:
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)
        os.replace(made, TOGETHER)
    except (OSError, ImportError, SyntaxError):  # whoever imports the module tells of it
        os.unlink(made)
        return False
    except BaseException:
        os.unlink(made)
        raise
    return True


def _data(modules: list[tuple[str, str]]) -> bytes:
    """As `quick` reads it. `OSError` or `ImportError` if a source is not there, or is being changed."""
    sources = [(source, stamp(source)) for _, source in modules]
    made = [(name, source, *_code(name, source)) for name, source in modules]
    if sources != [(source, stamp(source)) for source, _ in sources]:
        raise ImportError("a source is being changed")
    root = os.path.dirname(FOLDER)
    head = dumps((maker(), root, [(source[len(root) + 1 :], noted) for source, noted in sources]))
    return HEAD + len(head).to_bytes(4, "little") + head + dumps(made)


def _source(name: str) -> tuple[str, str]:
    """A module's whole name, and where it stands."""
    place = f"{os.path.dirname(FOLDER)}/{name.replace('.', '/')}"
    return f"{_ROOT}.{name}", f"{place}/__init__.py" if os.path.isdir(place) else f"{place}.py"


def _code(name: str, source: str) -> tuple[CodeType | None, tuple[_Import, ...]]:
    """A module's code as the import system compiles it, but for what no run looks at: the texts that describe functions
    and classes, the types in the signatures of those that are no system calls, and what is imported for them. What it
    imports of ours before it does anything else stands beside it."""
    if name.startswith(f"{_ROOT}._core.") and not source.endswith("/__init__.py"):
        return None, ()
    import __future__

    import ast

    loader = SourceFileLoader(name, source)
    tree = ast.parse(loader.get_data(source), source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            _strip(node)
    tree.body = [_without_type(it) for it in tree.body]
    tree.body = [it for it in tree.body if not _is_for_checkers(it)]
    imports = _taken_out(tree, name if source.endswith("/__init__.py") else name.rpartition(".")[0])
    made: CodeType = compile(tree, source, "exec", __future__.annotations.compiler_flag, dont_inherit=True)
    return made, imports


def _is_for_checkers(node: ast.stmt) -> bool:
    """`from __future__ import annotations`, `if TYPE_CHECKING:`."""
    import ast

    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    if not isinstance(node, ast.If) or node.orelse:
        return False
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _without_type(node: ast.stmt) -> ast.stmt:
    """`name: type = value` without the type."""
    import ast

    if not isinstance(node, ast.AnnAssign) or node.value is None:
        return node
    return ast.copy_location(ast.Assign([node.target], node.value), node)


def _taken_out(tree: ast.Module, package: str) -> tuple[_Import, ...]:
    """The imports of our own modules among those at the top, which are no longer in the tree then."""
    import ast

    found = []
    for node in [*tree.body]:
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package.split(".")[: package.count(".") + 2 - node.level]
            whose = ".".join(above if node.module is None else [*above, node.module])
            names = tuple(one.name for one in node.names)
            found.append((intern(whose), names, tuple(intern(one.asname or one.name) for one in node.names)))
            tree.body.remove(node)
        elif not isinstance(node, (ast.Import, ast.ImportFrom)) and not _is_text(node):
            break
    return tuple(found)


def _is_text(node: ast.stmt) -> bool:
    import ast

    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _strip(node: ast.FunctionDef | ast.ClassDef) -> None:
    import ast

    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body[:1] = [] if node.body[1:] else [ast.copy_location(ast.Pass(), first)]
    if isinstance(node, ast.ClassDef) or any(isinstance(made, ast.Call) for made in node.decorator_list):
        return  # `@call("read")`: whoever enters a handler reads its types
    node.returns = None
    of = node.args
    for one in (*of.posonlyargs, *of.args, *of.kwonlyargs, *filter(None, (of.vararg, of.kwarg))):
        one.annotation = None

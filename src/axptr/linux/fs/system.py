"""`SystemTree`: a root that has the host's system directories and nothing else of the host: what a sandbox sees below
its overlay.

Programs and libraries are the host's own files, read-only, as they are at the moment. Of /etc it has what programs look
for and what tells of nobody: a list, not all but some. Users, names and addresses are made up. Homes, /tmp and /var are
empty directories.

    create_process("/bin/ls", ["ls", "-l", "/"], root=SystemTree(), overlay=True)

Not here: what is mounted over it (/proc, /dev, an overlay): `fs.shape`.
"""

from __future__ import annotations

import errno
import os
import stat

from ...errors import LinuxError
from .given import GivenNode, Tree, TreeMount, TreeStat
from .host.mount import HostMount
from .host.tree import HostNode
from .writable import WritableDirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..task.task import LinuxTask
    from .mounts import Mount
    from .node import Ground, Node
    from .shape import Shaper

_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "nix", "gnu")
"""Names of the root that are shown if the host has them; links stay links."""
_ETC = frozenset({
    "ImageMagick-6", "ImageMagick-7", "R", "alternatives", "bash.bashrc", "bash_completion.d",
    "bindresvport.blacklist", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version",
    "dpkg", "emacs", "ethertypes", "fonts", "gai.conf", "ghc", "ghostscript", "groff", "host.conf", "inputrc",
    "iproute2", "issue", "java-8-openjdk", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk",
    "java-25-openjdk", "ld-musl-x86_64.d", "ld-musl-x86_64.path", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
    "libpaper.d", "locale.alias", "locale.conf", "localtime", "login.defs", "lsb-release", "lynx", "magic",
    "magic.mime", "manpath.config", "mailcap", "maven", "mime.types", "nanorc", "netconfig", "networks",
    "os-release", "papersize", "perl", "php", "profile", "profile.d", "protocols", "python3", "python3.10",
    "python3.11", "python3.12", "python3.13", "python3.14", "redhat-release", "rpc", "services", "sgml", "shells",
    "skel", "terminfo", "timezone", "vim", "wgetrc", "xattr.conf", "xdg", "xml",
})  # fmt: skip
"""Of /etc. Keys, passwords and settings that may hold them are not here."""
_CHOSEN: dict[str, frozenset[str]] = {
    "": frozenset(_TOP),
    "etc": _ETC,
    "etc/ssl": frozenset({"certs", "cert.pem", "openssl.cnf"}),
    "etc/pki": frozenset({"ca-trust"}),
    "etc/pki/tls": frozenset({"certs", "cert.pem", "openssl.cnf"}),
}
"""Directories of our own in which files of the host are shown, and which."""
_CHOSEN_NAMES = {path.encode(): frozenset(map(str.encode, names)) for path, names in _CHOSEN.items()}
_DIRECTORIES = {
    "etc": 0o755, "etc/ssl": 0o755, "etc/pki": 0o755, "etc/pki/tls": 0o755, "home": 0o755, "home/user": 0o755,
    "media": 0o755, "mnt": 0o755, "opt": 0o755, "root": 0o700,
    "run": 0o755, "run/lock": 0o1777, "srv": 0o755, "tmp": 0o1777, "var": 0o755, "var/cache": 0o755, "var/lib": 0o755,
    "var/log": 0o755, "var/spool": 0o755, "var/tmp": 0o1777, "proc": 0o555, "dev": 0o755, "sys": 0o555,
}  # fmt: skip
_LINKS = {"etc/mtab": "/proc/self/mounts", "var/run": "/run", "var/lock": "/run/lock"}
_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
user:x:1000:1000:user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
www-data:x:33:
shadow:x:42:
staff:x:50:
users:x:100:
user:x:1000:
nogroup:x:65534:
"""
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\n"
_NSSWITCH += "services: files\nethers: files\nrpc: files\n"
_MADE = 1_735_689_600.0
"""When all that is made up is said to have been made: 2025."""
_OWNERS = {"home/user": (1000, 1000)}


class SystemTree(Tree):
    """The tree. hostname: what /etc says of the machine. nameservers: addresses for /etc/resolv.conf. files: texts that
    are there besides, by path from the root."""

    def __init__(
        self, hostname: str = "sandbox", nameservers: tuple[str, ...] = (), files: Mapping[str, bytes] | None = None
    ) -> None:
        texts = {
            "etc/passwd": _PASSWD,
            "etc/group": _GROUP,
            "etc/nsswitch.conf": _NSSWITCH,
            "etc/hostname": f"{hostname}\n",
            "etc/hosts": f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {hostname}\n",
            "etc/resolv.conf": "".join(f"nameserver {server}\n" for server in nameservers),
        }
        self.texts = {path: text.encode() for path, text in texts.items()}
        self.texts.update({path.strip("/"): bytes(text) for path, text in (files or {}).items()})
        self.directories = dict(_DIRECTORIES)
        for path in self.texts:
            while path := path.rpartition("/")[0]:
                self.directories.setdefault(path, 0o755)
        self._made: dict[bytes, bool] | None = None

    def mounted(self, shaper: Shaper) -> Mount:
        """For `fs.shape`: this tree as a mount."""
        return SystemMount(self, shaper.device())

    # -- what is of our own

    def list(self, path: str) -> list[str]:
        head = f"{path}/" if path else ""
        own = (*self.directories, *self.texts, *_LINKS)
        return [name[len(head) :] for name in own if name.startswith(head) and "/" not in name[len(head) :]]

    def stat(self, path: str) -> TreeStat:
        if not path:
            return TreeStat(stat.S_IFDIR | 0o755, mtime=_MADE)
        if path in self.directories:
            return TreeStat(stat.S_IFDIR | self.directories[path], mtime=_MADE)
        if path in self.texts:
            return TreeStat(stat.S_IFREG | 0o644, len(self.texts[path]), _MADE)
        if path in _LINKS:
            return TreeStat(stat.S_IFLNK | 0o777, mtime=_MADE, target=_LINKS[path])
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def read(self, path: str, offset: int, size: int) -> bytes:
        return self.texts[path][offset : offset + size]

    def made(self) -> dict[bytes, bool]:
        """The paths of all that, and whether a directory stands there."""
        if self._made is None:
            self._made = {os.fsencode(path): False for path in (*self.texts, *_LINKS)}
            self._made.update((os.fsencode(path), True) for path in self.directories)
        return self._made

    # -- what is the host's

    def shows(self, path: str) -> bool:
        """Whether the host's file of a path is what stands there, if it has one."""
        if path in self.texts or path in _LINKS or path in self.directories:
            return False
        above, _, name = path.rpartition("/")
        return name in _CHOSEN.get(above, ())


class SystemMount(TreeMount):
    """The tree, mounted. host: by which the host's files are found."""

    def __init__(self, tree: SystemTree, device: int) -> None:
        self.host = HostMount(b"/", WritableDirs([]), readonly=True)
        self.system = tree
        super().__init__(tree, device)
        self.root = SystemNode(self, "", tree.stat(""))

    def dissolve(self) -> None:
        if "host" in vars(self):  # once
            self.host.dissolve()
        super().dissolve()


class SystemNode(GivenNode):
    """A directory, text or link of the tree; what is the host's is a node of the host's."""

    given: SystemMount

    def stat(self, task: LinuxTask) -> object:  # type: ignore[override]
        found = super().stat(task)
        found.st_uid, found.st_gid = _OWNERS.get(self.at, (0, 0))
        return found

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:  # type: ignore[override]
        if name == b".":
            return self
        if not self.is_dir:
            raise LinuxError(errno.ENOTDIR)
        if len(name) > 255:
            raise LinuxError(errno.ENAMETOOLONG)
        path = f"{self.at}/{os.fsdecode(name)}" if self.at else os.fsdecode(name)
        if self.given.system.shows(path):
            return self._of_host(os.fsencode(path))
        try:
            return SystemNode(self.given, path, self.given.system.stat(path))
        except FileNotFoundError:
            return None

    def _of_host(self, path: bytes) -> HostNode | None:
        try:
            return self.given.host.root.at_once(path)
        except LinuxError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                return None
            raise

    @property
    def ground(self) -> Ground | None:
        return None if self.at else (self.given.host.root, self.given.system.made(), _CHOSEN_NAMES)

    def at_once(self, path: bytes) -> Node:
        """All of it: ENOENT, ENOTDIR, ELOOP if a link is in the way."""
        node: Node = self
        names = [name for name in path.split(b"/") if name not in (b"", b".")]
        for number, name in enumerate(names):
            if node.is_link:
                raise LinuxError(errno.ELOOP)
            if not node.is_dir:
                raise LinuxError(errno.ENOTDIR)
            if isinstance(node, HostNode):
                return node.at_once(b"/".join(names[number:]))
            found = node.lookup(None, name)  # type: ignore[arg-type]
            if found is None:
                raise LinuxError(errno.ENOENT)
            node = found
        return node

    def names(self, task: LinuxTask) -> list[bytes]:
        return [name for name, _, _ in self.listing(task)]

    def listing(self, task: LinuxTask) -> list[tuple[bytes, int, int]]:
        found = []
        candidates = set(self.given.system.list(self.at))
        candidates.update(_CHOSEN.get(self.at, ()))
        for name in sorted(candidates):
            node = self.lookup(task, os.fsencode(name))
            if node is not None:
                found.append((os.fsencode(name), node.ino, node.mode))
        return found

"""Who may do what with a file: the one place that decides, for every tree. Source: generic_permission, may_lookup,
may_open, may_delete, may_follow_link, may_linkat, may_create_in_sticky of fs/namei.c; fs/attr.c, fs/inode.c,
fs/xattr.c, fs/posix_acl.c of Linux 6.18; credentials(7), capabilities(7), acl(5).

A task is judged by its file-system ids, its groups and its effective capabilities. One thing is left to the host: its
own files, for a task that is to them what the host's process is (`trusted`), because the host is asked as that process
anyway. Everybody else is judged here first, by what the file's node says of its mode and owner, and the host, which is
asked afterwards, may refuse what was allowed here.

Nothing here asks whether a tree may be changed at all (EROFS): that is `Node.changeable`. A task of None is the machine
itself, which puts its tree together.
"""

from __future__ import annotations

import errno
import os
import stat
from struct import iter_unpack

from ...errors import LinuxError
from ..task.creds import CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_SYS_ADMIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.creds import Credentials
    from ..task.task import LinuxTask
    from .node import Node
    from .openfile import OpenFile

    Acl = Callable[[], bytes | None]

MAY_EXEC, MAY_WRITE, MAY_READ = 1, 2, 4
_STAYS = 0xFFFF_FFFF
_ACL_USER_OBJ, _ACL_USER, _ACL_GROUP_OBJ, _ACL_GROUP, _ACL_MASK, _ACL_OTHER = 1, 2, 4, 8, 16, 32


# -- rules of the user's: of places in the tree, whoever the task is (`linux.policy`)


def judge(task: LinuxTask | None, node: Node, access: str, name: bytes = b"", *, making: bool = False) -> None:
    """EACCES or EROFS for a place that the user's rules refuse: where a node is now, or a name in it."""
    if task is None or node.mount is None:
        return
    rules = task.machine.rules
    if rules is not None:
        place = node.where()
        if name:
            place = place.rstrip(b"/") + b"/" + name
        rules.judge(task, place, access, made_in=node.mode if making else 0)


def judge_open(task: LinuxTask, node: Node, flags: int) -> None:
    """The same, for what is opened."""
    if task.machine.rules is not None:
        mode = flags & os.O_ACCMODE
        if mode != os.O_WRONLY:
            judge(task, node, "read")
        if mode != os.O_RDONLY or flags & os.O_TRUNC:
            judge(task, node, "write")


def judge_move(task: LinuxTask, node: Node | None) -> None:
    """The same for what is moved, or makes way: a directory stays where rules tell of something beneath it."""
    rules = task.machine.rules
    if rules is not None and node is not None and node.is_dir and node.mount is not None:
        rules.judge_move(task, node.where())


# -- the rule itself


def granted(creds: Credentials, rights: tuple[int, int, int], wanted: int, acl: Acl | None = None) -> bool:
    """Whether somebody may read, write, execute or search (`wanted`) what has these rights: mode, owner and group
    (generic_permission). acl: gives the file's access list as its extended attribute, if it has one."""
    mode, uid, gid = rights
    if _by_mode(creds, rights, wanted, acl):
        return True
    if stat.S_ISDIR(mode):
        if not wanted & MAY_WRITE and creds.has_for(uid, gid, CAP_DAC_READ_SEARCH):
            return True
        return creds.has_for(uid, gid, CAP_DAC_OVERRIDE)
    if wanted == MAY_READ and creds.has_for(uid, gid, CAP_DAC_READ_SEARCH):
        return True
    return (not wanted & MAY_EXEC or bool(mode & 0o111)) and creds.has_for(uid, gid, CAP_DAC_OVERRIDE)


def _by_mode(creds: Credentials, rights: tuple[int, int, int], wanted: int, acl: Acl | None) -> bool:
    """acl_permission_check."""
    mode, uid, gid = rights
    if uid == creds.fs_uid:
        return not wanted & ~(mode >> 6) & 7
    if acl is not None and mode & 0o070:
        entries = acl()
        if entries is not None:
            return _by_acl(creds, entries, gid, wanted)
    return not wanted & ~(mode >> 3 if creds.in_group(gid) else mode) & 7


def _by_acl(creds: Credentials, raw: bytes, owning: int, wanted: int) -> bool:
    """posix_acl_permission, for one who does not own the file."""
    entries = list(iter_unpack("<HHI", raw[4 : 4 + (len(raw) - 4) // 8 * 8]))
    mask = next((bits for tag, bits, _ in entries if tag == _ACL_MASK), 7)
    found = False
    for tag, bits, number in entries:
        if tag == _ACL_USER and number == creds.fs_uid:
            return not wanted & ~(bits & mask)
        if tag in (_ACL_GROUP_OBJ, _ACL_GROUP) and creds.in_group(owning if tag == _ACL_GROUP_OBJ else number):
            found = True
            if not wanted & ~bits:
                return not wanted & ~(bits & mask)
        if tag == _ACL_OTHER:
            return not found and not wanted & ~bits
    return False


def trusted(task: LinuxTask | None, node: Node) -> bool:
    """Whether nothing is to be asked here: of the machine itself, and of the host's files where the host asks the
    same."""
    return task is None or (node.by_host and task.creds.files == task.machine.owner.files)


def foreign(task: LinuxTask) -> bool:
    """Whether a task is another to the host's files than the host's process."""
    return task.creds.files != task.machine.owner.files


def require(task: LinuxTask | None, node: Node, wanted: int) -> None:
    """EACCES for who may not (inode_permission)."""
    if task is not None and not trusted(task, node) and not node.permits(task, task.creds, wanted):
        raise LinuxError(errno.EACCES)


def require_access(task: LinuxTask, node: Node, wanted: int) -> None:
    """The same where nothing of the host's follows that would refuse: it is asked."""
    if task is None or not trusted(task, node):
        require(task, node, wanted)
    else:
        node.ask_host(wanted)


def walks(task: LinuxTask | None, node: Node) -> bool:
    """Whether a task may search whatever directory there is from here on, as far as it is for us to say."""
    return task is None or task.creds.walks or trusted(task, node)


def search(task: LinuxTask | None, node: Node) -> None:
    """EACCES unless names may be looked up in a directory (may_lookup)."""
    if not walks(task, node):
        require(task, node, MAY_EXEC)


def owns(task: LinuxTask, node: Node) -> bool:
    """Whether a task is a file's owner, or may act as one (inode_owner_or_capable)."""
    uid = node.rights(task)[1]
    return uid == task.creds.fs_uid or task.creds.has_for(uid, None, CAP_FOWNER)


def require_owner(task: LinuxTask, node: Node) -> None:
    """EPERM."""
    if not trusted(task, node) and not owns(task, node):
        raise LinuxError(errno.EPERM)


def _of_group(creds: Credentials, uid: int, gid: int) -> bool:
    """Whether somebody may have set-group-id files of a user and a group (in_group_or_capable)."""
    return creds.in_group(gid) or creds.has_for(uid, gid, CAP_FSETID)


# -- opening


def require_open(task: LinuxTask, node: Node, flags: int) -> None:
    """may_open: by the access mode, and no device where the mount has none (EACCES); EPERM for O_NOATIME of who is not
    the owner."""
    if node.mount is not None and node.mount.nodev and stat.S_IFMT(node.mode) in (stat.S_IFCHR, stat.S_IFBLK):
        raise LinuxError(errno.EACCES)
    if trusted(task, node):
        return
    wanted = (MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE)[flags & os.O_ACCMODE]
    require(task, node, wanted | (MAY_WRITE if flags & os.O_TRUNC else 0))
    if flags & os.O_NOATIME:
        require_owner(task, node)


def require_not_run(task: LinuxTask, node: Node) -> None:
    """ETXTBSY for the program of a process, which nobody may write to (deny_write_access, get_write_access).

    Of others' processes a file that nobody may execute any more counts as none's.
    """
    identity = node.identity
    if identity == task.mm.exe.identity or (
        node.mode & 0o111 and any(other.mm.exe.identity == identity for other in task.machine.tasks.values())
    ):
        raise LinuxError(errno.ETXTBSY)


def require_follow(task: LinuxTask | None, directory: Node, link: Node) -> None:
    """EACCES for a link at the end of a path that somebody else left in a directory for all (may_follow_link)."""
    if task is None:
        return
    mode, above, _ = directory.rights(task)
    another = mode & 0o1002 == 0o1002 and link.rights(task)[1] not in (task.creds.fs_uid, above)
    if another and task.machine.host.protected("symlinks"):
        raise LinuxError(errno.EACCES)


def require_opened_for_making(task: LinuxTask, directory: Node, node: Node) -> None:
    """EACCES for O_CREAT of a file that somebody else left in a directory for all (may_create_in_sticky)."""
    kind = stat.S_IFMT(node.mode)
    if kind not in (stat.S_IFREG, stat.S_IFIFO):
        return
    mode, above, _ = directory.rights(task)
    if mode & stat.S_ISVTX and node.rights(task)[1] not in (task.creds.fs_uid, above):
        level = task.machine.host.protected("regular" if kind == stat.S_IFREG else "fifos")
        if not level:
            return
        if mode & 0o002 or (mode & 0o020 and level >= 2):
            raise LinuxError(errno.EACCES)


# -- names


def require_delete(task: LinuxTask, directory: Node, victim: Node | None) -> None:
    """may_delete: EACCES for a directory that may not be written to, EPERM for another's file in a sticky one."""
    if trusted(task, directory):
        return
    require(task, directory, MAY_WRITE | MAY_EXEC)
    mode, owner, _ = directory.rights(task)
    if victim is not None and mode & stat.S_ISVTX and owner != task.creds.fs_uid:
        _, uid, gid = victim.rights(task)
        if uid != task.creds.fs_uid and not task.creds.has_for(uid, gid, CAP_FOWNER):
            raise LinuxError(errno.EPERM)


def require_rename(
    task: LinuxTask, moved: tuple[Node, Node], taken: tuple[Node, Node | None], *, exchange: bool
) -> None:
    """vfs_rename: each a directory and what is there. A directory that gets another one above it is written to."""
    require_delete(task, *moved)
    require_delete(task, *taken)
    if not exchange and taken[1] is not None and taken[1].is_dir != moved[1].is_dir:
        raise LinuxError(errno.EISDIR if taken[1].is_dir else errno.ENOTDIR)
    if moved[0].identity != taken[0].identity:
        for node in (moved[1], taken[1] if exchange else None):
            if node is not None and node.is_dir:
                require(task, node, MAY_WRITE)


def require_link(task: LinuxTask, node: Node) -> None:
    """EPERM for one more name of a file that is not the task's, nor one that it may change (may_linkat)."""
    if trusted(task, node) or not task.machine.host.protected("hardlinks") or owns(task, node):
        return
    mode = node.rights(task)[0]
    safe = stat.S_ISREG(mode) and not mode & stat.S_ISUID and mode & 0o2010 != 0o2010
    if not safe or not node.permits(task, task.creds, MAY_READ | MAY_WRITE):
        raise LinuxError(errno.EPERM)


def maker(task: LinuxTask | None, directory: Node) -> Credentials | None:
    """Whose a file becomes that is made in a directory; None: the host's process's."""
    return None if task is None or trusted(task, directory) else task.creds


def made_mode(creds: Credentials, mode: int, gid: int) -> int:
    """The mode that a new file gets: no set-group-id program of a group that is not the maker's (mode_strip_sgid)."""
    return mode & ~stat.S_ISGID if mode & 0o2010 == 0o2010 and not _of_group(creds, creds.fs_uid, gid) else mode


# -- attributes


def chmod(task: LinuxTask, node: Node, mode: int) -> None:
    """Set permissions: by the owner, EPERM (setattr_prepare)."""
    if not trusted(task, node) and not node.is_link:
        require_owner(task, node)
        if not _of_group(task.creds, *node.rights(task)[1:]):
            mode &= ~stat.S_ISGID
    node.set_mode(mode)


def chown(task: LinuxTask, node: Node, uid: int, gid: int) -> None:
    """Set owner and group: the group by the owner to one of its own, else by CAP_CHOWN. EPERM (chown_ok, chgrp_ok)."""
    if trusted(task, node):
        node.set_owner(uid, gid)
        return
    creds = task.creds
    mode, owner, group = node.rights(task)
    if not creds.has_for(owner, group, CAP_CHOWN):
        mine = owner == creds.fs_uid
        if uid != _STAYS and not (mine and uid == owner):
            raise LinuxError(errno.EPERM)
        if gid != _STAYS and not (mine and (gid == group or creds.in_group(gid))):
            raise LinuxError(errno.EPERM)
    left = without_rights(creds, mode, owner, group) if not stat.S_ISDIR(mode) else mode
    if left != mode and not owns(task, node):
        raise LinuxError(errno.EPERM)
    node.set_owner(uid, gid)
    if left != mode and not node.is_link and node.rights(task)[0] != left:
        node.set_mode(stat.S_IMODE(left))


def set_times(task: LinuxTask, node: Node, times: bytes | None, *, touch: bool) -> None:
    """Set times: now by who may write, others by the owner. touch: both are to be now."""
    if not trusted(task, node) and not owns(task, node):
        if not touch:
            raise LinuxError(errno.EPERM)
        require(task, node, MAY_WRITE)
    node.tell_time(task)
    node.set_times(times)


def without_rights(creds: Credentials, mode: int, uid: int, gid: int) -> int:
    """What is left of a mode when the file gets another owner (ATTR_KILL_SUID, setattr_should_drop_sgid)."""
    left = mode & ~stat.S_ISUID
    if mode & stat.S_ISGID and (mode & 0o010 or not _of_group(creds, uid, gid)):
        left &= ~stat.S_ISGID
    return left


def written(task: LinuxTask, node: Node | None) -> None:
    """A regular file is about to be written to: by others than root it loses its set-id bits (file_remove_privs)."""
    if node is None or task.creds.has(CAP_FSETID) or trusted(task, node):
        return
    mode, uid, gid = node.rights(task)
    if stat.S_ISREG(mode) and mode & 0o6000:
        left = without_rights(task.creds, mode, uid, gid)
        if left != mode:
            node.set_mode(stat.S_IMODE(left))


def bytes_written(task: LinuxTask, file: OpenFile) -> None:
    """The same of an open file, to which bytes went."""
    if not task.creds.has(CAP_FSETID) and (file.host_fd is None or foreign(task)):
        written(task, file.node())


def require_xattr(task: LinuxTask, node: Node, name: bytes, *, write: bool) -> None:
    """xattr_permission: `user.` by the permissions of the file, `trusted.` by root, others as the system says."""
    space = name.partition(b".")[0]
    if space == b"trusted" and not task.creds.has(CAP_SYS_ADMIN):
        raise LinuxError(errno.EPERM if write else errno.ENODATA)
    if write and space == b"security" and not task.creds.has(CAP_SYS_ADMIN):  # cap_inode_setxattr
        raise LinuxError(errno.EPERM)
    if write and space == b"system":  # access lists
        require_owner(task, node)
    if space != b"user" or trusted(task, node):
        return
    mode = node.rights(task)[0]
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise LinuxError(errno.EPERM if write else errno.ENODATA)
    if write and stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        require_owner(task, node)
    require(task, node, MAY_WRITE if write else MAY_READ)

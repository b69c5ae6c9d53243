"""The handlers of system calls, a file for each family, and which file has which calls: a run loads the files of those
that its program makes. Nothing else is kept here.
"""

FAMILIES = {
    "arch.x86_64.prctl": "arch_prctl",
    "calls.aio": "io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit",
    "calls.advice": "madvise membarrier mincore msync pkey_alloc pkey_free pkey_mprotect",
    "calls.clone": "clone clone3 fork vfork",
    "calls.dirs": "getdents getdents64",
    "calls.filetimes": "futimesat utime utimensat utimes",
    "calls.epoll": """
        epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2
    """,
    "calls.files": "close close_range dup dup2 dup3 fcntl memfd_create pipe pipe2",
    "calls.futex": "futex",
    "calls.futex2": "futex_requeue futex_wait futex_waitv futex_wake",
    "calls.inotify": "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch",
    "calls.identity": """
        capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid
        setgroups setregid setresgid setresuid setreuid setuid
    """,
    "calls.ioctl": "ioctl",
    "calls.ipcmsg": "msgctl msgget msgrcv msgsnd",
    "calls.ipcsem": "semctl semget semop semtimedop",
    "calls.ipcshm": "shmat shmctl shmdt shmget",
    "calls.kcmp": "kcmp",
    "calls.limits": "getrlimit prlimit64 setrlimit",
    "calls.locks": "flock",
    "calls.lsm": "lsm_get_self_attr lsm_list_modules lsm_set_self_attr",
    "calls.memory": "brk mmap mprotect munmap",
    "calls.mlock": "mlock mlock2 mlockall munlock munlockall",
    "calls.mounts": "mount pivot_root umount2",
    "calls.newmounts": "fsconfig fsmount fsopen fspick mount_setattr move_mount open_tree open_tree_attr",
    "calls.mqueue": "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink",
    "calls.mseal": "mseal",
    "calls.names": """
        chdir chmod chown chroot fchdir fchmod fchmodat fchmodat2 fchown fchownat getcwd lchown link linkat
        mkdir mkdirat mknod mknodat rename renameat renameat2 rmdir symlink symlinkat truncate umask unlink
        unlinkat
    """,
    "calls.messages": "recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto",
    "calls.network": """
        accept accept4 bind connect getpeername getsockname getsockopt listen setsockopt shutdown socket socketpair
    """,
    "calls.pidfd": "pidfd_getfd pidfd_open",
    "calls.numa": """
        get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node
    """,
    "calls.poll": "poll ppoll pselect6 select",
    "calls.prctl": "prctl",
    "calls.process": """
        execve exit exit_group get_robust_list getpgid getpgrp getpid getppid getsid gettid personality
        set_robust_list set_tid_address setpgid setsid
    """,
    "calls.processmem": "cachestat process_madvise process_mrelease",
    "calls.processvm": "process_vm_readv process_vm_writev",
    "calls.ptrace": "ptrace",
    "calls.refused": """
        acct add_key bpf delete_module fanotify_init fanotify_mark finit_module
        init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kexec_file_load kexec_load keyctl
        landlock_add_rule landlock_create_ruleset landlock_restrict_self memfd_secret
        name_to_handle_at open_by_handle_at perf_event_open quotactl quotactl_fd reboot
        request_key swapoff swapon userfaultfd vhangup
    """,
    "calls.remap": "mremap remap_file_pages",
    "calls.rw": """
        fadvise64 fallocate fdatasync fsync ftruncate lseek pread64 preadv preadv2 pwrite64 pwritev pwritev2
        read readahead readv sync sync_file_range syncfs write writev
    """,
    "calls.sched": """
        getcpu getpriority ioprio_get ioprio_set sched_get_priority_max sched_get_priority_min
        sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
        sched_setattr sched_setparam sched_setscheduler sched_yield setpriority
    """,
    "calls.seccomp": "seccomp",
    "calls.signals": """
        alarm getitimer kill pause pidfd_send_signal rt_sigaction
        rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
        rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo setitimer sigaltstack signalfd signalfd4 tgkill tkill
    """,
    "calls.spaces": "setdomainname sethostname setns unshare",
    "calls.splice": "copy_file_range sendfile splice tee vmsplice",
    "calls.stat": "access faccessat faccessat2 fstat fstatfs lstat newfstatat readlink readlinkat stat statfs statx",
    "calls.system": "getrandom getrusage sysfs sysinfo syslog times uname ustat",
    "calls.time": """
        adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep clock_settime gettimeofday nanosleep
        settimeofday time
    """,
    "calls.wait": "wait4 waitid",
    "calls.timers": """
        timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
        timerfd_settime
    """,
    "calls.xattr": """
        fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr
        lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
    """,
    "fs.opening": "creat open openat openat2",
    "task.exec": "execveat",
    "task.rseq": "rseq",
    "task.waiting": "restart_syscall",
}
"""File, as a module of `axptr.linux` -> the calls that it enters in the registry."""

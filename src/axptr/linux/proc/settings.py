"""`/proc/sys`: the settings of a machine on which nobody has set anything. None can be changed.

Each has the value that the kernel begins with, or the one that our own part of it goes by (ports, limits of queues).
Source: Documentation/admin-guide/sysctl and Documentation/networking/ip-sysctl.rst of Linux 6.18.
"""

from __future__ import annotations

from ..._core.kernel.memcalls import MAX_MAP_COUNT, MMAP_MIN_ADDR
from ..files.aio import AIO_MAX_NR
from ..task.uts import NAME_MAX
from .nodes import StaticDir, TextNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import HostView
    from ..task.creds import Credentials
    from ..task.task import LinuxTask
    from .nodes import Render, Take

_BEGUN_WITH = """
abi/vsyscall32 1
debug/exception-trace 1
fs/aio-nr 0
fs/dentry-state 0 0 45 0 0 0
fs/dir-notify-enable 1
fs/epoll/max_user_watches 1000000
fs/inode-nr 0 0
fs/inode-state 0 0 0 0 0 0 0
fs/mount-max 100000
fs/mqueue/msg_default 10
fs/mqueue/msg_max 10
fs/mqueue/msgsize_default 8192
fs/mqueue/msgsize_max 8192
fs/mqueue/queues_max 256
kernel/acct 4 2 30
kernel/arch x86_64
kernel/auto_msgmni 0
kernel/core_pipe_limit 0
kernel/ctrl-alt-del 0
kernel/hung_task_timeout_secs 120
kernel/io_uring_disabled 2
kernel/keys/maxbytes 20000
kernel/keys/maxkeys 200
kernel/max_lock_depth 1024
kernel/msg_next_id -1
kernel/msgmni 32000
kernel/numa_balancing 0
kernel/panic_on_oops 0
kernel/panic_on_warn 0
kernel/perf_event_max_sample_rate 100000
kernel/perf_event_mlock_kb 516
kernel/print-fatal-signals 0
kernel/printk 4 4 1 7
kernel/pty/max 4096
kernel/pty/reserve 1024
kernel/sched_rt_period_us 1000000
kernel/sched_rt_runtime_us 950000
kernel/seccomp/actions_avail kill_process kill_thread trap errno user_notif trace log allow
kernel/seccomp/actions_logged kill_process kill_thread trap errno user_notif trace log
kernel/sem 32000 1024000000 500 32000
kernel/sem_next_id -1
kernel/shm_next_id -1
kernel/shm_rmid_forced 0
kernel/shmall 18446744073692774399
kernel/shmmax 18446744073692774399
kernel/sysctl_writes_strict 1
kernel/timer_migration 1
kernel/unprivileged_bpf_disabled 2
kernel/watchdog 0
net/core/bpf_jit_enable 1
net/core/busy_poll 0
net/core/busy_read 0
net/core/default_qdisc pfifo_fast
net/core/dev_weight 64
net/core/max_skb_frags 17
net/core/message_burst 10
net/core/message_cost 5
net/core/netdev_budget 300
net/core/netdev_max_backlog 1000
net/core/optmem_max 131072
net/core/rmem_default 212992
net/core/rmem_max 4194304
net/core/rps_sock_flow_entries 0
net/core/somaxconn 4096
net/core/tstamp_allow_data 1
net/core/wmem_default 212992
net/core/wmem_max 4194304
net/ipv4/conf/@/accept_redirects 1
net/ipv4/conf/@/accept_source_route 1
net/ipv4/conf/@/arp_announce 0
net/ipv4/conf/@/arp_filter 0
net/ipv4/conf/@/arp_ignore 0
net/ipv4/conf/@/forwarding 0
net/ipv4/conf/@/log_martians 0
net/ipv4/conf/@/mc_forwarding 0
net/ipv4/conf/@/proxy_arp 0
net/ipv4/conf/@/route_localnet 0
net/ipv4/conf/@/rp_filter 0
net/ipv4/conf/@/secure_redirects 1
net/ipv4/conf/@/send_redirects 1
net/ipv4/icmp_echo_ignore_all 0
net/ipv4/icmp_echo_ignore_broadcasts 1
net/ipv4/icmp_ignore_bogus_error_responses 1
net/ipv4/igmp_max_memberships 20
net/ipv4/igmp_max_msf 10
net/ipv4/ip_default_ttl 64
net/ipv4/ip_dynaddr 0
net/ipv4/ip_forward 0
net/ipv4/ip_local_port_range 32768 60999
net/ipv4/ip_no_pmtu_disc 0
net/ipv4/ip_nonlocal_bind 0
net/ipv4/ip_unprivileged_port_start 1024
net/ipv4/ping_group_range 1 0
net/ipv4/tcp_abort_on_overflow 0
net/ipv4/tcp_adv_win_scale 1
net/ipv4/tcp_allowed_congestion_control reno cubic
net/ipv4/tcp_available_congestion_control reno cubic
net/ipv4/tcp_base_mss 1024
net/ipv4/tcp_congestion_control cubic
net/ipv4/tcp_dsack 1
net/ipv4/tcp_ecn 2
net/ipv4/tcp_fack 0
net/ipv4/tcp_fastopen 1
net/ipv4/tcp_fin_timeout 60
net/ipv4/tcp_frto 2
net/ipv4/tcp_keepalive_intvl 75
net/ipv4/tcp_keepalive_probes 9
net/ipv4/tcp_keepalive_time 7200
net/ipv4/tcp_low_latency 0
net/ipv4/tcp_max_orphans 131072
net/ipv4/tcp_max_syn_backlog 2048
net/ipv4/tcp_max_tw_buckets 131072
net/ipv4/tcp_mem 287898 383866 575796
net/ipv4/tcp_moderate_rcvbuf 1
net/ipv4/tcp_mtu_probing 0
net/ipv4/tcp_no_metrics_save 0
net/ipv4/tcp_notsent_lowat 4294967295
net/ipv4/tcp_orphan_retries 0
net/ipv4/tcp_reordering 3
net/ipv4/tcp_retries1 3
net/ipv4/tcp_retries2 15
net/ipv4/tcp_rfc1337 0
net/ipv4/tcp_rmem 4096 131072 33554432
net/ipv4/tcp_sack 1
net/ipv4/tcp_slow_start_after_idle 1
net/ipv4/tcp_stdurg 0
net/ipv4/tcp_syn_retries 6
net/ipv4/tcp_synack_retries 5
net/ipv4/tcp_syncookies 1
net/ipv4/tcp_timestamps 1
net/ipv4/tcp_tw_reuse 2
net/ipv4/tcp_window_scaling 1
net/ipv4/tcp_wmem 4096 16384 4194304
net/ipv4/udp_mem 575799 767732 1151598
net/ipv4/udp_rmem_min 4096
net/ipv4/udp_wmem_min 4096
net/ipv6/bindv6only 0
net/ipv6/conf/@/accept_ra 1
net/ipv6/conf/@/accept_redirects 1
net/ipv6/conf/@/accept_source_route 0
net/ipv6/conf/@/addr_gen_mode 0
net/ipv6/conf/@/autoconf 1
net/ipv6/conf/@/disable_ipv6 0
net/ipv6/conf/@/forwarding 0
net/ipv6/conf/@/hop_limit 64
net/ipv6/conf/@/use_tempaddr 0
net/ipv6/ip_nonlocal_bind 0
net/unix/max_dgram_qlen 10
user/max_cgroup_namespaces 96364
user/max_inotify_instances 128
user/max_inotify_watches 8192
user/max_ipc_namespaces 96364
user/max_mnt_namespaces 96364
user/max_net_namespaces 96364
user/max_pid_namespaces 96364
user/max_time_namespaces 96364
user/max_user_namespaces 96364
user/max_uts_namespaces 96364
vm/admin_reserve_kbytes 8192
vm/compaction_proactiveness 20
vm/dirty_background_bytes 0
vm/dirty_background_ratio 10
vm/dirty_bytes 0
vm/dirty_expire_centisecs 3000
vm/dirty_ratio 20
vm/dirty_writeback_centisecs 500
vm/extfrag_threshold 500
vm/hugetlb_shm_group 0
vm/laptop_mode 0
vm/memfd_noexec 0
vm/min_free_kbytes 67584
vm/nr_overcommit_hugepages 0
vm/oom_dump_tasks 1
vm/oom_kill_allocating_task 0
vm/page-cluster 3
vm/panic_on_oom 0
vm/stat_interval 1
vm/unprivileged_userfaultfd 0
vm/user_reserve_kbytes 131072
vm/watermark_boost_factor 15000
vm/watermark_scale_factor 10
vm/zone_reclaim_mode 0
"""
"""Path and value; numbers of one are a tab apart. @: of all network devices, of new ones, of the loopback."""
_ONLY_READ = frozenset(
    b"""
    fs/aio-nr fs/dentry-state fs/inode-nr fs/inode-state kernel/arch kernel/msg_next_id kernel/seccomp/actions_avail
    kernel/sem_next_id kernel/shm_next_id net/ipv4/tcp_available_congestion_control
    """.split()
)


class SettingNode(TextNode):
    """A file of /proc/sys: root has the owner's permissions, no capability gives others (sysctl_perm)."""

    def permits(self, task: LinuxTask, creds: Credentials, wanted: int) -> bool:
        is_root = creds.euid == 0 and creds.space is None
        bits = self.mode >> 6 if is_root else self.mode >> 3 if creds.egid == 0 or 0 in creds.groups else self.mode
        return not wanted & ~bits & 7


def sys_tree(host: HostView) -> StaticDir:
    """/proc/sys: the settings of a machine on which nobody has set anything. None can be changed."""
    root = StaticDir(b"/proc/sys", {})
    for path, (render, mode) in _settings(host).items():
        *directories, name = path.split(b"/")
        here = root
        for step in directories:
            here = here.directory(step)
        taken = _TAKEN.get(path)
        here.add(name, SettingNode(b"/proc/sys/" + path, render, mode, taken, has_end=True, splices=True))
    return root


def _named(task: LinuxTask, data: bytes) -> bytes:
    """Up to the first end of a line (proc_do_uts_string)."""
    return data.partition(b"\n")[0].partition(b"\0")[0][:NAME_MAX]


def _set_node(task: LinuxTask, data: bytes) -> None:
    task.uts.node = _named(task, data)


def _set_domain(task: LinuxTask, data: bytes) -> None:
    task.uts.domain = _named(task, data)


_TAKEN: dict[bytes, Take] = {b"kernel/hostname": _set_node, b"kernel/domainname": _set_domain}
"""What can be set."""


def _fixed(text: bytes) -> Render:
    return lambda task: text


def _settings(host: HostView) -> dict[bytes, tuple[Render, int]]:
    from uuid import UUID

    uname, boot = host.uname, UUID(bytes=host.random(16), version=4)

    def fresh(task: LinuxTask) -> bytes:
        return b"%s\n" % str(UUID(bytes=host.random(16), version=4)).encode()

    files = host.memory_size // 1024 // 10  # a tenth of memory, a file costing 1 KiB (files_maxfiles_init)
    fixed = {
        b"fs/aio-max-nr": AIO_MAX_NR, b"fs/file-max": files, b"fs/nr_open": 1 << 20,
        b"fs/inotify/max_queued_events": 16384, b"fs/inotify/max_user_instances": 128,
        b"fs/inotify/max_user_watches": 8192, b"fs/lease-break-time": 45, b"fs/leases-enable": 1,
        b"fs/overflowgid": 65534, b"fs/overflowuid": 65534, b"fs/pipe-max-size": 1 << 20,
        b"fs/pipe-user-pages-hard": 0, b"fs/pipe-user-pages-soft": 16384, b"fs/suid_dumpable": 0,
        b"kernel/core_uses_pid": 0, b"kernel/msgmax": 8192,
        b"kernel/msgmnb": 16384, b"kernel/overflowgid": 65534, b"kernel/overflowuid": 65534, b"kernel/panic": 0,
        b"kernel/perf_event_paranoid": 2, b"kernel/pid_max": 4194304, b"kernel/randomize_va_space": 0,
        b"kernel/shmmni": 4096, b"kernel/tainted": 0, b"kernel/threads-max": host.memory_size >> 17,
        b"kernel/dmesg_restrict": 0, b"kernel/kptr_restrict": 0,
        b"kernel/random/urandom_min_reseed_secs": 60, b"kernel/random/write_wakeup_threshold": 256,
        b"vm/legacy_va_layout": 0, b"vm/max_map_count": MAX_MAP_COUNT, b"vm/mmap_min_addr": MMAP_MIN_ADDR,
        b"vm/nr_hugepages": 0, b"vm/overcommit_kbytes": 0, b"vm/overcommit_memory": 0, b"vm/overcommit_ratio": 50,
        b"vm/swappiness": 60, b"vm/vfs_cache_pressure": 100,
    }  # fmt: skip
    told: dict[bytes, tuple[Render, int]] = {
        b"fs/file-nr": (lambda t: b"%d\t0\t%d\n" % (len(t.files.descriptors()), files), 0o444),
        b"kernel/cap_last_cap": (_fixed(b"40\n"), 0o444),
        b"kernel/core_pattern": (_fixed(b"core\n"), 0o644),
        b"kernel/domainname": (lambda t: t.uts.domain + b"\n", 0o644),
        b"kernel/hostname": (lambda t: t.uts.node + b"\n", 0o644),
        b"kernel/ngroups_max": (_fixed(b"65536\n"), 0o444),
        b"kernel/osrelease": (_fixed(uname.release.encode() + b"\n"), 0o444),
        b"kernel/ostype": (_fixed(b"Linux\n"), 0o444),
        b"kernel/version": (_fixed(uname.version.encode() + b"\n"), 0o444),
        b"kernel/random/boot_id": (_fixed(b"%s\n" % str(boot).encode()), 0o444),
        b"kernel/random/entropy_avail": (_fixed(b"256\n"), 0o444),
        b"kernel/random/poolsize": (_fixed(b"256\n"), 0o444),
        b"kernel/random/uuid": (fresh, 0o444),
    }
    for what in ("fifos", "hardlinks", "regular", "symlinks"):
        fixed[b"fs/protected_" + what.encode()] = host.protected(what)
    for path, value in fixed.items():
        told[path] = _fixed(b"%d\n" % value), 0o644
    for line in _BEGUN_WITH.split("\n"):
        if line:
            name, *words = line.encode().split()
            text = (b"\t" if words[0].lstrip(b"-").isdigit() else b" ").join(words) + b"\n"
            mode = 0o444 if name in _ONLY_READ or name.endswith(b"mc_forwarding") else 0o644
            for device in (b"all", b"default", b"lo") if b"@" in name else (b"",):
                told[name.replace(b"@", device)] = _fixed(text), mode
    return told

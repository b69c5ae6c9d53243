"""What programs may do: functions before and after calls, rules of places, commands and the network; learning."""

from __future__ import annotations

import errno
import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from axptr import Sandbox
from axptr.linux import Fake, Policy, Refuse, RuleError, Rules
from axptr.linux.policy.audit import Audit

Make = Callable[..., Sandbox]


@pytest.fixture
def make(engine_name: str) -> Iterator[Make]:
    made: list[Sandbox] = []

    def one(policy: Policy | dict[str, Any], **options: Any) -> Sandbox:
        if isinstance(policy, dict):
            policy = Policy(Rules(policy))
        made.append(Sandbox(policy=policy, engine="unicorn" if engine_name == "unicorn" else "auto", **options))
        return made[-1]

    yield one
    for sandbox in made:
        sandbox.close()


# -- functions


def test_a_function_refuses_fakes_and_changes(make: Make) -> None:
    policy = Policy()

    @policy.before("openat")
    def look(call: Any) -> Refuse | None:
        if call["path"] == b"/etc/group":
            return Refuse("EPERM", "no groups")
        if call["path"] == b"/tmp/a":
            call["path"] = "/tmp/b"
        return None

    @policy.before("getuid")
    def somebody(call: Any) -> Fake:
        return Fake(77)

    @policy.after("uname", "getgid")
    def changed(call: Any) -> None:
        if call.name == "getgid":
            call.result = 99

    box = make(policy)
    box.files.write("/tmp/b", "b")
    result = box.run("cat /tmp/a; cat /etc/group")
    assert (result.stdout, result.stderr) == (b"b", b"cat: /etc/group: Operation not permitted\n")
    assert [(d.call, d.access, d.rule, d.errno) for d in result.denied] == [
        ("openat", "call", "no groups", errno.EPERM)
    ]
    assert "/etc/group" in str(result.denied[0])
    assert box.run(["python3", "-c", "import os; print(os.getuid(), os.getgid())"]).text == "77 99\n"


def test_functions_after_calls_that_wait_are_told_the_result_and_may_change_it(make: Make) -> None:
    policy, seen = Policy(), []

    @policy.after("read")
    def told(call: Any) -> None:
        seen.append(call.result)
        if call.result == 5:
            call.result = -errno.EIO

    box = make(policy)
    with box.spawn(["head", "-c", "9"]) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"12345")
        assert b"Input/output error" in process.stderr.read()
    assert 5 in seen


def test_arguments_are_told_by_name_and_every_call_can_be_looked_at(make: Make) -> None:
    policy, seen = Policy(), []

    @policy.before()
    def note(call: Any) -> None:
        seen.append((call.name, dict(call.args), call.comm, call.pid))

    box = make(policy)
    result = box.run(["mkdir", "-m", "700", "/tmp/made"])
    assert result.ok
    assert all(pid == seen[0][3] for *_, pid in seen)
    made = [args for name, args, *_ in seen if name in ("mkdir", "mkdirat")]
    assert made[0]["path"] == b"/tmp/made"
    assert "exit_group" in {name for name, *_ in seen}


def test_programs_and_their_arguments_are_fetched_once_and_can_be_changed(make: Make) -> None:
    policy, seen = Policy(), []

    @policy.before("execve")
    def run(call: Any) -> None:
        seen.append((call["path"], call["argv"]))
        if call["path"] == b"/usr/bin/id":
            call["path"] = b"/bin/echo"

    assert make(policy).run("/usr/bin/id -u; true").text == "-u\n"
    assert seen == [(b"/usr/bin/id", [b"/usr/bin/id", b"-u"])]


def test_an_address_is_judged_and_used_as_one(make: Make) -> None:
    policy, seen = Policy(), []

    @policy.before("connect")
    def where(call: Any) -> Refuse | None:
        seen.append(call.address())
        return Refuse("ECONNREFUSED") if seen[-1] == ("127.0.0.1", 81) else None

    script = "import socket\nfor port in 80, 81:\n  s = socket.socket(); print(s.connect_ex(('127.0.0.1', port)))"
    assert make(policy).run(["python3", "-c", script]).text == "111\n111\n"
    assert seen == [("127.0.0.1", 80), ("127.0.0.1", 81)]
    assert [d.call for d in policy.denied] == ["connect"]


def test_the_double_fetch_loses(make: Make, compile_guest: Callable[..., Path]) -> None:
    program = compile_guest("doublefetch", "-static", "-pthread")
    policy, looked = Policy(), []

    @policy.before("open", "openat")
    def judge(call: Any) -> Refuse | None:
        looked.append(call["path"])
        return None if call["path"] == b"/tmp/good" else Refuse("EACCES")

    box = make(policy)
    box.files.write("/tmp/good", "good")
    box.files.write("/tmp/evil", "evil")
    box.files.upload(program, "/root/race")
    for _ in range(20):
        result = box.run(["./race", "3000"], timeout=100)
        assert result.exit_code == 0, result
        opened, won = result.text.split()
        assert won == "0"
        if opened == "1" and any(path != b"/tmp/good" for path in looked):
            break
    else:
        pytest.fail("the thread never changed what was judged")


def test_nonsense_of_functions_is_told(make: Make) -> None:
    policy = Policy()
    with pytest.raises(ValueError, match="no system call"):
        policy.before("opeat")
    with pytest.raises(ValueError, match="no errno"):
        Refuse(0)

    @policy.before("getpriority")
    def wrong(call: Any) -> Any:
        return "no"

    box = make(policy)
    with pytest.raises(TypeError, match="gives None"):
        box.run(["python3", "-c", "import os; os.getpriority(0, 0)"])
    assert box.run("echo fine").text == "fine\n"
    with box.spawn(["python3", "-c", "import os; os.getpriority(0, 0); print(1)"]) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b""
        with pytest.raises(TypeError, match="gives None"):
            process.wait()
    assert box.processes == []


def test_a_call_that_nobody_looks_at_is_served_as_without_a_policy(make: Make) -> None:
    policy = Policy(Rules({"paths": {"deny": ["/x"]}}))
    policy.before("getppid")(lambda call: None)
    kernel = make(policy).linux.kernel
    numbers = {syscall.name: number for number, syscall in kernel.syscalls.items()}
    assert kernel._table[numbers["read"]] is kernel.syscalls[numbers["read"]].call
    assert kernel._table[numbers["getppid"]] is not kernel.syscalls[numbers["getppid"]].call


# -- rules of places


WAYS = [
    "cat /etc/hosts",
    "cat /etc/../etc/./hosts",
    "cd /etc && cat hosts",
    "cat /proc/self/root/etc/hosts",
    "cd /etc && cat /proc/self/cwd/hosts",
    "ln -s /etc/hosts /tmp/l && cat /tmp/l",
    "ln -s /etc /tmp/d && cat /tmp/d/hosts",
    "ln /etc/hosts /tmp/h && cat /tmp/h",
    "mv /etc/hosts /tmp/m && cat /tmp/m",
    "mv /etc /tmp/e && cat /tmp/e/hosts",
    "cp /etc/hosts /tmp/c && cat /tmp/c",
    'python3 -c \'import os; d=os.open("/etc/hosts",os.O_PATH); print(open(f"/proc/self/fd/{d}").read())\'',
    'python3 -c \'import os; d=os.open("/etc",os.O_RDONLY); print(os.read(os.open("hosts",0,dir_fd=d),99))\'',
    'python3 -c \'import os; os.rename("/etc/passwd","/etc/hosts")\' && mv /etc/hosts /tmp/x',
    "echo x > /etc/hosts",
    "rm -f /etc/hosts && ! test -e /etc/hosts",
    "chmod 777 /etc/hosts",
    "touch /etc/hosts",
    "truncate -s 0 /etc/hosts",
]


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_past_a_rule(make: Make, way: str) -> None:
    box = make({"paths": {"deny": ["/etc/hosts"]}})
    result = box.run(f"{{ {way}; }} 2>&1")
    assert b"localhost" not in result.stdout
    assert not result.ok
    assert result.denied
    assert any('paths.deny "/etc/hosts"' in denied.rule for denied in result.denied)
    assert box.files.read("/etc/hosts").startswith(b"127.0.0.1")  # who has the sandbox is not asked


def test_the_longest_pattern_counts_and_the_strictest_of_equals(make: Make) -> None:
    rules = {"paths": {"default": "deny", "readonly": ["/"], "allow": ["/tmp/a"], "deny": ["/tmp/a/b", "/**/*.key"]}}
    box = make(rules)
    script = """
    mkdir -p /tmp/a 2>/dev/null; echo 1 > /tmp/a/x && echo made
    echo 1 > /tmp/y || echo refused
    mkdir /tmp/a/b || echo refused
    echo 1 > /tmp/a/c.key || echo refused
    """
    box.files.mkdir("/tmp/a")
    assert box.run(script).text == "made\nrefused\nrefused\nrefused\n"
    assert {denied.errno for denied in box.policy.denied} == {errno.EACCES, errno.EROFS}


def test_a_question_is_asked_once_for_each_place(make: Make) -> None:
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return "passwd" in question

    box = make(Policy(Rules({"paths": {"ask": ["/etc/passwd", "/etc/group"]}}), ask=ask))
    result = box.run("cat /etc/passwd /etc/passwd >/dev/null && echo yes; cat /etc/group || echo no")
    assert result.text == "yes\nno\n"
    assert len(asked) == 2
    assert "read /etc/passwd" in asked[0]


def test_commands_and_calls(make: Make) -> None:
    box = make({"commands": {"default": "deny", "allow": ["/usr/bin/dash", "/usr/bin/cat"]}})
    result = box.run("cat /dev/null && echo cat; ls; cp /bin/ls /tmp/cat; echo '#!/usr/bin/perl' > s; cat s")
    assert result.text.startswith("cat\n")
    assert [denied.subject for denied in result.denied if denied.access == "run"][:1] == ["/usr/bin/ls"]
    box = make({"calls": {"deny": ["mkdir", "mkdirat"]}})
    result = box.run("mkdir /tmp/x")
    assert b"not permitted" in result.stderr
    assert result.denied[0].rule == 'calls.deny "mkdir"'


def test_a_script_of_a_denied_interpreter_does_not_run(make: Make) -> None:
    box = make({"commands": {"deny": ["/usr/bin/perl"]}})
    box.files.write("script", "#!/usr/bin/perl\nprint 1", mode=0o755)
    assert not box.run("./script").ok
    assert any(denied.subject == "/usr/bin/perl" for denied in box.policy.denied)


def test_the_network_is_told_of(make: Make) -> None:
    box = make(Policy())
    script = "import socket; s = socket.socket(); print(s.connect_ex(('192.0.2.1', 80)))"
    result = box.run(["python3", "-c", script])
    assert result.text == f"{errno.ENETUNREACH}\n"
    assert [(d.access, d.subject, d.rule) for d in result.denied] == [
        ("connect", "192.0.2.1:80", "the machine's network")
    ]
    box = make({"network": {"deny": ["192.0.2.0/24"]}}, net="host")
    result = box.run(["python3", "-c", script])
    assert result.text == f"{errno.ENETUNREACH}\n"
    assert result.denied[0].rule == 'network.deny "192.0.2.0/24"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"path": {}}, "no section 'path'"),
        ({"paths": {"denied": []}}, "there is no 'denied'"),
        ({"paths": {"deny": "x"}}, "list of strings"),
        ({"paths": {"deny": ["x"]}}, "begins with a slash"),
        ({"paths": {"default": "never"}}, "there is no 'never'"),
        ({"paths": []}, "lists in it"),
        ({"network": {"deny": ["1.2.3.4:x"]}}, "no port"),
        ([], "sections"),
    ],
)
def test_rules_that_make_no_sense(text: Any, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        Rules(text)


def test_files_of_rules(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[paths]\ndeny = ["/x"]\n')
    (tmp_path / "a.json").write_text('{"paths": {"deny": ["/x"]}}')
    (tmp_path / "bad.toml").write_text("[paths\n")
    for name in ("a.toml", "a.json"):
        assert Rules.load(tmp_path / name).of_place(b"/x/y", "read").rule == 'paths.deny "/x"'
    with pytest.raises(RuleError, match=r"bad\.toml"):
        Rules.load(tmp_path / "bad.toml")
    policy = Policy(Rules.load(tmp_path / "a.toml"))
    assert policy.explain("/x/y", "write") == 'write /x/y: refused by paths.deny "/x"'
    assert policy.explain("/xy") == 'read /xy: allowed by paths.default "allow"'


# -- learned, and the record


def test_what_is_learned_lets_the_run_pass_and_no_other(make: Make) -> None:
    script = "cat /etc/passwd | wc -l; echo x > /tmp/file.$$; mkdir -p /root/d; echo y > /root/d/z\n"
    script += "python3 -c 'print(1)'"
    policy = Policy()
    learned = policy.learn()
    first = make(policy).run(script)
    assert first.ok
    box = make(tomllib.loads(learned.toml()))
    again = box.run(script)
    assert (again.stdout, again.stderr, again.denied) == (first.stdout, b"", [])
    for other in ("cat /etc/group", "perl -e 1", "echo x > /root/e", "ls /usr"):
        assert box.run(other).denied, other


def test_the_record_has_a_line_for_each_call_that_matters(make: Make) -> None:
    lines: list[str] = []
    make(Policy(Rules({"paths": {"deny": ["/etc/group"]}}), audit=Audit(lines.append))).run(
        "cat /etc/passwd /etc/group"
    )
    records = [json.loads(line) for line in lines]
    opened = [r for r in records if r["call"] == "openat" and r.get("args", {}).get("path") == "/etc/passwd"]
    assert opened[0]["result"] == 3
    assert opened[0]["comm"] == "cat"
    refused = [r for r in records if "denied" in r]
    assert refused[0]["denied"] == "/etc/group"
    assert refused[0]["errno"] == "EACCES"
    assert any(r["call"] == "execve" and r["args"]["argv"] == ["cat", "/etc/passwd", "/etc/group"] for r in records)

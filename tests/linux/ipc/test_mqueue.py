"""Message queues of POSIX with odd arguments: what the host gives."""

from __future__ import annotations

import os
from struct import pack
from typing import Any

from ..caller import Script


def test_a_queue_that_tells_by_signal_0_tells_nobody(answers: Any) -> None:
    script = Script()
    name = script.text(f"axptr-test-told-{os.getpid()}")
    queue = script.call("mq_open", name, 0o4102, 0o600, script.put(pack("<8q", 0, 4, 16, 0, 0, 0, 0, 0)))
    script.call("mq_unlink", name)
    for signal in (-1, 65, 0):
        script.call("mq_notify", queue, script.put(pack("<Qii48x", 0, signal, 0)))
    script.call("mq_timedsend", queue, script.put(b"words"), 5, 1, 0)
    script.call("mq_notify", queue, script.put(pack("<Qii48x", 0, 0, 1)))
    told = answers(script)
    assert [answer.error for answer in told[2:]] == ["EINVAL", "EINVAL", "", "", ""]

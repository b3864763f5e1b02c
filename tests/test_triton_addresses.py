"""The addresses behind Triton's name: which is taken, and what a resolver may do wrong."""

import socket
import threading
import time

import numpy as np
import pytest

from proxy import addresses as addresses_module
from proxy.addresses import Addresses
from proxy.errors import SegmenterAwayError, SegmenterSlowError
from proxy.segmenter import Segmenter

BOTH = [
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 8000, 0, 0)),
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 8000)),
]


@pytest.fixture
def resolver(monkeypatch):
    """Answers every name with what stands in it; an error is raised."""
    found = [*BOTH]

    def look_up(*_words, **_more):
        if found and isinstance(found[0], OSError):
            raise found[0]
        return list(found)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return found


async def test_a_name_with_addresses_of_both_versions_of_ip_is_asked_at_version_4(resolver):
    addresses = Addresses("localhost:8000")
    assert {"127.0.0.1:8000"} == {await addresses.pick() for _ in range(20)}
    resolver[:] = BOTH[:1]
    assert "[::1]:8000" == await Addresses("localhost:8000").pick()


async def test_a_failed_look_up_leaves_what_was_known(resolver, monkeypatch):
    addresses = Addresses("triton:8000")
    assert "127.0.0.1:8000" == await addresses.pick()
    resolver[:] = [OSError(socket.EAI_AGAIN, "no answer")]
    monkeypatch.setattr(addresses_module, "BELIEVED_S", -1)
    assert "127.0.0.1:8000" == await addresses.pick()
    with pytest.raises(SegmenterAwayError, match="Triton's address triton:8000 is unknown"):
        await Addresses("triton:8000").pick()


@pytest.mark.usefixtures("resolver")
async def test_known_addresses_are_used_while_a_resolver_does_not_answer(monkeypatch):
    addresses, never = Addresses("triton:8000"), threading.Event()
    assert "127.0.0.1:8000" == await addresses.pick()
    monkeypatch.setattr(addresses_module, "BELIEVED_S", -1)
    monkeypatch.setattr(addresses_module, "LOOK_UP_S", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait(5))
    assert "127.0.0.1:8000" == await addresses.pick()
    never.set()


async def test_a_resolver_that_does_not_answer_takes_no_longer_than_triton_may(monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait(5))
    segmenter = Segmenter(url="triton:8000", model_name="segmenter", timeout_s=0.2, keep_connections=False)
    started_s = time.monotonic()
    with pytest.raises(SegmenterSlowError):
        await segmenter.infer(np.zeros((1, 1, 32, 32), np.uint8))
    assert time.monotonic() - started_s < 2
    never.set()
    await segmenter.close()

"""API keys: who may ask, and how often."""

import hashlib
import os
import subprocess
import sys
from unittest import mock

import pytest
from conftest import ROOT
from proxy_servers import FakeTriton, png, problem, running_proxy, texture

from proxy.api_keys import ApiKeys
from proxy.errors import SettingsError, TooManyRequestsError, UnknownKeyError

BODY = png(texture(32, 40))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def line(name, key, *rate):
    return " ".join((name, hashlib.sha256(key.encode()).hexdigest(), *rate)) + "\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# who\n" + line("line-3", "secret") + line("lab", "other", "2"))
    return path


def test_without_a_file_everybody_may_ask():
    ApiKeys(None).require(None)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic secret", "secret", "Bearer \udcff"])
def test_anything_but_a_known_key_is_refused(file, header):
    with pytest.raises(UnknownKeyError, match="Authorization: Bearer"):
        ApiKeys(file).require(header)


def test_a_known_key_passes_and_none_of_it_is_kept(file):
    keys = ApiKeys(file)
    keys.require("Bearer secret")
    keys.require("bearer secret")
    assert "secret" not in repr(vars(keys))


def test_a_key_with_a_rate_may_ask_so_often(file):
    clock = Clock()
    keys = ApiKeys(file, clock)
    for _ in range(3):
        keys.require("Bearer other")
        keys.require("Bearer other")
        with pytest.raises(TooManyRequestsError, match="2 requests a second"):
            keys.require("Bearer other")
        keys.require("Bearer secret")
        clock.now += 1


def test_a_key_with_a_rate_is_told_how_long_to_wait(tmp_path):
    path, clock = tmp_path / "keys", Clock()
    path.write_text(line("line-3", "slow", "0.1"))
    keys = ApiKeys(path, clock)
    keys.require("Bearer slow")
    for passed_s, wait_s in ((0, "10"), (3.5, "7"), (6, "1")):
        clock.now += passed_s
        with pytest.raises(TooManyRequestsError) as refused:
            keys.require("Bearer slow")
        assert wait_s == refused.value.headers["Retry-After"]
    clock.now += 1
    keys.require("Bearer slow")


def test_a_changed_file_counts_within_a_second_and_a_broken_one_not_at_all(file):
    clock = Clock()
    keys = ApiKeys(file, clock)
    keys.require("Bearer secret")
    file.write_text(line("new", "fresh"))
    os.utime(file, ns=(1, 1))
    clock.now += 1
    keys.require("Bearer fresh")
    with pytest.raises(UnknownKeyError):
        keys.require("Bearer secret")
    for broken in ("not a line\n", None):
        file.unlink()
        if broken:
            file.write_text(broken)
        clock.now += 1
        keys.require("Bearer fresh")


def test_a_file_that_could_not_be_read_once_counts_as_soon_as_it_can(file, monkeypatch, capsys):
    clock = Clock()
    keys = ApiKeys(file, clock)
    file.write_text(line("new", "fresh") + line("second", "key"))
    with monkeypatch.context() as patch:
        patch.setattr(type(file), "read_text", mock.Mock(side_effect=PermissionError("no right to read")))
        for _ in range(3):
            clock.now += 1
            keys.require("Bearer secret")
    assert 1 == capsys.readouterr().out.count("no right to read")
    clock.now += 1
    keys.require("Bearer fresh")
    with pytest.raises(UnknownKeyError):
        keys.require("Bearer secret")


def test_a_key_gets_another_owner(file):
    clock = Clock()
    keys = ApiKeys(file, clock)
    keys.require("Bearer other")
    file.write_text(line("night-shift", "other", "2"))
    clock.now += 1
    for _ in range(2):
        keys.require("Bearer other")
    with pytest.raises(TooManyRequestsError, match="'night-shift' may send 2"):
        keys.require("Bearer other")


def test_a_broken_file_is_refused_at_the_start(file):
    file.write_text("name nonsense\n")
    with pytest.raises(SettingsError, match=r"API_KEYS_FILE is .*line 1"):
        ApiKeys(file)
    file.write_text(line("new", "fresh", "0"))
    with pytest.raises(SettingsError, match="line 1 allows 0 requests a second: allow more, or remove the line"):
        ApiKeys(file)
    with pytest.raises(SettingsError, match="API_KEYS_FILE"):
        ApiKeys(file.parent / "missing")


def test_a_made_key_opens_with_the_line_that_was_printed(tmp_path):
    words = [sys.executable, "-m", "proxy.make_key", "line-3"]
    given, kept = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    (tmp_path / "keys").write_text(kept.removeprefix("line for the file:  ") + "\n")
    ApiKeys(tmp_path / "keys").require("Bearer " + given.rpartition(" ")[2])


async def test_analyze_asks_for_the_key_before_it_reads_and_health_does_not(file):
    file.write_text(line("line-3", "secret") + line("lab", "slow", "0.001"))
    async with FakeTriton() as fake, running_proxy(fake.url, api_keys_file=file) as proxy:
        async with proxy.post(BODY) as response:
            await problem(response, 401, "Unknown key")
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
        async with proxy.post(BODY, Authorization="Bearer secret") as response:
            assert 200 == response.status
        async with proxy.request("GET", "/health/ready") as response:
            assert 200 == response.status
        statuses = []
        for _ in range(2):
            async with proxy.post(BODY, Authorization="Bearer slow") as response:
                statuses.append((response.status, "Retry-After" in response.headers))
        assert [(200, False), (429, True)] == statuses

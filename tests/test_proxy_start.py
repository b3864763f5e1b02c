"""Settings, `python -m proxy` as a process of its own, its start, its refusals to start, and its end."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, ClientSession
from conftest import ROOT, answers
from proxy_servers import FakeTriton, png, texture, until

from host.environment import help_text, rows
from host.ports import free_port
from proxy.errors import SettingsError
from proxy.settings import Settings

BODY = png(texture(32, 40))

WRONG_SETTINGS = [
    ("PORT", "http", "a whole number from 0 to 65535"),
    ("PORT", "65536", "a whole number"),
    ("PORT", "٨", "a whole number"),
    ("HOST", " ", "an address"),
    ("TRITON_URL", "http://127.0.0.1:8000", "host:port without http://"),
    ("TRITON_URL", "127.0.0.1", "host:port"),
    ("TRITON_URL", "triton:80000", "host:port"),
    ("TRITON_URL", "triton..plant:8000", "host:port"),
    ("TRITON_URL", "[::::]:8000", "host:port"),
    ("TRITON_CONNECTIONS", "closed", "one of kept, fresh"),
    ("MODEL_NAME", "../segmenter", "a name"),
    ("MAX_UPLOAD_BYTES", "10MB", "a whole number"),
    ("MAX_PIXELS", "-1", "a whole number"),
    ("QUEUE_LIMIT", "0", "from 1"),
    ("DEADLINE_S", "nan", "a number of seconds"),
    ("DEADLINE_S", "inf", "a number of seconds"),
    ("TRITON_TIMEOUT_S", "soon", "a number of seconds"),
    ("IN_FLIGHT_BATCHES", "1.5", "a whole number"),
    ("DECODE_THREADS", "0", "from 1"),
    ("LOG_LEVEL", "verbose", "one of DEBUG, INFO, WARNING, ERROR"),
]


CHURN = """
import resource
from host.allocator import keep_freed_memory

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [bytearray(2**20) for _ in range(16)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

page_faults()
before = page_faults()
keep_freed_memory(kept_bytes=64 * 2**20, large_bytes=4 * 2**20)
page_faults()
print(before, page_faults())
"""


def test_memory_that_one_request_freed_is_there_for_the_next_without_a_page_fault():
    said = subprocess.run([sys.executable, "-c", CHURN], cwd=ROOT, capture_output=True, text=True, check=True)
    given_back, kept = map(int, said.stdout.split())
    assert given_back > 1000, "a megabyte has 256 pages"
    assert kept < 100


@pytest.mark.parametrize(("variable", "value", "wanted"), WRONG_SETTINGS)
def test_a_wrong_setting_is_refused_with_its_name_its_value_and_what_it_wants(variable, value, wanted):
    with pytest.raises(SettingsError, match=wanted) as refusal:
        Settings.from_environment({variable: value})
    assert str(refusal.value).startswith(f"{variable} is {value!r}: ")


def test_an_empty_environment_gives_the_defaults_and_answers_loopback_only():
    settings = Settings.from_environment({"UNRELATED": "1", "PORT": ""})
    assert Settings() == settings
    assert ("127.0.0.1", 8080, "127.0.0.1:8000") == (settings.host, settings.port, settings.triton_url)


def test_every_setting_is_read_from_the_variable_that_the_help_names():
    environment = {
        "PORT": "0", "HOST": "::1", "TRITON_URL": "triton:8001", "MODEL_NAME": "m-2",
        "MAX_UPLOAD_BYTES": "5", "MAX_PIXELS": "2048", "QUEUE_LIMIT": "7", "DEADLINE_S": "1.5",
        "TRITON_TIMEOUT_S": "2", "IN_FLIGHT_BATCHES": "3", "DECODE_THREADS": "4", "CHECK_INTERVAL_S": "0.5",
        "SHUTDOWN_GRACE_S": "0", "GOLDEN_TOLERANCE": "9", "LOG_LEVEL": "DEBUG", "TRITON_CONNECTIONS": "fresh",
        "MAX_WAIT_S": "2", "UPLOAD_MEMORY": "2000000", "UPLOAD_GRACE_S": "2", "MIN_BYTE_RATE": "1", "HEAD_S": "3",
        "MAX_CONNECTIONS": "9", "ADDRESS_CONNECTIONS": "8", "API_KEYS_FILE": "keys", "CORS_ORIGINS": "https://a.example",
    }  # fmt: skip
    settings = Settings.from_environment(environment)
    assert environment.keys() == {row.name for row in rows(Settings)}
    for variable in environment:
        assert getattr(settings, variable.lower()) != getattr(Settings(), variable.lower())


def ended(serving_python, *arguments, **environment):
    """A run of `python -m proxy` that ends by itself."""
    return subprocess.run(
        [serving_python, "-m", "proxy", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_a_wrong_setting_ends_the_process_with_2_and_one_line(serving_python):
    run = ended(serving_python, PORT="http")
    assert (2, "") == (run.returncode, run.stdout)
    assert "error: PORT is 'http': give a whole number from 0 to 65535\n" == run.stderr


def test_a_missing_file_of_keys_ends_the_process_with_2_and_one_line(serving_python):
    run = ended(serving_python, PORT="0", API_KEYS_FILE="/nowhere")
    assert (2, 1) == (run.returncode, len(run.stderr.splitlines()))
    assert "API_KEYS_FILE is /nowhere" in run.stderr


def test_a_port_in_use_ends_the_process_with_1_and_names_the_port_and_the_variable(serving_python):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = ended(serving_python, PORT=str(port))
    assert 1 == run.returncode
    assert 1 == len(run.stderr.splitlines())
    assert f"port {port}" in run.stderr
    assert "set PORT" in run.stderr


def test_help_tells_every_setting(serving_python):
    run = ended(serving_python, "--help")
    assert (0, "") == (run.returncode, run.stderr)
    assert help_text(Settings) in run.stdout


def test_the_process_serves_the_real_triton_and_logs_one_line_a_request(start_service, triton):
    port = free_port()
    service = start_service("proxy", PORT=str(port), TRITON_URL=triton.url)
    asyncio.run(until(ready_at(port)))
    assert 0 == service.stop()
    assert f"event=listening url=http://127.0.0.1:{port} triton={triton.url} model=segmenter" in service.said
    assert "event=ready model=segmenter version=1" in service.said
    lines = service.said.splitlines()
    assert [] == [
        line for line in lines if not re.match(r"timestamp=\S+Z level=(info|warning) logger=proxy\.\w+ event=", line)
    ]
    assert lines[-1].endswith("level=info logger=proxy.app event=stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_listening_at_once_and_the_process_after_what_is_in_flight(start_service, number):
    async with FakeTriton() as fake, ClientSession() as session:
        port = free_port()
        service = start_service("proxy", PORT=str(port), TRITON_URL=fake.url)
        await until(ready_at(port))
        fake.open.clear()
        posted = asyncio.create_task(post(session, port))
        await fake.asked.acquire()
        service.process.send_signal(number)

        async def is_closed():
            try:
                async with ClientSession() as other, other.get(f"http://127.0.0.1:{port}/health/live"):
                    return False
            except ClientConnectionError:
                return True

        await until(is_closed)
        assert service.process.poll() is None
        fake.open.set()
        assert (200, 32) == await posted
        assert 0 == await asyncio.to_thread(service.process.wait, 10)


async def test_what_is_not_done_within_the_grace_is_given_up_and_the_process_ends_with_0(start_service):
    async with FakeTriton() as fake, ClientSession() as session:
        port = free_port()
        service = start_service("proxy", PORT=str(port), TRITON_URL=fake.url, SHUTDOWN_GRACE_S="5")
        await until(ready_at(port))
        fake.open.clear()
        posted = asyncio.create_task(post(session, port))
        await fake.asked.acquire()
        asked = asyncio.get_running_loop().time()
        assert 0 == await asyncio.to_thread(service.stop)
        assert 2 * 5 > asyncio.get_running_loop().time() - asked  # aiohttp's own reckoning: twice the grace
        with pytest.raises(ClientConnectionError):
            await posted


async def post(session, port):
    headers = {"Content-Type": "image/png"}
    async with session.post(f"http://127.0.0.1:{port}/analyze", data=BODY, headers=headers) as response:
        return response.status, len(json.loads(await response.read())["pred"])


def ready_at(port):
    async def is_ready():
        return await asyncio.to_thread(answers, f"http://127.0.0.1:{port}/health/ready")

    return is_ready


LINES = """
import logging
import structlog
from proxy.logs import configure_logs

configure_logs("WARNING")
structlog.get_logger("ours").info("not wanted")
structlog.get_logger("ours").warning("slow")
logging.getLogger("theirs").warning("slow")
"""
UNWRITABLE = """
import structlog
from proxy.logs import configure_logs

configure_logs("INFO")
structlog.get_logger("proxy").info("request")
raise SystemExit(7)
"""


def test_a_log_that_cannot_be_written_costs_no_answer(serving_python):
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [serving_python, "-c", UNWRITABLE], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert "Traceback" not in run.stderr
    assert run.returncode in (7, 120), "120 tells that Python itself could not flush at its end"


def test_a_line_of_the_log_has_the_same_form_whether_it_is_ours_or_a_librarys(serving_python):
    said = subprocess.run(
        [serving_python, "-c", LINES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    ours, theirs = (line.partition(" ")[2] for line in said)
    assert ("level=warning logger=ours event=slow", "level=warning logger=theirs event=slow") == (ours, theirs)
    assert all(line.startswith("timestamp=") for line in said)

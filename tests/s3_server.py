"""A real S3 server on loopback: SeaweedFS from its wheel."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import s3fs
from botocore.exceptions import BotoCoreError

from host.ports import free_port

START_S = 60
KEY, SECRET = "tester", "a-secret-of-the-tests"


@dataclass(frozen=True)
class S3Server:
    """A server with one empty bucket; `credentials` are environment variables."""

    endpoint: str
    bucket: str
    credentials: dict[str, str]


def credentials(key: str) -> dict[str, str]:
    """Environment variables with which a client logs in by this key."""
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": SECRET}


@contextlib.contextmanager
def s3_server(folder: Path, bucket: str = "tiles", policies: dict[str, str] | None = None) -> Iterator[S3Server]:
    """Serve a new bucket, its data in `folder`, until the end of the `with` block.

    `policies`: an access key → the IAM policy that says what it may.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "identities.json").write_text(json.dumps(_identities(policies or {})))
    port = free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(_command(folder, port), stdout=log, stderr=log)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _make_bucket(endpoint, bucket, process, folder / "log")
        yield S3Server(endpoint, bucket, credentials(KEY))
    finally:
        process.kill()  # asked to end, it takes half a minute; its data is thrown away
        process.wait()


def _identities(policies: dict[str, str]) -> dict[str, list[dict]]:
    rights = {KEY: {"actions": ["Admin"]}, **{key: {"policyNames": [key]} for key in policies}}
    return {
        "identities": [
            {"name": key, "credentials": [{"accessKey": key, "secretKey": SECRET}], **right}
            for key, right in rights.items()
        ],
        "policies": [{"name": key, "content": policy} for key, policy in policies.items()],
    }


def _command(folder: Path, s3_port: int) -> list[str | Path]:
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    ports = [f"-{name}={free_port()}" for name in (*names, "s3.port.grpc")]
    weed = Path(sys.executable).with_name("weed")
    options = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=10", "-filer", "-s3", f"-s3.port={s3_port}"]
    ports += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # or two servers at once would meet on their fixed ports
    return [weed, "server", f"-dir={folder}", f"-s3.config={folder / 'identities.json'}", *options, *ports]


def _make_bucket(endpoint: str, bucket: str, process: subprocess.Popen, log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            s3fs.S3FileSystem(key=KEY, secret=SECRET, endpoint_url=endpoint, skip_instance_cache=True).mkdir(bucket)
        except (OSError, BotoCoreError) as error:  # the latter where nobody listens yet
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"no S3 server: {log.read_text()[-2000:]}") from error
            time.sleep(0.2)
        else:
            return

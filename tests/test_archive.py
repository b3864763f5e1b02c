"""How the archive comes to the pipeline: a local copy, a download that is cut, a zip from an unknown source."""

import contextlib
import itertools
import struct
import threading
import zipfile
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_data import sample_members, unhurried, write_zip

from training.dataset.archive import ENVIRONMENT_VARIABLE, RETRIES, find_archive, read_members
from training.errors import ArchiveError

CONTENT = bytes(range(256)) * 8192  # 2 MiB: several reads of the client
CUT = 700_001  # bytes of a body, after which the line is cut
ATTEMPTS = 1 + RETRIES


class Source(BaseHTTPRequestHandler):
    """Serves the server's `content` as its other attributes say and counts the requests."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        source = self.server
        source.requests.append(self.path)
        if source.failures:
            self.send_error(source.failures.pop(0))
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Connection", "close")
        body = source.content
        sent = body[: source.cuts.pop(0)] if source.cuts else body
        if source.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(body) + sent + (b"\r\n0\r\n\r\n" if sent == body else b""))
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(sent)

    def log_message(self, *_):
        pass


@pytest.fixture
def source():
    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        server.url = f"http://127.0.0.1:{server.server_port}/archive.zip"
        server.content, server.chunked = CONTENT, False
        server.cuts, server.failures = [], []  # what still goes wrong, one request each: bytes sent, status answered
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that pooch would wait between its attempts; no local copy is named."""
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    waited = []
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=waited.append))
    return waited


def test_a_local_copy_named_by_the_environment_is_taken_and_nothing_downloaded(tmp_path, monkeypatch, source):
    local = write_zip(tmp_path / "mine.zip", {})
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(local))
    assert local == find_archive(source.url, tmp_path / "download")
    assert [] == source.requests


def test_a_local_copy_is_taken_even_where_a_download_lies(tmp_path, monkeypatch, source):
    find_archive(source.url, tmp_path / "download")
    local = write_zip(tmp_path / "mine.zip", {})
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(local))
    assert local == find_archive(source.url, tmp_path / "download")


def test_a_local_copy_that_is_not_there_names_the_variable_and_the_path(tmp_path, monkeypatch, source):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "mine.zip"))
    with pytest.raises(ArchiveError, match=rf"MTD_ARCHIVE={tmp_path}/mine\.zip: there is no such file"):
        find_archive(source.url, tmp_path / "download")
    assert [] == source.requests


def test_without_a_local_copy_the_archive_is_downloaded_once_and_kept(tmp_path, source):
    for _ in range(2):
        assert CONTENT == find_archive(source.url, tmp_path / "new" / "download").read_bytes()
    assert 1 == len(source.requests)
    assert 1 == len(list((tmp_path / "new" / "download").iterdir()))


def test_the_download_of_another_address_is_not_taken_for_this_ones(tmp_path, source):
    first = find_archive(source.url, tmp_path)
    assert first != find_archive(f"{source.url}?other", tmp_path)
    assert 2 == len(source.requests)


@pytest.mark.parametrize("chunked", [False, True], ids=["of a known length", "chunked"])
@pytest.mark.parametrize("cuts", [[CUT], [CUT, 0, CUT]], ids=["once", "three times"])
def test_a_download_that_is_cut_is_tried_again_until_it_is_whole(tmp_path, source, waits, cuts, chunked):
    source.cuts, source.chunked = list(cuts), chunked
    path = find_archive(source.url, tmp_path)
    assert CONTENT == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())
    assert 1 + len(cuts) == len(source.requests)
    assert len(cuts) == len(waits)
    assert all(0 < earlier < later for earlier, later in itertools.pairwise(waits))


def test_a_passing_failure_of_the_server_is_tried_again(tmp_path, source):
    source.failures = [503, 500]
    assert CONTENT == find_archive(source.url, tmp_path).read_bytes()


def test_repeated_cuts_end_with_the_mend_and_leave_nothing(tmp_path, source):
    source.cuts = [CUT] * ATTEMPTS
    with pytest.raises(ArchiveError, match=r"cannot be downloaded .*the network.*MTD_ARCHIVE") as refusal:
        find_archive(source.url, tmp_path)
    assert source.url in str(refusal.value)
    assert ATTEMPTS == len(source.requests)
    assert [] == list(tmp_path.iterdir())


def test_a_run_after_one_that_gave_up_downloads_the_archive_anew(tmp_path, source):
    source.cuts = [CUT] * ATTEMPTS
    with pytest.raises(ArchiveError):
        find_archive(source.url, tmp_path)
    source.content = CONTENT[::-1]  # has changed since
    assert CONTENT[::-1] == find_archive(source.url, tmp_path).read_bytes()


def test_an_address_without_the_archive_is_refused_with_the_mend(tmp_path, source):
    source.failures = [404] * ATTEMPTS
    with pytest.raises(ArchiveError, match=r"404.*check data_load\.url in params\.yaml.*MTD_ARCHIVE"):
        find_archive(source.url, tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_a_server_that_is_not_there_ends_with_the_mend(tmp_path):
    with pytest.raises(ArchiveError, match=r"refused.*MTD_ARCHIVE"):
        find_archive("http://127.0.0.1:1/archive.zip", tmp_path)


@pytest.mark.parametrize(
    "url",
    ["", "not a url", "htp:/x", "http://", "http://[::1", "http://a..b/x", "http://h:port/x", "http://127.0.0.1/ü"],
)
def test_a_malformed_address_names_the_key_and_the_way_without_one(tmp_path, url):
    with pytest.raises(ArchiveError) as refusal:
        find_archive(url, tmp_path)
    assert str(refusal.value).startswith(f"{url!r} cannot be downloaded (")
    assert "check data_load.url in params.yaml" in str(refusal.value)
    assert "name the file in MTD_ARCHIVE" in str(refusal.value)
    assert [] == list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named_with_the_way_without_one(tmp_path, source):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"Not a directory: .*/file/download'.*the disk.*MTD_ARCHIVE"):
        find_archive(source.url, tmp_path / "file" / "download")


@pytest.mark.parametrize("root", ["Magnetic-tile-defect-datasets.-master/", "mine/", "a/b/", ""])
def test_members_are_named_alike_whatever_the_root_folder_is_called(tmp_path, root):
    members = sample_members("Blowhole", "Free")
    assert members == read_members(write_zip(tmp_path / "a.zip", members, root=root))


def test_only_images_and_masks_of_the_types_folders_are_read(tmp_path):
    members = {"MT_Free/Imgs/1.jpg": b"jpg", "MT_Free/Imgs/1.png": b"png"}
    others = {"README.md": b"", "MT_Free/Imgs/Thumbs.db": b"", "MT_Free/2.jpg": b"", "other/Imgs/3.jpg": b""}
    assert members == read_members(write_zip(tmp_path / "a.zip", members | others))


@pytest.mark.parametrize(
    "name",
    [
        "../MT_Free/Imgs/1.jpg",
        "a/../../MT_Free/Imgs/1.jpg",
        "/etc/passwd",
        "..\\MT_Free\\Imgs\\1.jpg",
        "MT_Free/Imgs/..\\..\\1.jpg",
        "\\\\server\\share\\1.jpg",
        "C:/MT_Free/Imgs/1.jpg",
        "C:\\1.jpg",
    ],
)
def test_a_member_that_leaves_the_folder_is_refused_by_name(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", sample_members("Crack") | {name: b"x"}, root="")
    with pytest.raises(ArchiveError) as refusal:
        read_members(path)
    assert str(refusal.value).endswith(f"the zip has paths outside its own folder ({name}); download it again")


def test_a_file_that_is_no_zip_says_so(tmp_path):
    path = tmp_path / "a.zip"
    path.write_text("<html>Sign in to the network</html>")
    with pytest.raises(ArchiveError, match=r"a\.zip cannot be read as a zip .*delete it and run again"):
        read_members(path)


def test_a_zip_that_breaks_off_says_so(tmp_path):
    path = write_zip(tmp_path / "a.zip", sample_members("Crack"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ArchiveError, match=r"a\.zip cannot be read as a zip"):
        read_members(path)


def test_a_stored_member_with_a_changed_byte_says_so(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"MT_Free/Imgs/1.jpg": b"x" * 1000})
    path.write_bytes(path.read_bytes().replace(b"xxxxx", b"xxyxx", 1))
    with pytest.raises(ArchiveError, match=r"a\.zip cannot be read as a zip .*CRC"):
        read_members(path)


def test_a_compressed_member_with_changed_bytes_says_so(tmp_path):
    path = write_zip(tmp_path / "a.zip", sample_members("Crack"), compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[100:200] = b"\xff" * 100  # in the first member's data
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a\.zip cannot be read as a zip"):
        read_members(path)


def with_header_field(path, *, local, central, value):
    """Overwrite a 16-bit field of the only member's local and central header, at these offsets."""
    content = bytearray(path.read_bytes())
    for at in (local, content.index(b"PK\x01\x02") + central):
        struct.pack_into("<H", content, at, value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("field", "cause"),
    [
        ({"local": 6, "central": 8, "value": 0x01}, "is encrypted"),
        ({"local": 6, "central": 8, "value": 0x41}, "strong encryption"),
        ({"local": 8, "central": 10, "value": 9}, "compression method is not supported"),
    ],
    ids=["password", "certificate", "deflate64"],
)
def test_a_member_that_python_cannot_unpack_is_named_with_the_mend(tmp_path, field, cause):
    path = with_header_field(write_zip(tmp_path / "a.zip", {"MT_Free/Imgs/1.jpg": b"x"}, root=""), **field)
    with pytest.raises(ArchiveError) as refusal:
        read_members(path)
    assert str(refusal.value).startswith(f"{path}: MT_Free/Imgs/1.jpg cannot be unpacked (")
    assert cause in str(refusal.value)
    assert "zip it again, deflated and without a password, or download it again" in str(refusal.value)


@pytest.mark.parametrize("name", [".", "./", "/", "MT_Free/Imgs/", "MT_Free/Imgs/."])
def test_a_member_that_is_a_folder_is_passed_over(tmp_path, name):
    members = sample_members("Crack")
    assert members == read_members(write_zip(tmp_path / "a.zip", members | {name: b""}, root=""))


def test_what_macos_puts_beside_each_image_is_passed_over(tmp_path):
    members = {"MT_Free/Imgs/1.jpg": b"jpg", "__MACOSX/MT_Free/Imgs/._1.jpg": b"attributes"}
    assert {"MT_Free/Imgs/1.jpg": b"jpg"} == read_members(write_zip(tmp_path / "a.zip", members))


def test_two_members_that_are_the_same_image_are_refused_by_name(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a/MT_Free/Imgs/1.jpg": b"x", "b/MT_Free/Imgs/1.jpg": b"y"}, root="")
    with pytest.raises(ArchiveError, match=r"twice, a/MT_Free/Imgs/1\.jpg and b/MT_Free/Imgs/1\.jpg: keep one"):
        read_members(path)


def test_a_zip_without_the_datasets_images_names_where_the_right_one_is_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"README.md": b"another project"})
    with pytest.raises(ArchiveError, match=r"a\.zip has no MT_<type>/Imgs/.*MTD_ARCHIVE.*data_load\.url"):
        read_members(path)


def test_an_archive_that_cannot_be_opened_is_named_with_the_cause(tmp_path):
    with pytest.raises(ArchiveError, match=rf"^{tmp_path} cannot be read as a zip .*Is a directory.*MTD_ARCHIVE"):
        read_members(tmp_path)


@pytest.fixture(scope="module")
def small_zips(tmp_path_factory):
    """A zip of each compression, to be damaged."""
    folder = tmp_path_factory.mktemp("zips")
    members = {"MT_Free/Imgs/1.jpg": bytes(range(256)) + b"x" * 300, "MT_Free/Imgs/ü.png": b"y" * 100}
    return [
        write_zip(folder / f"{compression}.zip", members, compression=compression)
        for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    ]


@unhurried
@given(which=st.integers(0, 3), bytes_at=st.dictionaries(st.floats(0, 1, exclude_max=True), st.integers(0, 255)))
def test_whatever_bytes_are_damaged_a_zip_is_read_or_refused(small_zips, which, bytes_at):
    content = bytearray(small_zips[which].read_bytes())
    for place, byte in bytes_at.items():
        content[int(place * len(content))] = byte
    damaged = small_zips[which].with_suffix(".damaged")
    damaged.write_bytes(content)
    with contextlib.suppress(ArchiveError):
        read_members(damaged)

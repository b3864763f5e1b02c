"""How the archive comes to the pipeline: a local copy, a download that is cut, a zip that nobody vouches for."""

import contextlib
import struct
import threading
import zipfile
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_data import sample_members, unhurried, write_zip

from training.dataset.archive import ATTEMPTS, ENVIRONMENT_VARIABLE, download, find_archive, read_members
from training.errors import ArchiveError

CONTENT = bytes(range(256)) * 8192  # 2 MiB: several reads of the client
CUT = 700_001  # bytes of a body, after which the line is cut


class Source(BaseHTTPRequestHandler):
    """Serves the server's `content` as its other attributes say and counts what it has sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        source = self.server
        source.ranges_asked.append(self.headers.get("Range"))
        if source.failures:
            self.send_error(source.failures.pop(0))
            return
        first = self.first_byte()
        if first > len(source.content) - 1:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        body = source.content[first:]
        self.send_response(HTTPStatus.PARTIAL_CONTENT if first else HTTPStatus.OK)
        if source.etag:
            self.send_header("ETag", source.etag)
        self.send_header("Connection", "close")
        sent = body[: source.cuts.pop(0)] if source.cuts else body
        source.bytes_sent += len(sent)
        if source.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(body) + sent + (b"\r\n0\r\n\r\n" if sent == body else b""))
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(sent)

    def first_byte(self):
        fresh = self.headers.get("If-Range") in (None, self.server.etag)
        if not (self.server.honours_ranges and fresh and "Range" in self.headers):
            return 0
        return int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *_):
        pass


@pytest.fixture
def source():
    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        server.url = f"http://127.0.0.1:{server.server_port}/archive.zip"
        server.content, server.etag, server.honours_ranges, server.chunked = CONTENT, '"one"', True, False
        server.cuts, server.failures = [], []  # what still goes wrong, one request each: bytes sent, status answered
        server.ranges_asked, server.bytes_sent = [], 0
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_local_copy_named_by_the_environment_is_taken_and_nothing_downloaded(tmp_path, monkeypatch, source):
    local = write_zip(tmp_path / "mine.zip", {})
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(local))
    assert local == find_archive(source.url, tmp_path / "download")
    assert [] == source.ranges_asked


def test_a_local_copy_that_is_not_there_names_the_variable_and_the_path(tmp_path, monkeypatch, source):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "mine.zip"))
    with pytest.raises(ArchiveError, match=rf"MTD_ARCHIVE={tmp_path}/mine\.zip: there is no such file"):
        find_archive(source.url, tmp_path / "download")
    assert [] == source.ranges_asked


def test_without_a_local_copy_the_archive_is_downloaded_once_and_kept(tmp_path, monkeypatch, source):
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    for _ in range(2):
        assert CONTENT == find_archive(source.url, tmp_path / "new" / "download").read_bytes()
    assert [None] == source.ranges_asked
    assert 1 == len(list((tmp_path / "new" / "download").iterdir()))


def test_the_download_of_another_address_is_not_taken_for_this_ones(tmp_path, source):
    first = download(source.url, tmp_path)
    assert first != download(f"{source.url}?other", tmp_path)
    assert [None, None] == source.ranges_asked


def test_a_cut_download_goes_on_where_it_stopped(tmp_path, source):
    source.cuts = [CUT, CUT]
    assert CONTENT == download(source.url, tmp_path).read_bytes()
    assert [None, f"bytes={CUT}-", f"bytes={2 * CUT}-"] == source.ranges_asked
    assert len(CONTENT) == source.bytes_sent


def test_a_download_that_was_given_up_goes_on_in_the_next_run(tmp_path, source):
    source.cuts = [CUT] + [0] * (ATTEMPTS - 1)
    with pytest.raises(ArchiveError):
        download(source.url, tmp_path)
    assert CONTENT == download(source.url, tmp_path).read_bytes()
    assert len(CONTENT) == source.bytes_sent


def test_a_server_without_ranges_makes_it_start_over(tmp_path, source):
    source.cuts, source.honours_ranges = [CUT], False
    assert CONTENT == download(source.url, tmp_path).read_bytes()
    assert CUT + len(CONTENT) == source.bytes_sent


def test_a_server_without_an_etag_is_not_asked_for_a_range(tmp_path, source):
    source.cuts, source.etag = [CUT], None
    assert CONTENT == download(source.url, tmp_path).read_bytes()
    assert [None, None] == source.ranges_asked


def test_a_chunked_answer_that_breaks_off_is_not_taken_for_the_whole(tmp_path, source):
    source.cuts, source.chunked, source.honours_ranges = [CUT], True, False
    assert CONTENT == download(source.url, tmp_path).read_bytes()
    assert 2 == len(source.ranges_asked)


def test_a_file_that_changed_since_the_cut_is_downloaded_anew(tmp_path, source):
    source.cuts = [CUT] + [0] * (ATTEMPTS - 1)
    with pytest.raises(ArchiveError):
        download(source.url, tmp_path)
    source.content, source.etag = CONTENT[::-1], '"two"'
    assert CONTENT[::-1] == download(source.url, tmp_path).read_bytes()
    assert f"bytes={CUT}-" == source.ranges_asked[-1]


def test_a_passing_failure_of_the_server_is_tried_again(tmp_path, source):
    source.failures = [503, 500]
    assert CONTENT == download(source.url, tmp_path).read_bytes()


def test_repeated_cuts_end_with_the_mend_and_leave_no_archive(tmp_path, source):
    source.cuts = [1000] * ATTEMPTS
    with pytest.raises(ArchiveError, match=r"can't be downloaded .*the network.*MTD_ARCHIVE") as refusal:
        download(source.url, tmp_path)
    assert source.url in str(refusal.value)
    assert ATTEMPTS == len(source.ranges_asked)
    assert not (tmp_path / "archive.zip").exists()


def test_an_address_without_the_archive_fails_at_once(tmp_path, source):
    source.failures = [404] * ATTEMPTS
    with pytest.raises(ArchiveError, match=r"404.*MTD_ARCHIVE"):
        download(source.url, tmp_path)
    assert 1 == len(source.ranges_asked)
    assert [] == list(tmp_path.iterdir())


def test_a_server_that_is_not_there_ends_with_the_mend(tmp_path):
    with pytest.raises(ArchiveError, match=r"refused.*MTD_ARCHIVE"):
        download("http://127.0.0.1:1/archive.zip", tmp_path)


@pytest.mark.parametrize(
    "url",
    ["", "not a url", "htp:/x", "http://", "http://[::1", "http://a..b/x", "http://h:port/x", "http://127.0.0.1/ü"],
)
def test_a_malformed_address_names_the_key_and_the_way_without_one(tmp_path, url):
    with pytest.raises(ArchiveError) as refusal:
        download(url, tmp_path)
    assert str(refusal.value).startswith(f"{url!r} can't be downloaded (")
    assert "check data_load.url in params.yaml" in str(refusal.value)
    assert "name the file in MTD_ARCHIVE" in str(refusal.value)
    assert [] == list(tmp_path.iterdir())


def test_a_folder_that_cant_be_made_is_named_with_the_way_without_one(tmp_path, source):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"Not a directory: .*/file/download'.*the disk.*MTD_ARCHIVE"):
        download(source.url, tmp_path / "file" / "download")


def test_bytes_that_no_etag_names_are_never_joined_to_others(tmp_path, source):
    source.cuts = [CUT] + [0] * (ATTEMPTS - 1)
    with pytest.raises(ArchiveError):
        download(source.url, tmp_path)
    source.content, source.etag, source.cuts = CONTENT[::-1], None, [CUT] * ATTEMPTS
    with pytest.raises(ArchiveError):
        download(source.url, tmp_path)
    source.content, source.etag = CONTENT, '"one"'
    assert CONTENT == download(source.url, tmp_path).read_bytes()


def test_a_part_that_was_whole_already_is_downloaded_anew(tmp_path, source):
    (tmp_path / "archive.zip.part").write_bytes(CONTENT)
    (tmp_path / "archive.zip.etag").write_text(source.etag)
    assert CONTENT == download(source.url, tmp_path).read_bytes()


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
    assert str(refusal.value).endswith(f"refused, members leave the folder: {name}")


def test_a_file_that_is_no_zip_says_so(tmp_path):
    path = tmp_path / "a.zip"
    path.write_text("<html>Sign in to the network</html>")
    with pytest.raises(ArchiveError, match=r"a\.zip can't be read as a zip .*delete it and run again"):
        read_members(path)


def test_a_zip_that_breaks_off_says_so(tmp_path):
    path = write_zip(tmp_path / "a.zip", sample_members("Crack"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ArchiveError, match=r"a\.zip can't be read as a zip"):
        read_members(path)


def test_a_stored_member_with_a_changed_byte_says_so(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"MT_Free/Imgs/1.jpg": b"x" * 1000})
    path.write_bytes(path.read_bytes().replace(b"xxxxx", b"xxyxx", 1))
    with pytest.raises(ArchiveError, match=r"a\.zip can't be read as a zip .*CRC"):
        read_members(path)


def test_a_compressed_member_with_changed_bytes_says_so(tmp_path):
    path = write_zip(tmp_path / "a.zip", sample_members("Crack"), compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[100:200] = b"\xff" * 100  # in the first member's data
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a\.zip can't be read as a zip"):
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
def test_a_member_that_python_cant_unpack_is_named_with_the_mend(tmp_path, field, cause):
    path = with_header_field(write_zip(tmp_path / "a.zip", {"MT_Free/Imgs/1.jpg": b"x"}, root=""), **field)
    with pytest.raises(ArchiveError) as refusal:
        read_members(path)
    assert str(refusal.value).startswith(f"{path}: MT_Free/Imgs/1.jpg can't be unpacked (")
    assert cause in str(refusal.value)
    assert "zip it again, deflated and without a password, or download it anew" in str(refusal.value)


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
    with pytest.raises(ArchiveError, match=r"a\.zip holds no MT_<type>/Imgs/.*MTD_ARCHIVE.*data_load\.url"):
        read_members(path)


def test_an_archive_that_cant_be_opened_is_named_with_the_cause(tmp_path):
    with pytest.raises(ArchiveError, match=rf"^{tmp_path} can't be read as a zip .*Is a directory.*MTD_ARCHIVE"):
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

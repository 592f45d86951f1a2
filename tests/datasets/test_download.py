"""Downloads from a server on this machine: resumed, restarted, checked, and unpacked with care."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mindvoxel.datasets import download as module
from mindvoxel.datasets.archive import extract
from mindvoxel.datasets.download import TASKS, download, fetch
from mindvoxel.errors import InputError, WorkError

NAME = "Task04_Hippocampus"


def tar_of(members: dict[str, bytes], *extra: tarfile.TarInfo, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return buffer.getvalue()


GOOD = {f"{NAME}/dataset.json": b"{}", f"{NAME}/imagesTr/a.nii.gz": bytes(range(256)) * 300, f"{NAME}/._x": b"mac"}
ARCHIVE = tar_of(GOOD)
MD5 = hashlib.md5(ARCHIVE).hexdigest()


class Server(ThreadingHTTPServer):
    """Sends `content` as told: `breaks` bytes at most an answer, parts only where `ranges`, `status` instead."""

    def __init__(self):
        self.content, self.breaks, self.ranges, self.status, self.length = ARCHIVE, [], True, None, True
        self.asked: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{NAME}.tar"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.status:
            self.send_error(server.status)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
        if start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if wanted and server.ranges else 200)
        if wanted and server.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.breaks.pop(0)] if server.breaks else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0.0)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def files(folder) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


UNPACKED = [f"{NAME}/dataset.json", f"{NAME}/imagesTr/a.nii.gz"]


def test_fetched_checked_unpacked_and_not_fetched_again(server, tmp_path):
    folder = download(4, tmp_path / "new", server.url, MD5.upper())
    assert folder == tmp_path / "new" / NAME
    assert files(tmp_path / "new") == UNPACKED
    assert (folder / "imagesTr" / "a.nii.gz").read_bytes() == GOOD[f"{NAME}/imagesTr/a.nii.gz"]
    assert download(4, tmp_path / "new", server.url, MD5) == folder
    assert server.asked == [None]


def test_a_broken_connection_goes_on_where_it_ended(server, tmp_path):
    server.breaks = [1000, 50_000, 1]
    download(4, tmp_path, server.url, MD5)
    assert server.asked == [None, "bytes=1000-", "bytes=51000-", "bytes=51001-"]
    assert files(tmp_path) == UNPACKED


def test_a_later_call_goes_on_where_the_first_gave_up(server, tmp_path):
    server.breaks = [1000] + [0] * module.ATTEMPTS
    with pytest.raises(WorkError, match=r"fails after 1000 bytes \(of \d+\); run the same command again") as caught:
        download(4, tmp_path, server.url, MD5)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == [f"{NAME}.tar.partial"]
    server.asked.clear()
    download(4, tmp_path, server.url, MD5)
    assert server.asked == ["bytes=1000-"]
    assert files(tmp_path) == UNPACKED


def test_a_server_that_ignores_ranges_starts_again(server, tmp_path):
    server.ranges, server.breaks = False, [1000]
    download(4, tmp_path, server.url, MD5)
    assert files(tmp_path) == UNPACKED


def test_a_server_that_tells_no_length(server, tmp_path):
    server.length = False
    download(4, tmp_path, server.url, MD5)
    assert files(tmp_path) == UNPACKED


@pytest.mark.parametrize("before", [ARCHIVE, ARCHIVE + b"more"], ids=["whole", "too long"])
def test_what_is_whole_is_not_fetched_and_what_is_too_long_is_fetched_anew(server, tmp_path, before):
    (tmp_path / "a").write_bytes(before)
    fetch(server.url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == ARCHIVE
    assert len(server.asked) == (1 if before == ARCHIVE else 2)


def test_a_wrong_sum_is_refused_and_nothing_of_it_stays(server, tmp_path):
    server.content = ARCHIVE[:-1] + b"x"
    with pytest.raises(WorkError, match=rf"what it sent has the md5 sum \w+ where {MD5} is needed"):
        download(4, tmp_path, server.url, MD5)
    assert files(tmp_path) == []


def test_the_published_sum_is_asked_for_where_none_is_given(server, tmp_path):
    with pytest.raises(WorkError, match=TASKS[NAME]):
        download(4, tmp_path, server.url)


def test_a_server_that_refuses_is_asked_once_and_one_in_trouble_some_times(server, tmp_path):
    server.status = 404
    with pytest.raises(InputError, match="the server answers 404 Not Found; is the address right"):
        download(4, tmp_path, server.url, MD5)
    assert len(server.asked) == 1
    server.status = 503
    with pytest.raises(WorkError, match=r"fails after 0 bytes \(HTTP 503"):
        download(4, tmp_path, server.url, MD5)
    assert len(server.asked) == 1 + module.ATTEMPTS


def test_no_server_at_all(server, tmp_path):
    url = server.url
    server.server_close()
    with pytest.raises(WorkError, match="fails after 0 bytes .*run the same command again"):
        download(4, tmp_path, url, MD5)


@pytest.mark.parametrize("source", ["file:///etc/passwd", "ftp://host/a.tar", "http://", "https:///a", "http://a b/c"])
def test_other_addresses_are_refused(tmp_path, source):
    with pytest.raises(InputError, match="neither a file nor an address"):
        download(4, tmp_path, source, MD5)


@pytest.mark.parametrize("source", ["http://host:port/a", "http://[::1/a"])
def test_addresses_that_are_none(tmp_path, source):
    with pytest.raises(InputError, match="http://"):
        download(4, tmp_path, source, MD5)


def test_a_local_archive(tmp_path):
    (tmp_path / "here.tar").write_bytes(ARCHIVE)
    download(4, tmp_path / "out", str(tmp_path / "here.tar"), MD5)
    assert files(tmp_path / "out") == UNPACKED
    assert (tmp_path / "here.tar").is_file()
    with pytest.raises(InputError, match=r"here\.tar: the md5 sum .*--md5"):
        download(3, tmp_path / "out", str(tmp_path / "here.tar"))
    with pytest.raises(InputError, match="no such archive"):
        download(3, tmp_path / "out", str(tmp_path / "none.tar"))
    (tmp_path / "out" / "Task03_Liver").mkdir()
    (tmp_path / "out" / "Task03_Liver" / "notes.txt").touch()
    with pytest.raises(InputError, match="is there without a dataset.json"):
        download(3, tmp_path / "out", str(tmp_path / "here.tar"), MD5)


def test_the_user_s_own_archive_is_taken_and_stays(server, tmp_path):
    (tmp_path / f"{NAME}.tar").write_bytes(ARCHIVE)
    download(4, tmp_path, server.url, MD5)
    assert server.asked == []
    assert files(tmp_path) == [f"{NAME}.tar", *UNPACKED]


def test_an_archive_that_was_fetched_but_not_unpacked_is_not_fetched_again(server, tmp_path):
    (tmp_path / f"{NAME}.tar.partial").write_bytes(ARCHIVE)
    download(4, tmp_path, server.url, MD5)
    assert server.asked == [f"bytes={len(ARCHIVE)}-"]
    assert files(tmp_path) == UNPACKED


def test_every_task_has_a_sum():
    assert [name[4:6] for name in TASKS] == [f"{i:02d}" for i in range(1, 11)]
    assert len({*TASKS.values()}) == 10
    assert all(len(md5) == 32 for md5 in TASKS.values())


# Archives


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


EVIL = {
    "parent": (tar_of({f"{NAME}/dataset.json": b"{}", "../evil": b"x"}), "would land outside"),
    "deep parent": (tar_of({f"{NAME}/a/../../../evil": b"x"}), "would land outside"),
    "absolute": (tar_of({"/tmp/mindvoxel-evil": b"x"}), "would land outside"),
    "windows": (tar_of({"..\\evil": b"x"}), "would land outside"),
    "symlink": (tar_of(GOOD, special(f"{NAME}/l", tarfile.SYMTYPE, "/etc/passwd")), "is a link"),
    "hard link": (tar_of(GOOD, special(f"{NAME}/l", tarfile.LNKTYPE, "/etc/passwd")), "is a link"),
    "device": (tar_of(GOOD, special(f"{NAME}/d", tarfile.CHRTYPE)), "is no plain file"),
    "pipe": (tar_of(GOOD, special(f"{NAME}/p", tarfile.FIFOTYPE)), "is no plain file"),
    "twice": (tar_of(GOOD, special(f"{NAME}/dataset.json", tarfile.REGTYPE)), "is in it twice"),
    "long": (tar_of(GOOD, special("x" * 300, tarfile.REGTYPE)), "longer than a file name"),
    "no tar": (b"hello" * 1000, "not a whole tar archive"),
    "empty": (b"", "not a whole tar archive"),
    "cut": (ARCHIVE[:20_000], "not a whole tar archive"),
    "cut gzip": (tar_of(GOOD, mode="w:gz")[:400], "not a whole tar archive"),
    "nothing in it": (tar_of({}), "no dataset.json in it"),
    "too deep": (tar_of({f"a/b/{NAME}/dataset.json": b"{}"}), "no dataset.json in it"),
}


@pytest.mark.parametrize("what", EVIL)
def test_an_archive_that_is_evil_or_broken_leaves_nothing(tmp_path, what):
    content, part = EVIL[what]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tar").write_bytes(content)
    with pytest.raises(InputError, match=part) as caught:
        extract(tmp_path / "in" / "a.tar", tmp_path / "in" / "out")
    assert "a.tar" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == ["in/a.tar"]
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["a.tar"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_an_archive_with_its_files_at_the_root_or_one_folder_down(tmp_path, mode):
    for i, folder in enumerate(["", "any/", "./x/"]):
        members = {f"{folder}dataset.json": b"{}", f"{folder}imagesTr/a": b"voxels", f"{folder}.DS_Store": b"mac"}
        members[f"{folder}.archive/a"] = b"hidden"
        (tmp_path / "a.tar").write_bytes(tar_of(members, mode=mode))
        extract(tmp_path / "a.tar", tmp_path / str(i))
        assert files(tmp_path / str(i)) == ["dataset.json", "imagesTr/a"]
        assert (tmp_path / str(i) / "imagesTr" / "a").read_bytes() == b"voxels"

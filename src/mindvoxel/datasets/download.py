"""The ten archives of the Medical Segmentation Decathlon (Antonelli et al. 2022): fetched, checked, unpacked.

Addresses and md5 sums are those of the public copy that MONAI 1.6 names.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from mindvoxel.datasets.archive import extract
from mindvoxel.errors import InputError, WorkError, naming
from mindvoxel.log import LOGGER, progress

ADDRESS = "https://msd-for-monai.s3-us-west-2.amazonaws.com/{}.tar"
TASKS = {
    "Task01_BrainTumour": "240a19d752f0d9e9101544901065d872",
    "Task02_Heart": "06ee59366e1e5124267b774dbd654057",
    "Task03_Liver": "a90ec6c4aa7f6a3d087205e23d4e6397",
    "Task04_Hippocampus": "9d24dba78a72977dbd1d2e110310f31b",
    "Task05_Prostate": "35138f08b1efaef89d7424d2bcc928db",
    "Task06_Lung": "8afd997733c7fc0432f71255ba4e52dc",
    "Task07_Pancreas": "4f7080cfca169fa8066d17ce6eb061e4",
    "Task08_HepaticVessel": "641d79e80ec66453921d997fbf12a29c",
    "Task09_Spleen": "410d4a301da4e5b2f6f86ec3ddba524e",
    "Task10_Colon": "bad7a188931dc2f6acf72b08eb6202d0",
}
ATTEMPTS = 5  # in a row that bring nothing
WAIT_S = 2.0  # before the second attempt; doubled before each further one
TIMEOUT_S = 60.0
_CHUNK = 1 << 20


class _Broken(Exception):
    """The connection ended before the file did."""


def download(number: int, output: str | Path, source: str | None = None, md5: str | None = None) -> Path:
    """Fetch task `number` (1 to 10) and unpack it to output/TaskNN_NAME, which is returned.

    source: another address, or the archive on this machine.  md5: of that archive, where it is not the published one.
    What was fetched of an archive stays beside as TaskNN_NAME.tar.partial, and a further call goes on from there; a
    whole TaskNN_NAME.tar that is there already is taken, and stays.
    Raises InputError for a source that cannot be used, WorkError where the network fails or the sum is wrong.
    """
    name = next(name for name in TASKS if name.startswith(f"Task{number:02d}_"))
    folder = Path(output) / name
    if (folder / "dataset.json").is_file():
        LOGGER.info("%s: already there, nothing to do", folder)
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there without a dataset.json; remove it, or name another folder")
    source, md5 = source or ADDRESS.format(name), (md5 or TASKS[name]).lower()
    if "://" not in source:
        archive = Path(source)
        if not archive.is_file():
            raise InputError(f"{archive}: no such archive; name a tar file, or an address with https://")
        _require_md5(archive, md5)
        extract(archive, folder)
        return folder
    if not re.fullmatch(r"https?://[^/\s\\]+/\S*", source):
        raise InputError(f"{source}: neither a file nor an address with https:// or http://; name one of these")
    Path(output).mkdir(parents=True, exist_ok=True)
    archive = Path(output) / f"{name}.tar"
    if archive.is_file():
        _require_md5(archive, md5)
        extract(archive, folder)
        return folder
    partial = archive.with_name(f"{archive.name}.partial")
    fetch(source, partial)
    try:
        _require_md5(partial, md5)
    except InputError as error:
        partial.unlink()  # no further call could mend it
        raise WorkError(f"{source}: what it sent has {str(error).partition(': ')[2]}") from error
    extract(partial, folder)
    partial.unlink()
    return folder


def _require_md5(archive: Path, md5: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with archive.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != md5:
        raise InputError(
            f"{archive}: the md5 sum {digest.hexdigest()} where {md5} is needed; get the archive anew, or give --md5 "
            "if another one is meant"
        )


def fetch(url: str, path: Path) -> None:
    """Fetch `url` to `path`, from where an earlier attempt ended, with a few attempts of its own.

    A server that cannot send parts starts again from the first byte. Raises InputError where the server refuses,
    WorkError where attempts in a row bring nothing.
    """
    failed = 0
    while True:
        before = path.stat().st_size if path.exists() else 0
        try:
            return _fetch_rest(url, path, before)
        except _Broken as error:
            now = path.stat().st_size if path.exists() else 0
            failed = 0 if now > before else failed + 1
            if failed >= ATTEMPTS:
                raise WorkError(
                    f"{url}: the connection fails after {now} bytes ({error}); run the same command again, it goes on "
                    "from there"
                ) from error
            time.sleep(WAIT_S * 2**failed)


def _fetch_rest(url: str, path: Path, start: int) -> None:
    """One attempt, from byte `start` on; raises _Broken where it ends early."""
    response = _open(url, path, start)
    if response is None:
        return
    with response:
        if response.status != 206:
            start = 0  # all of it, whatever was asked for
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _Broken("the server sends another part than was asked for")
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        with naming(path), path.open("ab" if start else "wb") as file:
            bar = progress(total=total, initial=start, what=path.name.partition(".")[0], unit="B")
            bar.unit_scale = True
            with bar:
                for chunk in _chunks(response):
                    file.write(chunk)
                    bar.update(len(chunk))
    if total is not None and path.stat().st_size < total:
        raise _Broken(f"of {total}")


def _open(url: str, path: Path, start: int) -> HTTPResponse | None:
    """The answer to a request from byte `start` on; None where that is the end of the file."""
    headers = {"User-Agent": "mindvoxel"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        return urlopen(Request(url, headers=headers), timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{start}":
            return None
        if error.code == 416:  # more than the server has: of another file
            path.unlink()
            raise _Broken("what was there is longer than the file") from error
        if error.code >= 500 or error.code in (408, 429):
            raise _Broken(f"HTTP {error.code} {error.reason}") from error
        raise InputError(f"{url}: the server answers {error.code} {error.reason}; is the address right?") from error
    except (InvalidURL, ValueError) as error:
        raise InputError(f"{url}: not an address ({error}); mend it") from error
    except (HTTPException, OSError) as error:  # URLError is an OSError
        raise _Broken(str(getattr(error, "reason", error))) from error


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """What the server sends; its failures alone become _Broken, a full disk does not."""
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (HTTPException, OSError) as error:
            raise _Broken(str(error) or type(error).__name__) from error
        if not chunk:
            return
        yield chunk

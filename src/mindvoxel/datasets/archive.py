"""Unpacks an archive of a data set from a stranger: plain files below one folder, nothing else."""

import gzip
import lzma
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from mindvoxel.errors import InputError, naming
from mindvoxel.files import replacing_folder


def extract(archive: Path, folder: Path) -> None:
    """Unpack the tar `archive` (compressed or not) to the new `folder`, which appears when all of it is there.

    The folder is the one that holds dataset.json, at the root of the archive or one level down. Hidden files are left
    out. Raises InputError where a member is a link or a device, would land outside, comes twice, or the archive is
    damaged or holds no dataset.json.
    """
    with replacing_folder(folder) as partial:
        whole = partial / ".archive"  # hidden files are left out, so that none has this name
        whole.mkdir()
        _unpack(archive, whole)
        inner = [path for path in (whole, *sorted(whole.iterdir())) if (path / "dataset.json").is_file()]
        if not inner:
            raise InputError(f"{archive}: no dataset.json in it, at its root or one folder down; take the MSD archive")
        for path in sorted(inner[0].iterdir()):
            path.rename(partial / path.name)
        shutil.rmtree(whole)


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _check(archive, member)
                pure = PurePosixPath(member.name)
                if member.isdir() or any(part.startswith(".") for part in pure.parts):
                    continue
                path = folder / pure
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists():
                    raise InputError(f"{archive}: {member.name!r} is in it twice; get the archive anew")
                with tar.extractfile(member) as source, naming(path), path.open("xb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{archive}: not a whole tar archive ({reason}); get it anew") from error


def _check(archive: Path, member: tarfile.TarInfo) -> None:
    """Raise InputError for all but plain files and folders with a path that stays below where it starts."""
    pure = PurePosixPath(member.name)
    kind = "a link" if member.islnk() or member.issym() else "no plain file"
    if not (member.isdir() or member.isfile()) or member.issparse():
        raise InputError(f"{archive}: {member.name!r} in it is {kind}; a data set needs files and folders alone")
    if pure.is_absolute() or ".." in pure.parts or "\\" in member.name or ":" in member.name:
        raise InputError(f"{archive}: {member.name!r} in it would land outside of its folder; do not trust the archive")
    if any(len(os.fsencode(part)) > 255 for part in pure.parts):
        raise InputError(f"{archive}: {member.name[:40]}… in it is longer than a file name can be; get it anew")

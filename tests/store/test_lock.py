import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nestvec.core.errors import InputError, LockedError, StoreError
from nestvec.store import Store

HOLD = """
import sys
from nestvec.store import Store
store = Store.open(sys.argv[1], write=True)
print("held", flush=True)
input()
"""

WITHOUT_RIGHTS = """
import os, sys
from pathlib import Path
from nestvec.core.errors import DiskError
from nestvec.store import Store
path = Path(sys.argv[1])
os.setgroups([])
os.setgid(65_534)
os.setuid(65_534)
with Store.open(path) as reader, reader.read() as snapshot:
    print(len(snapshot), "rows and", reader.get_derived("x")[0])
for change in (
    lambda: Store.open(path, write=True),
    lambda: Store.create(path.parent / "other", settings={"arrays": {}}),
):
    try:
        change()
    except DiskError as error:
        print("permission was denied" if "permission was denied" in str(error) else error)
"""


@pytest.fixture
def holder(path, store):
    store.close()
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.communicate()


def test_a_second_writer_in_this_process_is_refused(path, store):
    with pytest.raises(LockedError, match=f"process {os.getpid()} is writing"):
        Store.open(path, write=True)
    store.close()
    Store.open(path, write=True).close()


def test_a_second_writer_beside_another_process_is_refused_until_that_dies(path, holder):
    with pytest.raises(LockedError, match=f"process {holder.pid} is writing"):
        Store.open(path, write=True)
    with Store.open(path) as reader, reader.read() as snapshot:  # readers are not
        assert len(snapshot) == 0
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    Store.open(path, write=True).close()


def test_a_second_process_is_refused_beside_a_writer_here(path, store):
    run = subprocess.run([sys.executable, "-c", HOLD, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"LockedError: {path} must have one writer at a time, and process {os.getpid()}" in run.stderr


def test_readers_do_not_write(path, store, put):
    put("a")
    with Store.open(path) as reader:
        for change in (
            lambda: reader.commit(remove=["a"]),
            reader.compact,
            lambda: reader.put_derived("x", b"", {}),
            lambda: reader.drop_derived("x"),
        ):
            with pytest.raises(StoreError, match="was opened for reading; open it with write=True"):
                change()


def test_a_closed_store_says_so(path, store):
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed; open it"):
        store.commit()
    with pytest.raises(StoreError, match="is closed; open it again"), store.read():
        pass


def test_an_older_version_is_not_written_to(path, store):
    with pytest.raises(InputError, match="only the newest version can be written to"):
        Store.open(path, write=True, version=1)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become a user without rights"
)
def test_a_folder_that_may_only_be_read(store, put):
    with tempfile.TemporaryDirectory() as folder:  # one that other users can reach
        path = Path(folder) / "c"
        with Store.create(path, settings={"arrays": {"dense": 4}}) as made:
            made.put_derived("x", b"data", {})
        for file in [Path(folder), *Path(folder).rglob("*")]:
            file.chmod(0o555 if file.is_dir() else 0o444)
        run = subprocess.run(
            [sys.executable, "-c", WITHOUT_RIGHTS, str(path)], capture_output=True, text=True, check=False
        )
    assert run.stdout.splitlines() == ["0 rows and b'data'", *["permission was denied"] * 2], run.stderr

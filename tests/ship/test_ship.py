"""ship: the manifest by hand, both ways there, going on from half, flipped bytes, the refusals."""

import csv
import gzip
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared import manifest as manifests
from shared.errors import StageError
from shared.runs import record as records
from shared.tools.ship import destination, image_archive, packing
from tests.ship.shipment import FILES, IMAGE, NAME, NUMBER, Image, manifest, ship

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = "export-abababababab.tar.gz"


def install(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """install.py of a shipment, as people run it there."""
    line = [sys.executable, str(folder / "install.py"), *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def flip(path: Path, place: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


# Both ways there.


@pytest.mark.parametrize("dest", ['user@metis:it\'s a $(touch hurt); `touch` "dir"', "{}/dir, too"])
def test_everything_arrives_and_is_checked_there(
    home: Path, dest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    ship(home, dest.format(home))
    (folder,) = [path for path in home.iterdir() if path.is_dir()]
    assert folder.name == dest.rpartition(":" if ":" in dest else "/")[2]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [ARCHIVE, NAME, "README.md", "install.py", "manifest.py", "receive.py"]
    )
    assert gzip.decompress((folder / ARCHIVE).read_bytes()) == IMAGE
    for name, content in FILES.items():
        assert (folder / NAME / name).read_bytes() == content
    assert not (home / "hurt").exists()
    load, inspect, run = (home / "docker.log").read_text().splitlines()
    assert load == f"load --input {folder / ARCHIVE}"
    assert inspect == f"image inspect {NUMBER}"
    (source,) = [word for word in mounted(run) if word.startswith("src=")]
    assert source == f"src={folder / NAME}"
    assert "--pull=never" in run.split()  # nobody owns the name in a public registry
    assert run.endswith(f"--entrypoint=python {NUMBER} -m stages.export.check --bundle /bundle")
    heard = capfd.readouterr()
    assert heard.out.endswith("accuracy 75.00 %\n")
    size = (folder / ARCHIVE).stat().st_size
    assert f"{size / 1e6:.0f} MB, 3 MB uncompressed" in heard.err


def mounted(line: str) -> list[str]:
    """Fields of the bundle's mount in a line of the engine's log, as the engine reads them: CSV."""
    text = line.partition("--mount=")[2].partition(" --entrypoint")[0]
    (fields,) = csv.reader([text])
    assert (fields[0], fields[2:]) == ("type=bind", ["dst=/bundle", "readonly"])
    return fields


def test_manifest_by_hand(sent: Path) -> None:
    listing = manifest(sent)
    assert listing["files"] == {n: hashlib.sha256(c).hexdigest() for n, c in FILES.items()}
    image, content = listing["image"], (sent / ARCHIVE).read_bytes()
    assert (image["id"], image["tag"]) == (NUMBER, "lcz42-edge/export:latest")
    assert (image["file"], image["bytes"]) == (ARCHIVE, len(content))
    assert image["sha256"] == hashlib.sha256(content).hexdigest()
    assert not (sent.parent / "docker.log").exists()


def test_what_voyager_says_of_the_sdk_is_sent_along(home: Path, sent: Path) -> None:
    """Its manifest has no image, and is no file of the shipment's."""
    bundle, sdk = home.parent / "bundle", {"profiles": {"1.8": {"least": "1.8.0", "below": "1.9"}}}
    (bundle / "MANIFEST.json").write_bytes(manifests.write(bundle, None, None, sdk))
    ship(home, str(sent), "--noload")
    listing = manifest(sent)
    assert (listing["sdk"], set(listing["files"])) == (sdk, set(FILES))
    assert listing["image"]["id"] == NUMBER
    assert install(sent, "verify").returncode == 0


def test_a_bundle_without_its_image_is_not_loaded(home: Path, sent: Path) -> None:
    """Copied by hand over the one that was sent."""
    bundle = home.parent / "bundle"
    text = manifests.write(bundle, None, None, None)
    (sent / NAME / "MANIFEST.json").write_bytes(text)
    for command in ("verify", "load", "check"):
        done = install(sent, command)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "expected the image that was sent along, found none" in done.stderr


def test_a_damaged_manifest_of_a_bundle_is_not_sent(home: Path) -> None:
    (home.parent / "bundle" / "MANIFEST.json").write_text("{}")
    with pytest.raises(StageError, match="expected a manifest"):
        packing.manifest(home.parent / "bundle", {})


def test_second_time_copies_nothing(
    home: Path, sent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.stat().st_mtime_ns for p in sent.rglob("*.*") if p.suffix != ".py"}
    ship(home, "user@metis:dir", "--noload")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    heard = capsys.readouterr().err
    assert f"{ARCHIVE}: already there" in heard
    assert f"{NAME}: already there" in heard
    assert Image.saved == 0


def test_bundles_lie_beside_each_other(home: Path, sent: Path) -> None:
    (home.parent / "bundle" / f"{NAME}.yaml").rename(home.parent / "bundle" / "other.yaml")
    ship(home, str(sent), "--noload")
    done = install(sent, "verify")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"which are {NAME}, other" in done.stderr
    assert install(sent, "verify", "--bundle", NAME).returncode == 0


def test_a_bundle_is_sent_as_its_record_has_it(home: Path) -> None:
    bundle = home.parent / "bundle"
    output = records.fingerprint(bundle)
    records.save(bundle, {"plan": {"stage": "voyager"}, "output": output})
    assert packing.name_of(bundle) == NAME
    flip(bundle / "model.onnx")
    with pytest.raises(StageError, match="changed since it was made"):
        packing.name_of(bundle)


def test_what_runs_there_reads_nothing_of_what_is_typed_here(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / "x.py").write_text("import sys; print(repr(sys.stdin.read()))")
    (home / "typed").write_text("secret")
    with (home / "typed").open() as typed:
        before = os.dup(0)
        os.dup2(typed.fileno(), 0)
        try:
            destination.parse(str(home)).show("x.py")
        finally:
            os.dup2(before, 0)
            os.close(before)
    assert capfd.readouterr().out == "''\n"


def test_anybody_there_may_read_a_bundle_and_nobody_else_write_it(sent: Path) -> None:
    """The container may run as someone else, whatever the umask was."""
    for path in (sent / NAME, *(sent / NAME).rglob("*")):
        assert oct(path.stat().st_mode & 0o777) == ("0o755" if path.is_dir() else "0o644"), path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("/gone/x", tarfile.REGTYPE), ("../x", tarfile.REGTYPE), ("a/../../x", tarfile.REGTYPE),
        ("folder", tarfile.DIRTYPE), ("link", tarfile.FIFOTYPE),
    ],
)  # fmt: skip
def test_a_bundle_unpacks_nowhere_else(sent: Path, name: str, kind: bytes) -> None:
    with tarfile.open(sent / "other.tar", "w") as tar:
        member = tarfile.TarInfo(name)
        member.type = kind
        tar.addfile(member)
    line = [sys.executable, str(sent / "receive.py"), "unpack", "other"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"other.tar: expected plain files, found {name}" in done.stderr
    assert not (sent / "other").exists()
    assert not (sent / "x").exists()


def test_help_there_says_what_every_word_means(sent: Path) -> None:
    said = " ".join(install(sent, "--help").stdout.split())
    for words in ("of classify and sdk", "which one, when several lie here", "{verify,load,check,"):
        assert words in said


def test_what_a_script_there_says_is_shown_and_its_error_told(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = ["one", "error: first", "two", "error: broken"]
    text = f"import sys; print(*{lines}, sep='\\n', file=sys.stderr); print('out')"
    (home / "x.py").write_text(f"{text}; sys.exit(int(sys.argv[1]))")
    destination.parse(str(home)).show("x.py", "0")
    heard = capfd.readouterr()
    assert (heard.out, heard.err) == ("out\n", "one\ntwo\n")
    with pytest.raises(StageError, match="broken"):
        destination.parse(str(home)).show("x.py", "2")


def test_half_a_bundle_is_none(sent: Path) -> None:
    """What a stopped copy left; any other end of a name is one of a bundle."""
    whole = shutil.copytree(sent / NAME, sent / "x.partial")
    assert install(sent, "verify").returncode == 0
    whole.rename(sent / "x.z")
    assert f"which are {NAME}, x.z" in install(sent, "verify").stderr


@pytest.mark.parametrize("dest", ['user@metis:it\'s a `touch hurt`; "dir"', "-x", ""])
def test_make_hands_on_what_was_typed(dest: str, tmp_path: Path) -> None:
    """And makes nothing first when there is no destination, which the tool tells at once."""
    there = (f"DEST={dest}", "RUNNER=local", "SOURCE=demo", f"D={tmp_path}/none")
    line = ["make", "--dry-run", "ship", *there]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    (said,) = (said for said in done.stdout.splitlines() if "shared.tools.ship.main" in said)
    bundle = f"--bundle={tmp_path}/none/voyager/student-separable"
    assert shlex.split(said)[-2:] == [bundle, f"--dest={dest}"]
    assert ("stages.voyager.main" in done.stdout) == bool(dest)


# Going on.


def test_broken_connection_goes_on_where_it_broke(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUT", "1500000")
    with pytest.raises(SystemExit, match="2"):
        ship(home, "user@metis:dir")
    assert "the connection broke" in error(capsys)
    part = home / "dir" / f"{ARCHIVE}.part"
    assert part.stat().st_size == 1_500_000
    monkeypatch.setenv("CUT", "")
    ship(home, "user@metis:dir")
    assert f"{ARCHIVE}: goes on from byte 1,500,000 of" in capsys.readouterr().err
    assert gzip.decompress((home / "dir" / ARCHIVE).read_bytes()) == IMAGE
    assert Image.saved == 1
    assert not part.exists()


def test_damaged_part_is_copied_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUT", "1500000")
    with pytest.raises(SystemExit, match="2"):
        ship(home, "user@metis:dir")
    flip(home / "dir" / f"{ARCHIVE}.part", 700_000)
    monkeypatch.setenv("CUT", "")
    ship(home, "user@metis:dir")
    assert "of another file or damaged, copied again" in capsys.readouterr().err
    assert gzip.decompress((home / "dir" / ARCHIVE).read_bytes()) == IMAGE


def test_killed_receiver_keeps_what_came(sent: Path, tmp_path: Path) -> None:
    folder, sha256 = sent, hashlib.sha256(IMAGE).hexdigest()
    line = [sys.executable, str(folder / "receive.py"), "take", "x", str(len(IMAGE)), sha256, "0"]
    with subprocess.Popen(line, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(IMAGE[: 2**21])
        process.stdin.flush()
        while not (folder / "x.part").exists() or not (folder / "x.part").stat().st_size:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    have = (folder / "x.part").read_bytes()
    assert not (folder / "x").exists()
    assert have == IMAGE[: len(have)]
    (tmp_path / "x").write_bytes(IMAGE)
    destination.parse(str(folder)).send(tmp_path / "x", "x")
    assert (folder / "x").read_bytes() == IMAGE


def test_stopped_unpacking_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = destination.Destination.ask

    def stop(there: destination.Destination, name: str, *words: str) -> object:
        if words[0] == "unpack":
            raise KeyboardInterrupt(143)
        return ask(there, name, *words)

    monkeypatch.setattr(destination.Destination, "ask", stop)
    with pytest.raises(SystemExit, match="143"):
        ship(home, f"{home}/dir", "--noload")
    assert (home / "dir" / f"{NAME}.tar").exists()
    monkeypatch.undo()
    monkeypatch.setattr(
        image_archive, "save", lambda *_: (home.parent / "spool" / ARCHIVE, facts(home))
    )
    ship(home, f"{home}/dir", "--noload")
    assert install(home / "dir", "verify").returncode == 0
    assert not (home / "dir" / f"{NAME}.tar").exists()


def facts(home: Path) -> dict[str, object]:
    return json.loads((home.parent / "spool" / f"{ARCHIVE}.json").read_text())


# Flipped bytes.


FLIPPED = [*((command, name) for command in ("verify", "load", "check") for name in FILES)]
FLIPPED += [(command, f"../{ARCHIVE}") for command in ("verify", "load")]


@pytest.mark.parametrize(("command", "name"), FLIPPED)
def test_flipped_byte_is_refused_by_name(sent: Path, command: str, name: str) -> None:
    flip(sent / NAME / name)
    done = install(sent, command)
    assert done.returncode == 2
    assert Path(name).name in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (sent.parent / "docker.log").exists()  # not loaded, not run


@pytest.mark.parametrize("name", ["model.onnx", "MANIFEST.json", f"../{ARCHIVE}"])
def test_flipped_byte_is_mended_by_the_next_shipment(home: Path, sent: Path, name: str) -> None:
    flip(sent / NAME / name)
    ship(home, str(sent), "--noload")
    assert install(sent, "verify").returncode == 0


def test_byte_flipped_on_the_way_is_refused(sent: Path) -> None:
    there, expected = destination.parse(str(sent)), hashlib.sha256(IMAGE).hexdigest()
    line = there.script("receive.py", "take", "x", str(len(IMAGE)), expected, "0")
    done = subprocess.run(line, input=IMAGE[:-1] + b"?", capture_output=True, check=False)
    assert done.returncode == 2
    assert b"dir/x: expected SHA-256" in done.stderr
    assert not list(sent.glob("x*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / NAME / "val" / "extra.png").write_text("x"), "extra.png: not in the man"),
        (lambda f: (f / NAME / "model.onnx").unlink(), "model.onnx: missing"),
        (lambda f: (f / NAME / "MANIFEST.json").write_text("{}"), "expected a manifest"),
        (lambda f: flip(f / NAME / "MANIFEST.json", -60), "expected a manifest"),
        (lambda f: flip(f / NAME / "MANIFEST.json", 400), "expected a manifest"),
        (lambda f: (f / ARCHIVE).unlink(), f"{ARCHIVE}: expected a file of SHA-256"),
        (lambda f: shutil.rmtree(f / NAME), "which are none"),
    ],
)
def test_what_is_not_as_sent_is_refused(
    sent: Path, change: Callable[[Path], object], message: str
) -> None:
    change(sent)
    done = install(sent, "load")
    assert done.returncode == 2
    assert message in done.stderr


# On the host with the accelerator.


def tree(folder: Path) -> Path:
    (folder / "sdk" / "ax_models").mkdir(parents=True)
    (folder / "sdk" / "deploy.py").touch()
    return folder / "sdk"


def test_installs_into_an_sdk_tree_once(sent: Path) -> None:
    sdk = tree(sent.parent)
    done = install(sent, "sdk", str(sdk))
    copy = sdk / "customers" / NAME
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{copy}: ")
    assert not any(path.is_symlink() for path in (copy, *copy.rglob("*")))
    assert (copy / "model.onnx").read_bytes() == b"network"
    assert sorted(p.name for p in sdk.iterdir()) == ["ax_models", "customers", "deploy.py"]
    assert install(sent, "sdk", str(sdk)).returncode == 0
    (copy / "model.onnx").write_bytes(b"other")
    done = install(sent, "sdk", str(sdk))
    assert done.returncode == 2
    assert "there is another one" in done.stderr
    assert (copy / "model.onnx").read_bytes() == b"other"


def test_folder_that_is_no_sdk_is_refused(sent: Path) -> None:
    done = install(sent, "sdk", str(sent.parent))
    assert done.returncode == 2
    assert "expected a Voyager SDK, found no deploy.py, ax_models" in done.stderr
    assert not (sent.parent / "customers").exists()


def test_classifies_a_folder_of_pictures(sent: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    done = install(sent, "classify", str(tmp_path / "pictures"), str(tmp_path / "o.csv"))
    assert done.returncode == 0, done.stderr
    line = (sent.parent / "docker.log").read_text().splitlines()[-1]
    assert f'"src={tmp_path / "pictures"}",dst=/images,readonly' in line
    assert f'"src={tmp_path}",dst=/out' in line
    assert line.endswith("--bundle /bundle --images /images --dst /out/o.csv")


# Refusals.


@pytest.mark.parametrize(
    ("dest", "host", "folder"),
    [
        ("user@metis:dir/", "user@metis", "dir"),
        ("metis:~/a b", "metis", "a b"),
        ("metis:-x", "metis", "./-x"),
        ("metis:/", "metis", "/"),
        ("metis:~", "metis", "."),
        ("metis:~/", "metis", "."),
        ("metis:~//etc", "metis", "etc"),
        ("~/a", None, str(Path.home() / "a")),
        ("/a/b:c", None, "/a/b:c"),
    ],
)
def test_destination(dest: str, host: str | None, folder: str) -> None:
    assert destination.parse(dest) == destination.Destination(host, folder)


@pytest.mark.parametrize(
    ("dest", "flag", "message"),
    [
        ("", "", "--dest: expected user@host:dir or a folder, found ''"),
        ("metis:", "", "expected user@host:dir or a folder"),
        ("-oProxyCommand=touch x:dir", "", "expected user@host:dir or a folder"),
        ("other@host:dir", "", "the connection broke"),
        ("{}/dir", "--image=lcz42-edge/none", "no image lcz42-edge/none:latest in the engine"),
        ("{}/dir", "--bundle=none", "--bundle: given twice"),
        ("{}/dir", "--lod", "--lod: no such flag; did you mean --load?"),
        ("{}/ssh/dir", "", "ssh"),
    ],
)
def test_refuses(
    home: Path, capsys: pytest.CaptureFixture[str], dest: str, flag: str, message: str
) -> None:
    (home / "ssh").touch()  # a file where a folder is wanted
    with pytest.raises(SystemExit, match="2"):
        ship(home, dest.format(home), *filter(None, [flag]))
    said = error(capsys)
    assert said.startswith("error: ")
    assert message in said
    assert [path.name for path in home.iterdir()] == ["ssh"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: shutil.rmtree(b), "no such folder"),
        (lambda b: (b / "b.yaml").touch(), "expected one YAML, found ['b', 'lcz42-tiny']"),
        (lambda b: (b / "l").symlink_to("model.onnx"), "found a link"),
        (lambda b: record(b), "changed since it was made"),
    ],
)
def test_refuses_what_is_no_bundle(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], object],
    message: str,
) -> None:
    change(home.parent / "bundle")
    with pytest.raises(SystemExit, match="2"):
        ship(home, f"{home}/dir")
    assert message in error(capsys)
    assert not (home / "dir").exists()


def record(bundle: Path) -> None:
    """The record of another product."""
    output = {"sha256": "0" * 64, "bytes": 1}
    bundle.with_name("bundle.run.json").write_text(json.dumps({"plan": {}, "output": output}))


def test_without_an_engine_is_one_line(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).write_bytes(content)
    line = [sys.executable, "-m", "shared.tools.ship.main", f"--bundle={tmp_path / 'b'}"]
    done = subprocess.run(
        [*line, f"--dest={tmp_path / 'd'}", f"--spool={tmp_path / 's'}"],
        cwd=ROOT, env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith("error: no container engine answers: start one")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


def test_interrupted_save_is_done_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = Image.save, []

    def stop(image: Image, chunk_size: int, named: str) -> object:
        calls.append(named)
        chunks = whole(image, chunk_size, named)
        yield next(chunks)
        if len(calls) == 1:
            raise KeyboardInterrupt(130)
        yield from chunks

    monkeypatch.setattr(Image, "save", stop)
    with pytest.raises(SystemExit, match="130"):
        ship(home, f"{home}/dir", "--noload")
    assert not (home.parent / "spool" / ARCHIVE).exists()
    ship(home, f"{home}/dir", "--noload")
    assert gzip.decompress((home / "dir" / ARCHIVE).read_bytes()) == IMAGE
    old = home.parent / "spool" / "export-0123456789ab.tar.gz"
    old.touch()
    flip(home.parent / "spool" / ARCHIVE)  # a damaged one is saved anew
    ship(home, f"{home}/dir", "--noload")
    assert len(calls) == 3
    assert gzip.decompress((home.parent / "spool" / ARCHIVE).read_bytes()) == IMAGE
    assert not old.exists()  # of an image that is no longer sent: it would only take room

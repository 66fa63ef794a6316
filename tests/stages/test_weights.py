"""weights: lists, mirrors, downloads that go on, what is refused and what is kept."""

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from shared import cli, lcz, models, published
from shared.errors import StageError
from shared.runs import record
from shared.sr import methods
from shared.weight_files import reader
from stages.weights import hosts, published_files, transfer
from stages.weights import main as stage
from tests import keras_files
from tests.torch_files import flat, mapping
from tests.torch_files import write as write_torch

NAME = "net_x2.pth"
CONTENT = np.random.default_rng(0).bytes(1_000_003)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT under NAME, as well or as badly as its fields say."""

    content = CONTENT
    ranges = True
    etag = '"one"'
    kind = "application/octet-stream"
    length = True
    shift = 0  # bytes by which a range begins too late
    says = True  # whether an answer from the middle says where it begins

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks: list[int] = []  # bytes after which the next answers break off
        self.states: list[int] = []  # status of the next answers, 0 for the file
        self.asked: list[str | None] = []  # Range of every request
        self.leads_to = ""  # address that every request is sent on to

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.leads_to:
            self.send_response(302)
            self.send_header("Location", server.leads_to)
            self.end_headers()
            return
        state = server.states.pop(0) if server.states else 0
        if state or not self.path.endswith("/" + NAME):
            self.send_error(state or 404)
            return
        fresh = self.headers.get("If-Range") in (None, server.etag)
        start = int(wanted[6:-1]) if wanted and server.ranges and fresh else 0
        total = len(server.content)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        start += server.shift if start else 0
        self.send_response(206 if start else 200)
        if start and server.says:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if server.length:
            self.send_header("Content-Length", str(total - start))
        self.send_header("Content-Type", server.kind)
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        stop = server.breaks.pop(0) if server.breaks else total
        self.wfile.write(server.content[start : start + stop])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(transfer, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(transfer, "BLOCK", 1000)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only record there is, with one file, of which everything is known."""
    path = tmp_path / "methods" / "net.toml"
    path.parent.mkdir(parents=True)
    write(path)
    monkeypatch.setattr(methods.load_published, "__defaults__", (tmp_path / "methods",))
    monkeypatch.setattr(published.load_classifiers, "__defaults__", (tmp_path / "none",))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return path


def write(path: Path, size: object = len(CONTENT), sha256: str = DIGEST, name: str = NAME) -> None:
    lines = ['title = "Net"', "order = 1", 'source = "Net 2020"', "variants = [2]"]
    lines += ["[[published]]", f'name = "{name}"', "scales = [2]", 'licence = "MIT"']
    lines += [f"bytes = {size}"] if size != "unknown" else []
    lines += [f'sha256 = "{sha256}"'] if sha256 != "unknown" else []
    path.write_text("\n".join([*lines, f'url = "https://example.org/{name}"']) + "\n")


def command(dst: Path, mirror: object, name: str = NAME) -> bytes:
    """Run the stage as its container does; the bytes of its product."""
    cli.main(stage.run, [f"--name={name}", f"--dst={dst}", f"--mirror={mirror}"])
    return dst.read_bytes()


def refused(dst: Path, mirror: object, capsys: pytest.CaptureFixture[str], name: str = NAME) -> str:
    """The one line of a refused run."""
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(dst, mirror, name)
    return [line for line in capsys.readouterr().err.splitlines() if line][-1]


def folder(tmp_path: Path, content: bytes = CONTENT) -> Path:
    place = tmp_path / "a mirror"
    place.mkdir(exist_ok=True)
    (place / NAME).write_bytes(content)
    return place


# --- lists ----------------------------------------------------------------------------------------
def test_records_of_the_repository_are_whole() -> None:
    known = methods.load_all(methods.FOLDER)
    assert list(known) == ["vdsr", "edsr", "esrgan", "swinir", "bsrnet", "realesrgan"]
    for method in known.values():
        assert set(method.variants) <= {scale for one in method.published for scale in one.scales}
        assert method.train
        assert set(method.variants) <= set(method.train.scales)
    files = methods.load_published(methods.FOLDER)
    assert len(files) == len({file.url or file.page for file in files.values()})
    for file in files.values():
        assert file.url.endswith("/" + file.name) or file.page
        assert len(file.sha256) in (0, 8, 64)
        # Names of torch.hub end in the first digits of the digest.
        tail = re.search(r"-([0-9a-f]{8})\.pth?$", file.name)
        assert tail is None or file.sha256.startswith(tail[1])


def test_variants_are_in_the_order_of_the_pipeline() -> None:
    assert methods.variants() == (
        "vdsr-x2", "vdsr-x3", "edsr-x2", "edsr-x4", "esrgan-x2", "swinir-x2", "bsrnet-x2",
        "realesrgan-x4",
    )  # fmt: skip


def test_facts_that_are_known_from_elsewhere() -> None:
    files = methods.load_published(methods.FOLDER)
    assert files["RealESRGAN_x4plus.pth"].bytes == 67_040_989
    assert files["RealESRGAN_x4plus.pth"].sha256.startswith("4fa0d38905f75ac0")
    assert files["RealESRGAN_x2plus.pth"].sha256.startswith("49fafd45f8fd7aa8")
    assert files["001_classicalSR_DF2K_s64w8_SwinIR-M_x2.pth"].bytes == 67_277_475
    assert files["002_lightweightSR_DIV2K_s64w8_SwinIR-S_x2.pth"].bytes == 17_147_989


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('licence = "MIT"\n', "", "missing 1 required positional argument: 'licence'"),
        (NAME, f"../{NAME}", "name: expected .*found '../"),
        (DIGEST, "abc", "sha256: expected"),
        ("https://", "http://", "url: expected"),
        ("url =", "address =", "unexpected keyword argument 'address'"),
        ("order = 1", "order = ", "not a record of a method"),
        ("[[published]]", '[[published]]\npage = "https://x/y"', "expected either url or page"),
    ],
)
def test_refuses_a_wrong_record(lists: Path, old: str, new: str, message: str) -> None:
    lists.write_text(lists.read_text().replace(old, new))
    with pytest.raises(StageError, match=message):
        methods.parse(lists)


def test_two_records_agree_on_a_file_or_are_refused(lists: Path) -> None:
    other = lists.with_name("other.toml")
    write(other)
    assert list(methods.load_published()) == [NAME]
    write(other, size=1)
    with pytest.raises(StageError, match="another method describes it differently"):
        methods.load_published()


def test_unknown_name_tells_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(tmp_path / "out" / "x.pth", "", capsys, name="x.pth")
    assert line == f"error: --name: expected one of {NAME}, found 'x.pth'"
    assert not (tmp_path / "out").exists()


# --- mirrors --------------------------------------------------------------------------------------
def test_mirror_is_a_folder_a_file_url_or_a_server(server: Server, tmp_path: Path) -> None:
    place = folder(tmp_path)
    mirrors = (place, place.as_uri(), server.url, f"{server.url}/below/")
    for number, mirror in enumerate(mirrors):
        dst = tmp_path / str(number) / NAME
        assert command(dst, mirror) == CONTENT
        made = record.load(dst)
        assert made is not None
        assert made["plan"]["parameters"] == {"name": NAME, "key": "", "prefix": ""}
        assert made["output"]["sha256"] == DIGEST
        assert {path.name for path in dst.parent.iterdir()} == {NAME, f"{NAME}.run.json"}
    assert server.asked == [None, None]


def test_the_mirror_is_no_part_of_the_plan(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(tmp_path / NAME, folder(tmp_path))
    command(tmp_path / NAME, server.url)
    assert "up to date" in capsys.readouterr().err
    assert server.asked == []


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ("no/such", "--mirror: no such file or folder: no/such"),
        (__file__, "expected a folder, found a file"),
        ("ftp://host/a", "--mirror: expected a folder, file:///… or http(s)://…, found 'ftp:"),
        ("file://host/a", "--mirror: expected a folder, file:///… or http(s)://…, found 'file:"),
        (
            "http://[::1",
            "--mirror: expected a folder, file:///… or http(s)://…, found 'http://[::1'",
        ),
        (
            "http://",
            "--mirror: expected a folder, file:///… or http(s)://…, found 'http://' without",
        ),
        ("{empty}", "expected net_x2.pth, found []"),
        ("{empty}/a", "/a/net_x2.pth is a link to /no/such, which does not exist"),
        ("{empty}/b", "/b/net_x2.pth: expected a file, found a folder"),
    ],
)
def test_refuses_a_mirror(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mirror: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    for name in (".DS_Store", f"._{NAME}", "Thumbs.db"):
        (tmp_path / "empty" / name).write_text("")
    if mirror.endswith("/a"):
        (tmp_path / "empty" / "a").mkdir()
        (tmp_path / "empty" / "a" / NAME).symlink_to("/no/such")
    if mirror.endswith("/b"):
        (tmp_path / "empty" / "b" / NAME).mkdir(parents=True)
    dst = tmp_path / "out" / NAME
    assert message in refused(dst, mirror.format(empty=tmp_path / "empty"), capsys)
    assert not dst.parent.exists()


def test_file_behind_a_page_comes_from_a_mirror(
    lists: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = lists.read_text().replace("scales = [2]", "scales = [2, 3]")
    lists.write_text(
        text.replace(f'url = "https://example.org/{NAME}"', 'page = "https://example.org/a"')
    )
    line = refused(tmp_path / "out" / NAME, "", capsys)
    assert "download it from https://example.org/a into a folder" in line
    assert command(tmp_path / "out" / NAME, folder(tmp_path)) == CONTENT
    assert published_files.find(NAME).scales == (2, 3)


# --- downloads that go on -------------------------------------------------------------------------
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [len(CONTENT), "unknown"])
def test_broken_connection_ends_in_identical_bytes(
    lists: Path, server: Server, tmp_path: Path, ranges: bool, size: object
) -> None:
    write(lists, size=size)
    server.breaks, server.ranges = [300_000, 200_000], ranges
    assert command(tmp_path / NAME, server.url) == CONTENT
    went_on = ["bytes=300000-", "bytes=500000-" if ranges else "bytes=200000-"]
    assert server.asked == [None, *went_on]


def test_goes_on_after_giving_up(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dst = tmp_path / "out" / NAME
    server.breaks, server.states = [300_000], [0, 503, 503]
    line = refused(dst, server.url, capsys)
    assert "HTTP 503" in line
    assert "the same command continues from here" in line
    assert dst.with_name(NAME + ".partial").read_bytes() == CONTENT[:300_000]
    server.asked.clear()
    assert command(dst, server.url) == CONTENT
    assert server.asked == ["bytes=300000-"]
    assert {path.name for path in dst.parent.iterdir()} == {NAME, f"{NAME}.run.json"}


def test_goes_on_after_a_kill(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt(143)

    server.breaks = [300_000]
    with monkeypatch.context() as patch:
        patch.setattr(transfer.time, "sleep", stop)
        with pytest.raises(SystemExit, match="143"):
            command(tmp_path / NAME, server.url)
    assert command(tmp_path / NAME, server.url) == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_starts_anew_when_the_content_changed_meanwhile(server: Server, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    partial.write_bytes(b"other" * 1000)
    partial.with_name("partial.etag").write_text('"another"')
    transfer.fetch(f"{server.url}/{NAME}", partial, None)
    assert partial.read_bytes() == CONTENT
    assert server.asked == ["bytes=5000-"]


def test_whole_file_of_unknown_size_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    partial.write_bytes(CONTENT)
    transfer.fetch(f"{server.url}/{NAME}", partial, None)
    transfer.fetch(f"{server.url}/{NAME}", partial, len(CONTENT))
    assert partial.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize(("shift", "says"), [(7, True), (0, False)])
def test_server_that_goes_on_elsewhere_begins_anew(
    server: Server, tmp_path: Path, shift: int, says: bool
) -> None:
    server.shift, server.says, partial = shift, says, tmp_path / "partial"
    partial.write_bytes(CONTENT[:1000])
    transfer.fetch(f"{server.url}/{NAME}", partial, len(CONTENT))
    assert partial.read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]


def test_too_long_a_partial_begins_anew(server: Server, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    partial.write_bytes(CONTENT + b"more")
    transfer.fetch(f"{server.url}/{NAME}", partial, len(CONTENT))
    assert partial.read_bytes() == CONTENT


def test_answer_without_a_length(server: Server, tmp_path: Path) -> None:
    server.length = False
    assert command(tmp_path / NAME, server.url) == CONTENT


# --- what is refused ------------------------------------------------------------------------------
@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1] + b"x", f"SHA-256: expected {DIGEST}, found "),
        (CONTENT + b"x", "expected 1000003 bytes, found 1000004"),
        (CONTENT[:-1], "expected 1000003 bytes, found 1000002"),
    ],
)
def test_refuses_another_file_and_leaves_nothing(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    served: bool, content: bytes, message: str,
) -> None:  # fmt: skip
    server.content = content
    dst = tmp_path / "out" / NAME
    assert message in refused(dst, server.url if served else folder(tmp_path, content), capsys)
    assert not dst.parent.exists()


def test_refused_after_going_on_is_removed_too(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the next run would go on with a wrong beginning for ever."""
    dst, server.breaks = tmp_path / "out" / NAME, [300_000]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "WAITS", ())
        refused(dst, server.url, capsys)
    partial = dst.with_name(NAME + ".partial")
    partial.write_bytes(b"x" + partial.read_bytes()[1:])
    assert "SHA-256: expected" in refused(dst, server.url, capsys)
    assert list(dst.parent.iterdir()) == []
    assert command(dst, server.url) == CONTENT


def test_good_file_is_kept_whatever_is_offered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / NAME
    command(good, folder(tmp_path))
    before = good.stat()
    corrupted = folder(tmp_path, b"x" + CONTENT[1:])
    assert command(good, corrupted) == CONTENT  # up to date
    assert "SHA-256" in refused(tmp_path / "other.pth", corrupted, capsys)
    assert good.read_bytes() == CONTENT
    assert (good.stat().st_ino, good.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_refuses_a_place_without_the_file(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.states = [404]
    line = refused(tmp_path / "out" / NAME, server.url, capsys)
    assert line == f"error: {server.url}/{NAME}: expected a file, found HTTP 404 Not Found"
    server.kind = "text/html; charset=utf-8"
    assert "found a web page" in refused(tmp_path / "out" / NAME, server.url, capsys)
    assert not (tmp_path / "out").exists()


def test_no_network_is_one_line_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "WAITS", ())
    line = refused(tmp_path / "out" / NAME, "http://127.0.0.1:1", capsys)
    assert line.startswith(f"error: http://127.0.0.1:1/{NAME}: no connection (")
    assert "onnection refused" in line
    assert "object at" not in line
    assert not (tmp_path / "out").exists()


def test_untrusted_certificate_is_said_to_be_one(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that does not speak TLS at all fails in the same place."""
    url = server.url.replace("http:", "https:")
    line = refused(tmp_path / "out" / NAME, url, capsys)
    assert "SSL_CERT_FILE" in line
    assert not (tmp_path / "out").exists()


# --- hosts ----------------------------------------------------------------------------------------
def test_hosts_of_the_records_are_listed() -> None:
    classifiers = published.load_classifiers(published.FOLDER).values()
    files = [*methods.load_published(methods.FOLDER).values(), *classifiers]
    places = [file.url for file in files if file.url]
    assert len(places) > 15
    for place in places:
        hosts.check_listed(place)


@pytest.mark.parametrize(
    "url", ["https://example.org/x", "http://github.com/x", "https://github.com.example.org/x"]
)
def test_a_record_of_another_host_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    with pytest.raises(StageError, match="expected https and one of cv"):
        hosts.check_listed(url)
    line = refused(tmp_path / "out" / NAME, "", capsys)  # the record of this test: example.org
    assert "found https and example.org" in line
    assert not (tmp_path / "out").exists()


def test_a_redirect_within_the_host_is_followed(server: Server, tmp_path: Path) -> None:
    with Server() as other:
        thread = threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        other.leads_to = f"{server.url}/moved/{NAME}"
        assert command(tmp_path / NAME, other.url) == CONTENT
        other.shutdown()
        thread.join()
    assert (other.asked, server.asked) == ([None], [None])


@pytest.mark.parametrize(
    "place", ["http://localhost:{port}", "http://user@[::1]:{port}", "http://10.0.0.1", "//other"]
)
def test_a_redirect_to_another_host_is_refused_and_not_asked(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    server.leads_to = place.format(port=server.server_port) + f"/{NAME}"
    line = refused(tmp_path / "out" / NAME, server.url, capsys)
    assert line.startswith("error: expected the file at 127.0.0.1, found a redirect to http://")
    assert len(server.asked) == 1
    assert not (tmp_path / "out").exists()


def test_a_redirect_leaves_https_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """github.com may hand over to its file hosts, and those alone, by https alone."""
    adapter, sent = hosts.HostAdapter("https://github.com/a/x.pth"), []
    monkeypatch.setattr(hosts.HTTPAdapter, "send", lambda _, request: sent.append(request.url))
    allowed = "https://objects.githubusercontent.com/x"
    for url in (allowed, "http://github.com/x", "https://raw.githubusercontent.com/x"):
        request = requests.Request("GET", url).prepare()
        if url == allowed:
            adapter.send(request)
        else:
            with pytest.raises(StageError, match="found a redirect to http"):
                adapter.send(request)
    assert sent == [allowed]


# --- digests that nobody published ----------------------------------------------------------------
@pytest.mark.parametrize("known", ["unknown", DIGEST[:8]])
def test_unknown_digest_is_told_and_holds_from_then_on(
    lists: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], known: str
) -> None:
    write(lists, "unknown", known)
    dst = tmp_path / NAME
    command(dst, folder(tmp_path))
    message = capsys.readouterr().err
    assert "trusted on first use" in message
    facts = f'bytes = {len(CONTENT)}\nsha256 = "{DIGEST}"\n'
    assert facts in message
    write(lists, "unknown", "unknown")
    lists.write_text(lists.read_text() + facts)  # as printed, they complete the record
    assert published_files.find(NAME).sha256 == DIGEST
    write(lists, "unknown", known)
    dst.unlink()  # the record stays
    command(dst, folder(tmp_path))
    assert "first use" not in capsys.readouterr().err
    dst.unlink()
    other = refused(dst, folder(tmp_path, b"x" + CONTENT[1:]), capsys)
    assert f"expected {known if known in DIGEST else DIGEST}" in other
    assert (known in DIGEST) or f"remove {record.record_path(dst)}" in other
    assert not dst.exists()


def test_first_digits_are_checked(
    lists: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(lists, "unknown", "00000000")
    assert "SHA-256: expected 00000000, found" in refused(tmp_path / NAME, folder(tmp_path), capsys)


def test_record_of_another_file_says_nothing(lists: Path, tmp_path: Path) -> None:
    write(lists, "unknown", "unknown")
    dst = tmp_path / NAME
    cli.produce(stage.run, {"dst": dst, "name": NAME, "mirror": str(folder(tmp_path))})
    text = record.record_path(dst).read_text()
    record.record_path(dst).write_text(text.replace(f'"name": "{NAME}"', '"name": "z.pth"'))
    dst.unlink()
    assert command(dst, folder(tmp_path, b"another")) == b"another"


# --- conversion -----------------------------------------------------------------------------------
VALUES = {
    "first.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "loss.weight": np.array([0.5, -1], np.float32),
}


def convert(src: Path, *flags: str) -> dict[str, NDArray[Any]]:
    """Run the stage on a file of weights; the tensors of its product."""
    dst = src.with_name("out") / "made.safetensors"
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    arrays = reader.read(dst).arrays
    return {name: array.values for name, array in arrays.items()}


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_is_converted_with_its_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], legacy: bool
) -> None:
    operations = mapping({"epoch": b"K\x03", "ema": mapping({"module": flat(VALUES)})})
    src = write_torch(tmp_path / "w.pth", operations, VALUES, legacy)
    made = convert(src)
    assert made.keys() == VALUES.keys()
    assert all(np.array_equal(made[name], array) for name, array in VALUES.items())
    said = f"{src}: 2 tensors, 8 values, taking 'ema.module'"
    assert said in capsys.readouterr().err
    dst = tmp_path / "out" / "made.safetensors"
    kept = record.load(dst)
    assert kept is not None
    assert kept["plan"]["parameters"] == {"name": "", "key": "", "prefix": ""}
    assert kept["plan"]["inputs"] == {"src": hashlib.sha256(src.read_bytes()).hexdigest()}
    first = dst.read_bytes()
    assert first[8:].startswith(b'{"__metadata__":{"format":"pt"},"first.weight":{"dtype":"F32"')
    convert(src)
    assert "up to date" in capsys.readouterr().err
    dst.unlink()
    convert(src)
    assert dst.read_bytes() == first


def test_key_and_prefix_choose_the_tensors(tmp_path: Path) -> None:
    both = mapping({"a.b": flat(VALUES), "c": mapping({"x": flat(VALUES)}), "model": flat(VALUES)})
    src = write_torch(tmp_path / "w.pth", both, VALUES, False)
    for number, flags in enumerate([(), ("--key=a.b",), ("--key=c.x",), ("--key=c",)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "w.pth").symlink_to(src)
        made = convert(folder / "w.pth", *flags, "--prefix=first.")
        assert made.keys() == {"weight"}
        assert np.array_equal(made["weight"], VALUES["first.weight"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--name, --src: expected one of the two"),
        (("--src={}", f"--name={NAME}"), "--name, --src: expected one of the two"),
        (("--src={}", "--mirror=x"), "--mirror: only for --name"),
        ((f"--name={NAME}", "--key=a"), "--key, --prefix: only for --src"),
        ((f"--name={NAME}", "--prefix=a"), "--key, --prefix: only for --src"),
        (("--src={}", "--key=d"), "no tensors under 'd'; found the keys a (with tensors), c (with"),
        (("--src={}", "--key=a.b"), "no tensors under 'b'; found the keys first.weight, loss.w"),
        (
            ("--src={}",),
            "found the keys a (with tensors), c (with tensors), none of which is known",
        ),
        (
            ("--src={}", "--key=a", "--prefix=x."),
            "expected a beginning of names, found 'x.'; they ",
        ),
        (("--src={}", "--key=a", "--prefix=first.weight"), "they begin with first., loss."),
    ],
)
def test_refuses_flags_of_a_conversion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    src = write_torch(
        tmp_path / "w.pth", mapping({"a": flat(VALUES), "c": flat(VALUES)}), VALUES, False
    )
    with pytest.raises(SystemExit, match="2"):
        cli.main(stage.run, [f"--dst={tmp_path}/out/x", *(flag.format(src) for flag in flags)])
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nan_is_not_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt = VALUES | {"loss.weight": np.array([0, np.nan], np.float32)}
    src = write_torch(tmp_path / "w.pth", flat(spoilt), spoilt, False)
    with pytest.raises(SystemExit, match="2"):
        convert(src)
    assert capsys.readouterr().err == f"error: {src}: NaN or infinite values in loss.weight\n"
    assert not (tmp_path / "out").exists()


# --- classifiers that Keras saved -----------------------------------------------------------------
def test_the_published_classifier_is_listed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (file,) = published.load_classifiers().values()
    assert file.url.endswith("/" + file.name)
    assert (file.bytes, file.licence, len(file.sha256)) == (2_473_440, "MIT", 64)
    assert published_files.find(file.name) == file


def test_the_published_classifier_tells_what_it_learned_from(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    (file,) = published.load_classifiers().values()
    cli.main(stage.run, [f"--src={real / 'weights' / file.name}", f"--dst={tmp_path / 'net'}"])
    told = json.loads((tmp_path / "net" / "model.json").read_text())
    assert told["origin"] == {"file": file.name, "licence": "MIT", "url": file.url}
    assert told["training_reflectance"]["mean"] == list(lcz.TRAINING_MEAN)
    assert told["members"][0]["architecture"] == "keras-resnet20-v2"


def test_a_classifier_of_keras_becomes_a_model_folder(tmp_path: Path) -> None:
    import onnx

    src = keras_files.write(tmp_path / "net.h5", keras_files.draw())
    dst = tmp_path / "net"
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}"])
    (card,) = models.load(dst)
    assert (card.bands, card.classes, card.size) == (lcz.SEN2.bands, lcz.CLASSES, 32)
    assert card.architecture == "keras-resnet11-v2"
    assert not any(card.mean)
    np.testing.assert_allclose(np.multiply(card.std, 2.8), 1)  # so that reflectance goes in
    model = onnx.load(dst / card.file)
    assert [item.version for item in model.opset_import] == [17]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    again = tmp_path / "again"
    cli.main(stage.run, [f"--src={src}", f"--dst={again}"])
    for name in ("model.onnx", "model.json"):
        assert (again / name).read_bytes() == (dst / name).read_bytes()


@pytest.mark.parametrize(
    ("channels", "flags", "message"),
    [
        (7, (), "expected a network for 10 bands, found 7"),
        (10, ("--key=model",), "--key, --prefix: only for files of torch and safetensors"),
    ],
)
def test_refuses_classifiers_of_keras(  # type: ignore[no-untyped-def]
    tmp_path, capsys, channels, flags, message
) -> None:
    src = keras_files.write(tmp_path / "net.h5", keras_files.draw(channels=channels))
    with pytest.raises(SystemExit, match="2"):
        cli.main(stage.run, [f"--src={src}", f"--dst={tmp_path / 'net'}", *flags])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert message in line
    assert sorted(path.name for path in tmp_path.iterdir() if "net" in path.name) == ["net.h5"]

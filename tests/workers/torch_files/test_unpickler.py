"""Pickles that are made to run code, to fill memory or to break their reader: none may."""

import pickle
import struct
import sys
from pathlib import Path

import pytest

from headgraft.workers.torch_files import confined
from tests.workers.torch_files import files

CANARY = "canary"
SHELL = f"touch {CANARY}"
PYTHON = f"open({CANARY!r}, 'w')"
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def name(path: str) -> bytes:
    module, _, function = path.rpartition(".")
    return f"c{module}\n{function}\n".encode()


def call(path: str, *arguments: str) -> bytes:
    return name(path) + b"(" + b"".join(map(text, arguments)) + b"tR"


CALLS = {
    path: call(path, *arguments)
    for path, arguments in {
        "posix.system": (SHELL,),
        "os.system": (SHELL,),
        "os.popen": (SHELL,),
        "subprocess.getoutput": (SHELL,),
        "subprocess.Popen": ("touch", CANARY),
        "builtins.exec": (PYTHON,),
        "builtins.eval": (PYTHON,),
        "__builtin__.eval": (PYTHON,),
        "builtins.open": (CANARY, "w"),
        "builtins.__import__": ("this",),
        "importlib.import_module": ("this",),
        "this.s": (),
        "timeit.timeit": (PYTHON,),
        "runpy.run_module": ("this",),
        "code.interact": (),
        "pty.spawn": ("touch",),
        "pickle.loads": (SHELL,),
        "torch.load": (CANARY,),
        "torch.save": ("x", CANARY),
        "torch.jit.load": (CANARY,),
        "torch.hub.load": ("x", "y"),
        "torch.utils.data.dataset.Dataset": (),
        "torch._dynamo.reset": (),
        "numpy.load": (CANARY,),
        "numpy.testing._private.utils.runstring": (PYTHON, "x"),
        "pathlib.Path.touch": (CANARY,),
        "functools.partial": ("x",),
        "operator.attrgetter": ("x",),
        "builtins.getattr": ("x", "y"),
        "ctypes.CDLL": ("libc.so.6",),
        "webbrowser.open": ("http://127.0.0.1",),
    }.items()
}
RUN = text(SHELL)
HOSTILE = {
    **CALLS,
    "by INST": b"(" + RUN + b"iposix\nsystem\n",
    "by OBJ": b"(" + name("posix.system") + RUN + b"o",
    "by NEWOBJ": name("posix.system") + RUN + b"\x85\x81",
    "by NEWOBJ_EX": name("posix.system") + RUN + b"\x85}\x92",
    "by STACK_GLOBAL": text("posix") + text("system") + b"\x93" + RUN + b"\x85R",
    "by a name of dots": text("os") + text("path.os.system") + b"\x93" + RUN + b"\x85R",
    "by a tensor's subclass": name("torch._tensor._rebuild_from_type_v2")
    + b"(" + name("posix.system") + b"N" + RUN + b"\x85NtR",
    "by a reconstructor": name("copyreg._reconstructor")
    + b"(" + name("posix.system") + RUN + b"NtR",
    "through the memo": name("posix.system") + b"q\x000" + b"h\x00" + RUN + b"\x85R",
    "by __setstate__": name("builtins.object") + b")\x81}" + text("__setstate__")
    + name("posix.system") + b"sb",
    "a dict's default": name("collections.defaultdict") + name("posix.system") + b"\x85R"
    + text("key") + name("os.abort") + b"s",
    "another function's code": REBUILD + b"}" + text("__code__") + text("x") + b"sb",
    "items of a class": name("collections.OrderedDict") + text("x") + text("y") + b"s",
    "an extension": b"\x82\x01",
    "a persistent text": b"Pmodule\n",
    "a persistent module": b"(X\x06\x00\x00\x00module" + name("my.Net") + RUN + RUN + b"tQ",
    "a number as a storage": b"K\x01Q",
    "a storage of no class": b"(X\x07\x00\x00\x00storage" + name("os.system") + b"NNNtQ",
    "less than no numbers": STORAGE + b"J\xff\xff\xff\xfftQ",
    "more numbers than there are": STORAGE + b"J\xff\xff\xff\x7ftQ",
    "a tensor of no storage": REBUILD + b"(K\x01K\x00))K\x00NtR",
    "a tensor beyond its storage": REBUILD + b"(" + STORAGE + b"K\x04tQ" + b"J\xff\xff\xff\x7f"
    b"K\x02\x85K\x01\x85\x89}tR",
    "a parameter of text": name("torch._utils._rebuild_parameter") + b"(" + RUN + b"\x89}tR",
    "deep lists": b"(" * 50_000 + b"l" * 50_000,
    "deep tuples": b")" + b"\x85" * 50_000,
    "a deep key": b"}" + b")" + b"\x85" * 50_000 + b"K\x01s",
    "a key of 2^100 parts": b"})" + b"2\x86" * 100 + b"K\x01s",
    "itself": b"]q\x00h\x00a",
    "a long frame": b"\x95" + b"\xff" * 8,
    "a long text": b"\x8d" + b"\xff" * 7 + b"\x7f",
    "a long buffer": b"\x96" + b"\xff" * 7 + b"\x7f",
    "a negative long number": b"\x8b\xff\xff\xff\xff",
    "a number without end": b"I" + b"9" * 100_000 + b"\n",
    "a buffer beside": b"\x97",
    "nothing": b"",
    "no mark": b"t",
    "a memo of nothing": b"h\x07",
    "an unknown operation": b"\xfe",
}  # fmt: skip


@pytest.mark.parametrize("program", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pickle_should_run_nothing_and_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "this", raising=False)
    source = files.write_program(tmp_path / "in.pt", b"\x80\x04" + program + b".")

    verdict = confined.convert(source, tmp_path / "out.safetensors", 1 << 30)

    assert verdict.conversion is None
    assert verdict.defect
    assert [path.name for path in tmp_path.iterdir()] == ["in.pt"]
    assert "this" not in sys.modules


def test_the_corpus_should_be_hostile_to_the_usual_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(HOSTILE) >= 40
    monkeypatch.chdir(tmp_path)
    for way in ("posix.system", "by INST", "by OBJ", "by STACK_GLOBAL", "through the memo"):
        pickle.loads(b"\x80\x04" + HOSTILE[way] + b".")
        (tmp_path / CANARY).unlink()

"""The oracle: judge each path-taking system call of a sidecar by what strace saw.

    trace files of `strace -ff -y` ─▶ calls ─▶ judge ─▶ escapes, each one sentence

strace prints where a descriptor really is: `openat(4</logs>, "a.log", …) = 5</secrets/token>` is an escape, whatever
the name promised. So nothing here depends on how a sidecar looks at its paths. A call that failed is no escape.

| call | allowed if |
|---|---|
| an open | the file lies below a root of the sidecar, or is of the system and was named as such |
| an open below a root | it waits for nobody: O_NONBLOCK, a directory, or a new file |
| unlinkat, mkdirat, renameat2, … | the descriptor lies below a writable root, and the name has one component |
| the same by a plain path | only for the root itself, which is the operator's path |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPENS = frozenset({"open", "openat", "openat2", "creat"})
PAIRS = {
    "unlinkat": (0,), "mkdirat": (0,), "mknodat": (0,), "fchmodat": (0,), "fchmodat2": (0,), "fchownat": (0,),
    "utimensat": (0,), "futimesat": (0,), "symlinkat": (1,), "renameat": (0, 2), "renameat2": (0, 2), "linkat": (0, 2),
}  # fmt: skip
"""Positions of a directory's descriptor, which is followed by a name."""
PLAIN = {
    "unlink": (0,), "rmdir": (0,), "mkdir": (0,), "mknod": (0,), "truncate": (0,), "chmod": (0,), "chown": (0,),
    "lchown": (0,), "utime": (0,), "utimes": (0,), "setxattr": (0,), "lsetxattr": (0,), "removexattr": (0,),
    "lremovexattr": (0,), "symlink": (1,), "rename": (0, 1), "link": (0, 1), "chroot": (0,), "execve": (),
}  # fmt: skip
"""Positions of paths without a descriptor."""
FOLLOWS_THE_LAST = frozenset({"fchmodat", "fchownat", "utimensat", "futimesat"})  # without AT_SYMLINK_NOFOLLOW
CALLS = (*OPENS, *PAIRS, *PLAIN, "landlock_restrict_self")
WRITES = re.compile(r"\bO_(WRONLY|RDWR|CREAT|TRUNC)\b")
SYSTEM = ("/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev/null", "/dev/urandom", "/dev/termination-log")
_WAITS_FOR_NOBODY = re.compile(r"\bO_(NONBLOCK|DIRECTORY|PATH|EXCL)\b")
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|\?)(.*)")
_EXECUTED = re.compile(r"execve\(.*\)\s+= 0$")
_NOT_TOLD = ("fchmodat2",)  # strace is asked for it only if it knows the call


@dataclass(frozen=True)
class Call:
    """A system call that succeeded: its name, its arguments as text, and the path of a descriptor that it returned."""

    name: str
    arguments: tuple[str, ...]
    returned: str

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.arguments)}) = {self.returned or 0}"


def expression() -> str:
    """Return the value of strace's `-e trace=`. A call that this machine does not have is left out (`?`)."""
    return ",".join(f"?{name}" for name in CALLS if name not in _NOT_TOLD)


def calls(folder: Path, prefix: str, pid: int) -> Iterator[Call]:
    """Yield the calls that succeeded, of all threads and processes; of process `pid` those after its last execve."""
    for trace in sorted(folder.glob(f"{prefix}.*")):
        lines = trace.read_text(errors="surrogateescape").splitlines()
        if trace.name == f"{prefix}.{pid}":
            lines = lines[max((at for at, line in enumerate(lines) if _EXECUTED.match(line)), default=0) :]
        for line in lines:
            found = _CALL.fullmatch(line)
            if found and not found[3].startswith(("-", "?")):
                yield Call(found[1], tuple(_arguments(found[2])), _place(found[4]))


def _arguments(text: str) -> Iterator[str]:
    """Split the arguments at the commas that are outside of quotes, brackets and paths of descriptors."""
    depth, quoted, begin, index = 0, False, 0, 0
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
        elif char == '"':
            quoted = not quoted
        elif not quoted and char in "({[<":
            depth += 1
        elif not quoted and char in ")}]>":
            depth -= 1
        elif char == "," and not quoted and depth == 0:
            yield text[begin:index].strip()
            begin = index + 1
        index += 1
    yield text[begin:].strip()


def _unescaped(text: str) -> str:
    return text.encode("latin-1", "replace").decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")


def _place(text: str) -> str:
    """Return the path in `4</logs>` or ` (deleted)`; "" if there is none."""
    found = re.match(r"\w*<((?:\\.|[^>\\])*)>", text)
    return _unescaped(found[1]).removesuffix(" (deleted)").removesuffix("(deleted)") if found else ""


def _text(argument: str) -> str:
    """Return the string of a quoted argument; "" for another one, such as NULL."""
    return _unescaped(argument[1 : argument.rindex('"')]) if argument.startswith('"') else ""


def below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


@dataclass(frozen=True)
class Judge:
    """The roots of a sidecar. `code` are the places of Python and of the program, which nobody else can change."""

    readable: tuple[str, ...]
    writable: tuple[str, ...]
    code: tuple[str, ...] = ()

    @property
    def roots(self) -> tuple[str, ...]:
        return (*self.readable, *self.writable)

    def escape(self, call: Call) -> str:
        """Return why the call is an escape; "" if it is none."""
        if call.name in OPENS:
            return self._open(call)
        if call.name in PAIRS:
            return next(filter(None, (self._pair(call, at) for at in PAIRS[call.name])), "")
        if call.name in PLAIN:
            return next(filter(None, (self._plain(call, at) for at in PLAIN[call.name])), "")
        return ""

    def _open(self, call: Call) -> str:
        has_descriptor = call.name in ("openat", "openat2")
        name = _text(call.arguments[1 if has_descriptor else 0])
        start = _place_of_argument(call.arguments[0]) if has_descriptor else ""
        named = name if name.startswith("/") else f"{start}/{name}"
        flags, place = " ".join(call.arguments), call.returned
        of_the_sidecar = below(named, self.roots)
        if not below(place, self.roots):
            system = (*SYSTEM, *self.code)
            if of_the_sidecar or not below(named, system) or (WRITES.search(flags) and place != "/dev/null"):
                ancestor = "O_PATH" in flags and any(root.startswith(place.rstrip("/") + "/") for root in self.roots)
                return "" if ancestor and not of_the_sidecar else f"opens {place}, which is below no root of its own"
            return ""
        if WRITES.search(flags) and not below(place, self.writable):
            return f"opens {place} for writing, which is below no writable root"
        if not _WAITS_FOR_NOBODY.search(flags):
            return "can wait for somebody: O_NONBLOCK is missing"
        return ""

    def _pair(self, call: Call, at: int) -> str:
        start, name = _place_of_argument(call.arguments[at]), _text(call.arguments[at + 1])
        if not name:  # futimens: the descriptor itself
            return "" if below(start, self.writable) else f"changes {start}, which is below no writable root"
        if name.startswith("/") or call.arguments[at].startswith("AT_FDCWD"):
            return self._named(name)
        if not below(start, self.writable):
            return f"changes a name in {start}, which is below no writable root"
        if "/" in name or name == "..":
            return f"has {name!r} for one component: links on the way would be followed"
        if call.name in FOLLOWS_THE_LAST and "AT_SYMLINK_NOFOLLOW" not in call.arguments[-1]:
            return "follows a link at the end"
        return ""

    def _plain(self, call: Call, at: int) -> str:
        return self._named(_text(call.arguments[at]))

    def _named(self, path: str) -> str:
        """Judge a change by a plain path: the path of a root is the operator's, and nothing below it is."""
        if path in self.roots or any(root.startswith(f"{path}/") for root in self.roots):
            return ""
        return f"changes {path} by a plain path: links on the way would be followed"


def _place_of_argument(argument: str) -> str:
    return _place(argument.removeprefix("AT_FDCWD") if argument.startswith("AT_FDCWD") else argument)

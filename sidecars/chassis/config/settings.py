"""Settings: environment variables in, one frozen dataclass out, and every mistake reported at once.

A sidecar declares its settings once, as a dataclass of `light_dataclasses` whose fields are made by `setting`. The
start, `--help`, `--check`, the tables in the READMEs and `/status` all come from that declaration.

Rules that are implemented here and nowhere else:

- The variable of field `drain_timeout` of a class with `PREFIX = "ADAPTER"` is `ADAPTER_DRAIN_TIMEOUT`.
- An empty variable is unset. `NAME_FILE` names a file with the value; it is an error to set both.
- If there can be several members of a `group`, such as upstreams, a variable may have the name of one:
  `AMBASSADOR_ORDERS_UPSTREAM`. A member exists if its *anchor* is set (here `UPSTREAM`). So a misspelt
  `AMBASSADOR_CONECT_TIMEOUT` is an error, and not the timeout of an upstream called "conect". A variable without a name
  is for the only member, or the default for all.
- An unknown variable with the prefix is an error that names the most similar known one. Variables that Kubernetes
  injects for Services (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables) are
  ignored.
"""

from __future__ import annotations

from sidecars.chassis.config.declared_fields import DEFAULT_NAME as DEFAULT_NAME  # noqa: PLC0414 - for who reads specs
from sidecars.chassis.config.declared_fields import Spec as Spec  # noqa: PLC0414 - for who reads specs
from sidecars.chassis.config.declared_fields import group as group  # noqa: PLC0414 - for settings classes
from sidecars.chassis.config.declared_fields import on
from sidecars.chassis.config.declared_fields import setting as setting  # noqa: PLC0414 - for settings classes
from sidecars.chassis.config.setting_types import Address, Secret, address, choice, duration, named_ports, text
from sidecars.chassis.isolation import roots
from sidecars.chassis.runtime import light_dataclasses, logs
from sidecars.chassis.runtime.file_io import read_text
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import Any, ClassVar, TypeVar

    from sidecars.chassis.config.setting_types import SettingType
    from sidecars.chassis.isolation.roots import DeclaredRoot

    S = TypeVar("S", bound="Settings")
    ReadFile = Callable[[str], str]

_INJECTED = r".*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
_INJECTED_VALUE = r"(tcp|udp|sctp)(://\S+)?|\d+|[0-9a-fA-F.:]+"
_NAME = r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*"


class SettingsError(Exception):
    """The settings are wrong. `problems` has a sentence for each problem, all of them at once."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        many = f"{len(problems)} settings are wrong:\n  " if len(problems) > 1 else ""
        super().__init__(many + "\n  ".join(problems))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that every sidecar has. Subclasses set `PREFIX` and add fields."""

    PREFIX: ClassVar[str]

    log_level: str = setting(
        choice("debug", "info", "warning", "error"),
        "the lowest level that is logged",
        default="info",
        heading="Settings of every sidecar",
    )
    log_format: str = setting(choice(*logs.FORMATS), "`auto` is text on a terminal and JSON elsewhere", default="auto")

    # All sidecars accept these, so that one list of variables fits each. The sidecars that use one override its help.
    pod_name: str | None = setting(text, "the Pod's name (downward API); not used here", env="POD_NAME", default="")
    pod_namespace: str | None = setting(
        text, "the Pod's namespace (downward API); not used here", env="POD_NAMESPACE", default=""
    )
    pod_uid: str | None = setting(text, "the Pod's UID (downward API); not used here", env="POD_UID", default="")
    pod_ip: str | None = setting(text, "the Pod's address (downward API); not used here", env="POD_IP", default="")
    node_name: str | None = setting(text, "the node's name (downward API); not used here", env="NODE_NAME", default="")

    confinement: str = setting(
        choice(*roots.MODES),
        "what the kernel denies this process outside the files of its settings: `best-effort` uses what the kernel has,"
        " `required` ends with exit code 69 if it lacks Landlock, `off` denies nothing, for debugging",
        default=roots.BEST_EFFORT,
    )

    @classmethod
    def disregarded(cls, environ: Mapping[str, str]) -> Collection[str]:  # noqa: ARG003 - for those who override it
        """Return the names of variables that are not ours, and that have no use in this environment."""
        return ()

    def check(self) -> Iterator[str]:
        """Yield a sentence for each problem of settings that are valid alone but do not fit together."""
        yield from ()

    def summary(self) -> str:
        """Return what this process will do, in words and without secrets, for the log's first line."""
        return ""

    def warn(self) -> Iterator[str]:
        """Yield a sentence for each setting that is accepted and has a risk. The start and `--check` show it."""
        yield from ()

    def further_roots(self) -> Iterator[DeclaredRoot]:
        """Yield roots that no type of a setting declares, because they follow from several settings or from none."""
        yield from ()

    def admin_address(self) -> Address:
        """Return the address of the admin endpoints; `off` if there are none."""
        return Address()


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    """The settings that every sidecar that keeps running has in addition."""

    admin_listen: Address = setting(address, "address of the page and the admin endpoints", default="off")
    admin_status: str = setting(
        choice("loopback", "any"),
        "who gets page and `/status`: `loopback` is this Pod and `kubectl port-forward`, by address; others get 403",
        default="loopback",
        needs=(on("admin_listen"),),
    )
    admin_siblings: dict[str, int] | None = setting(
        named_ports,
        "admin ports of the Pod's other sidecars, for `/siblings`; unset: their default ports",
        default="",
        needs=(on("admin_listen"),),
    )
    drain_timeout: float = setting(duration(), "time after SIGTERM in which work in progress may end", default="25s")

    def admin_address(self) -> Address:
        return self.admin_listen


# -- the declaration, as data -------------------------------------------------------------------------------------


def specs(cls: type[Settings]) -> list[Spec]:
    """Return every setting of the class: its own first, then those of its families, then those that all share."""
    own: list[Spec] = []
    common = {item.name for item in light_dataclasses.fields(ServiceSettings)}
    for item in light_dataclasses.own_first(cls):
        if item.metadata.get("group"):
            members = light_dataclasses.own_first(item.metadata["group"])
            own += [_spec(cls.PREFIX, inner, item) for inner in members if inner.metadata]
        elif item.name not in common:
            own.append(_spec(cls.PREFIX, item))
    shared = [_spec(cls.PREFIX, item) for item in light_dataclasses.fields(cls) if item.name in common]
    return own + shared


def _spec(prefix: str, item: light_dataclasses.Field, group_field: light_dataclasses.Field | None = None) -> Spec:
    data = item.metadata
    suffix = data["suffix"] or item.name.upper()
    variable = data["env"] or f"{prefix}_{suffix}"
    known = (data["setting_type"], data["help"], data["default"])
    if group_field is None:
        return Spec(item.name, suffix, variable, *known, None, data["needs"], data["heading"])
    needs = (*data["needs"], *group_field.metadata["needs"].get(item.name, ()))
    return Spec(item.name, suffix, variable, *known, group_field.name, needs, data["heading"])


# -- loading ------------------------------------------------------------------------------------------------------


def load(cls: type[S], environ: Mapping[str, str], read_file: ReadFile = read_text) -> S:
    """Return the settings of the environment. Raises SettingsError with every problem."""
    settings: S = _Loader(cls, environ, read_file).load()
    return settings


class _Loader:
    """One pass over an environment: it sorts the variables, builds the groups and the whole, and collects problems."""

    def __init__(self, cls: type[Settings], environ: Mapping[str, str], read_file: ReadFile) -> None:
        self.cls = cls
        self.prefix = cls.PREFIX
        disregarded = cls.disregarded(environ)
        self.environ = {name: value for name, value in environ.items() if value and name not in disregarded}
        self.read_file = read_file
        self.specs = specs(cls)
        self.variables = {spec.variable for spec in self.specs}
        self.problems: dict[str, str] = {}
        self.names: dict[str, set[str]] = {spec.group: set() for spec in self.specs if spec.group}
        # The variable that set each field, by the group and the name of its member; without those set to the default.
        self.set_by: dict[tuple[str | None, str], dict[str, str]] = {}

    def load(self) -> Any:
        ours = [variable for variable in self.environ if variable.upper().startswith(f"{self.prefix}_")]
        for variable in [variable for variable in ours if not self._is_known(variable)]:
            self.problems[variable] = f"{variable} is not a setting{self._nearest(variable)}"
        values = self._values([spec for spec in self.specs if not spec.group], DEFAULT_NAME)
        for item in light_dataclasses.fields(self.cls):
            if item.metadata.get("group"):
                values[item.name] = self._group(item)
        if not self.problems:
            settings, unused = self._in_force(self.cls(**values))
            self.problems = {sentence: sentence for sentence in (*unused, *settings.check())}
        if self.problems:
            raise SettingsError(list(self.problems.values()))
        return settings

    def _is_known(self, variable: str) -> bool:
        """Return True if the variable is a setting, or is ignored. Add the name of its member, if it has one."""
        if variable in self.variables or variable.removesuffix("_FILE") in self.variables:
            return True
        import re  # noqa: PLC0415 - only if there is such a variable

        if re.fullmatch(_INJECTED, variable) and re.fullmatch(_INJECTED_VALUE, self.environ[variable]):
            return True
        rest = variable.removeprefix(f"{self.prefix}_")
        for spec in sorted(self.specs, key=lambda spec: -len(spec.suffix)):
            for ending in (f"_{spec.suffix}", f"_{spec.suffix}_FILE"):
                name = rest.removesuffix(ending)
                if name != rest and re.fullmatch(_NAME, name) and name.lower() != DEFAULT_NAME and spec.group:
                    self.names[spec.group].add(name.lower())
                    return True
        return False

    def _nearest(self, variable: str) -> str:
        from sidecars.chassis.config import wrong_values  # noqa: PLC0415 - only after a mistake

        named = {spec.named(self.prefix, name) for spec in self.specs if spec.group for name in self.names[spec.group]}
        close = wrong_values.closest(variable, self.variables | named, 0.6)
        return f"; did you mean {close}?" if close else f"; --help lists the {len(self.variables)} there are"

    def _group(self, item: light_dataclasses.Field) -> dict[str, Any]:
        members = [spec for spec in self.specs if spec.group == item.name]
        anchor = next(spec for spec in members if spec.field == item.metadata["anchor"])
        anchored = set()
        for name in sorted(self.names[item.name]):
            variable = anchor.named(self.prefix, name)
            if self._is_set(variable):
                anchored.add(name)
            else:
                self._note_missing_anchor(item.name, name, members, variable)
        if anchored and self._is_set(anchor.variable):
            example = anchor.named(self.prefix, min(anchored))
            self.problems[anchor.variable] = f"{anchor.variable} is set beside {example}: give it a name, too"
        return {
            name: self._member(item.metadata["group"], members, name) for name in sorted(anchored or {DEFAULT_NAME})
        }

    def _note_missing_anchor(self, group: str, name: str, members: list[Spec], anchor: str) -> None:
        from sidecars.chassis.config import wrong_values  # noqa: PLC0415 - only after a mistake

        named = [spec.named(self.prefix, name) for spec in members]
        grouped = [(spec, other) for spec in self.specs if spec.group for other in self.names[spec.group]]
        others = {spec.named(self.prefix, other) for spec, other in grouped if (spec.group, other) != (group, name)}
        self.problems |= wrong_values.without_anchor(named, anchor, self.variables, others, self.environ)

    def _member(self, cls: type, members: list[Spec], name: str) -> Any:
        values = {"name": name, **self._values(members, name, getattr(cls, "defaults_of", None))}
        if any(item.name == "set_by" for item in light_dataclasses.fields(cls)):
            values["set_by"] = self.set_by[members[0].group, name]
        return cls(**values) if not self.problems else None

    def _values(self, members: list[Spec], name: str, defaults_of: Any = None) -> dict[str, Any]:
        """Return the value of each of these settings for the member of that name, and note what has set it."""
        values: dict[str, Any] = {}
        set_by = self.set_by.setdefault((members[0].group, name), {})
        for spec in members:
            named = spec.named(self.prefix, name)
            variable = named if self._is_set(named) else spec.variable
            value = values[spec.field] = self._value(spec, variable)
            if not self._is_set(variable):
                values |= defaults_of(values, spec) if defaults_of else {}
            elif value != (spec.type.parse(spec.default) if spec.default else None):
                set_by[spec.field] = variable
        return values

    def _in_force(self, settings: Any) -> tuple[Any, list[str]]:
        """Return the settings without those that have no effect, and a sentence for each that should have one."""
        if not any(spec.needs and spec.field in set_by for set_by in self.set_by.values() for spec in self.specs):
            return settings, []
        from sidecars.chassis.config import unused_settings  # noqa: PLC0415 - few such settings are set

        return unused_settings.in_force(settings, self.specs, self.set_by)

    def _is_set(self, variable: str) -> bool:
        return variable in self.environ or f"{variable}_FILE" in self.environ

    def _value(self, spec: Spec, variable: str) -> Any:
        """Return the parsed value of one variable; note a problem and return None if it is wrong."""
        if variable.islower() and not self._is_set(variable):
            variable = variable.upper()  # `https_proxy`, or else `HTTPS_PROXY`
        file_variable, raw = f"{variable}_FILE", self.environ.get(variable)
        filename = self.environ.get(file_variable)
        if file_variable in self.variables:
            filename = None  # it is a setting whose own name ends with _FILE
        if raw is not None and filename is not None:
            self.problems[variable] = f"{variable} and {file_variable} are both set: keep one"
            return None
        if filename is not None:
            return self._value_from_file(spec, file_variable, filename)
        if raw is None:
            if spec.default is None:
                self.problems[variable] = self._missing(spec, variable)
            return spec.type.parse(spec.default) if spec.default else None
        return self._parsed(spec.type, variable, raw)

    def _missing(self, spec: Spec, variable: str) -> str:
        if any(problem.endswith(f"; did you mean {variable}?") for problem in self.problems.values()):
            return f"{variable} is not set"  # the misspelt variable shows that its meaning is known
        return f"{variable} is not set: " + spec.help.replace("`", "").partition("; ")[0]

    def _value_from_file(self, spec: Spec, file_variable: str, filename: str) -> Any:
        def read() -> str:
            return self.read_file(filename).rstrip("\r\n")

        try:
            raw = read()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            self._note(file_variable, filename, spec.type, f"the file cannot be read: {reason}", is_file=True)
            return None
        if not raw:
            self._note(file_variable, filename, spec.type, "the file is empty", is_file=True)
            return None
        if spec.type.secret:
            made = Secret(read, parts=spec.type.parts)
            made.note(raw)
            return made
        value = self._parsed(spec.type, file_variable, raw, filename)
        return spec.type.from_file(value, filename) if spec.type.from_file and value is not None else value

    def _parsed(self, setting_type: SettingType[Any], variable: str, raw: str, filename: str = "") -> Any:
        try:
            return setting_type.parse(raw)
        except ValueError as error:
            self._note(variable, filename or raw, setting_type, str(error), is_file=bool(filename))
            return None

    def _note(
        self, variable: str, value: str, setting_type: SettingType[Any], problem: str, *, is_file: bool = False
    ) -> None:
        from sidecars.chassis.config import wrong_values  # noqa: PLC0415 - only after a mistake

        self.problems[variable] = wrong_values.sentence(variable, value, setting_type, problem, is_file=is_file)


def variable(cls: type[Settings], field_name: str, name: str = DEFAULT_NAME) -> str:
    """Return the environment variable of a field, for a message."""
    spec = next(spec for spec in specs(cls) if spec.field == field_name)
    return spec.named(cls.PREFIX, name)

"""Settings: environment variables in, one frozen dataclass out, and every mistake reported at once.

A sidecar declares its settings once, as a dataclass of `light_dataclasses` whose fields are made by `setting`. The
start, `--help`, `--check`, the tables in the READMEs and the log's first line all come from that declaration.

Rules of the contract that are kept here and nowhere else:

- The variable of field `drain_timeout` of a class with `PREFIX = "ADAPTER"` is `ADAPTER_DRAIN_TIMEOUT`.
- Empty is unset. `NAME_FILE` gives a value by file; both set is an error.
- Where there can be several of a thing (`group`), any of its settings may carry a name: `AMBASSADOR_ORDERS_UPSTREAM`.
  A name exists when its *anchor* is set (here `UPSTREAM`): so a misspelt `AMBASSADOR_CONECT_TIMEOUT` is an error, not
  the timeout of an upstream called "conect". Without a name a setting is that of the only one, or the default for all.
- An unknown variable with the prefix is an error that names the nearest known one; what Kubernetes injects for
  Services (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables) is ignored.
"""

from __future__ import annotations

from sidecars.chassis.config.setting_types import Address, Secret, address, choice, duration, redact_credentials, text
from sidecars.chassis.runtime import light_dataclasses, logs
from sidecars.chassis.runtime.file_io import read_text
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.chassis.runtime.printable import truncate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, ClassVar, TypeVar

    from sidecars.chassis.config.setting_types import SettingType

    S = TypeVar("S", bound="Settings")
    ReadFile = Callable[[str], str]

DEFAULT_NAME = "default"  # what the one without a name is called, in logs, labels and `/status`

_INJECTED = r".*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
_INJECTED_VALUE = r"(tcp|udp|sctp)(://\S+)?|\d+|[0-9a-fA-F.:]+"
_NAME = r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*"
_SHOWN = 120  # characters of a bad value that are repeated to the user


class SettingsError(Exception):
    """What is wrong with the settings: all of it. `problems` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        many = f"{len(problems)} settings are wrong:\n  " if len(problems) > 1 else ""
        super().__init__(many + "\n  ".join(problems))


# -- declaring ----------------------------------------------------------------------------------------------------


def setting(
    setting_type: SettingType[Any],
    help: str,  # noqa: A002 - its name in every such library
    *,
    default: str | None = None,
    env: str | None = None,
    suffix: str | None = None,
) -> Any:
    """A field of a settings class. No default: required; default "": unset is None. `env` is a name without prefix.

    `suffix` is the variable's name behind the prefix, where it is not that of the field.
    """
    metadata = {"setting_type": setting_type, "help": help, "default": default, "env": env, "suffix": suffix}
    if default is None:
        return light_dataclasses.Field(metadata=metadata)
    return light_dataclasses.Field(lambda: setting_type.parse(default) if default else None, metadata)


def group(cls: type, *, anchor: str) -> Any:
    """A field that maps names to instances of `cls`: one for each name that sets the field `anchor`.

    An instance whose class declares a field `set_by` has there, for each field that was set, the variable that set it:
    its own, or the one without a name, which is the default for all. A field that was set to its own default is left
    out: `--check` prints those, too, and what it prints is to mean the same.
    """
    return light_dataclasses.Field(dict, {"group": cls, "anchor": anchor})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every sidecar can be told. Subclasses set `PREFIX` and add fields."""

    PREFIX: ClassVar[str]

    log_level: str = setting(
        choice("debug", "info", "warning", "error"), "the least level that is logged", default="info"
    )
    log_format: str = setting(choice(*logs.FORMATS), "`auto` is text on a terminal and JSON elsewhere", default="auto")

    pod_name: str | None = setting(text, "the Pod's name (downward API), in logs", env="POD_NAME", default="")
    pod_namespace: str | None = setting(
        text, "the Pod's namespace (downward API), in logs", env="POD_NAMESPACE", default=""
    )
    pod_uid: str | None = setting(text, "the Pod's UID (downward API), in logs", env="POD_UID", default="")
    pod_ip: str | None = setting(text, "the Pod's address (downward API), in logs", env="POD_IP", default="")
    node_name: str | None = setting(text, "the node's name (downward API), in logs", env="NODE_NAME", default="")

    def check(self) -> Iterator[str]:
        """Sentences about settings that are each right but do not fit together."""
        yield from ()

    def admin_address(self) -> Address:
        """Where the admin endpoints answer with these settings; `off` where they do not."""
        return Address()


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    """What every sidecar that keeps running can be told besides."""

    admin_listen: Address = setting(
        address, "where `/livez`, `/readyz`, `/metrics` and `/status` answer", default="off"
    )
    drain_timeout: float = setting(duration(), "how long after SIGTERM work in progress may take to end", default="25s")

    def admin_address(self) -> Address:
        return self.admin_listen


# -- the declaration, as data -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spec:
    """One declared setting, as the loader and the tables see it."""

    field: str
    suffix: str
    variable: str
    type: SettingType[Any]
    help: str
    default: str | None
    group: str | None = None

    def named(self, prefix: str, name: str) -> str:
        """The variable for the thing called `name`, or for the only one."""
        return self.variable if name == DEFAULT_NAME else f"{prefix}_{name.upper()}_{self.suffix}"


def specs(cls: type[Settings]) -> list[Spec]:
    """Every setting of the class: its own first, then what all sidecars share."""
    own: list[Spec] = []
    shared: list[Spec] = []
    common = {item.name for item in light_dataclasses.fields(ServiceSettings)}
    for item in light_dataclasses.fields(cls):
        if item.metadata.get("group"):
            own += [
                _spec(cls.PREFIX, inner, item.name)
                for inner in light_dataclasses.fields(item.metadata["group"])
                if inner.metadata
            ]
        else:
            (shared if item.name in common else own).append(_spec(cls.PREFIX, item))
    return own + shared


def _spec(prefix: str, item: light_dataclasses.Field, group_field: str | None = None) -> Spec:
    data = item.metadata
    suffix = data["suffix"] or item.name.upper()
    variable = data["env"] or f"{prefix}_{suffix}"
    return Spec(item.name, suffix, variable, data["setting_type"], data["help"], data["default"], group_field)


# -- loading ------------------------------------------------------------------------------------------------------


def load(cls: type[S], environ: Mapping[str, str], read_file: ReadFile = read_text) -> S:
    """The settings that the environment asks for. Raises SettingsError with every problem there is."""
    settings: S = _Loader(cls, environ, read_file).load()
    return settings


class _Loader:
    """One pass over an environment: sort the variables, build the groups, build the whole, collect the problems."""

    def __init__(self, cls: type[Settings], environ: Mapping[str, str], read_file: ReadFile) -> None:
        self.cls = cls
        self.prefix = cls.PREFIX
        self.environ = {name: value for name, value in environ.items() if value}
        self.read_file = read_file
        self.specs = specs(cls)
        self.problems: dict[str, str] = {}
        self.names: dict[str, set[str]] = {spec.group: set() for spec in self.specs if spec.group}

    def load(self) -> Any:
        ours = [variable for variable in self.environ if variable.upper().startswith(f"{self.prefix}_")]
        for variable in [variable for variable in ours if not self._is_known(variable)]:
            self.problems[variable] = f"{variable} is not a setting{self._nearest(variable)}"
        values = {spec.field: self._value(spec, spec.variable) for spec in self.specs if not spec.group}
        for item in light_dataclasses.fields(self.cls):
            if item.metadata.get("group"):
                values[item.name] = self._group(item)
        if not self.problems:
            settings = self.cls(**values)
            self.problems = {sentence: sentence for sentence in settings.check()}
        if self.problems:
            raise SettingsError(list(self.problems.values()))
        return settings

    def _is_known(self, variable: str) -> bool:
        """Whether the variable is ours, or is to be ignored. Notes the name that it carries."""
        if any(variable in (spec.variable, f"{spec.variable}_FILE") for spec in self.specs):
            return True
        import re  # noqa: PLC0415 - only where there is such a variable

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
        known = {spec.variable for spec in self.specs}
        named = {spec.named(self.prefix, name) for spec in self.specs if spec.group for name in self.names[spec.group]}
        close = _closest(variable, known | named, cutoff=0.6)
        return f"; did you mean {close}?" if close else f"; --help lists the {len(known)} there are"

    def _group(self, item: light_dataclasses.Field) -> dict[str, Any]:
        members = [spec for spec in self.specs if spec.group == item.name]
        anchor = next(spec for spec in members if spec.field == item.metadata["anchor"])
        real = set()
        for name in sorted(self.names[item.name]):
            variable = anchor.named(self.prefix, name)
            if self._is_set(variable):
                real.add(name)
            else:
                self._name_without_anchor(name, members, variable)
        if real and self._is_set(anchor.variable):
            example = anchor.named(self.prefix, min(real))
            self.problems[anchor.variable] = f"{anchor.variable} is set beside {example}: give it a name, too"
        return {name: self._member(item.metadata["group"], members, name) for name in sorted(real or {DEFAULT_NAME})}

    def _name_without_anchor(self, name: str, members: list[Spec], anchor: str) -> None:
        for spec in members:
            variable = spec.named(self.prefix, name)
            for present in (variable, f"{variable}_FILE"):
                if present in self.environ:
                    close = _closest(present, {spec.variable for spec in self.specs}, cutoff=0.9)
                    hint = f"; did you mean {close}?" if close else ": set both"
                    self.problems[present] = f"{present} is set, but {anchor} is not{hint}"

    def _member(self, cls: type, members: list[Spec], name: str) -> Any:
        values: dict[str, Any] = {"name": name}
        set_by: dict[str, str] = {}
        for spec in members:
            named = spec.named(self.prefix, name)
            variable = named if self._is_set(named) else spec.variable
            values[spec.field] = self._value(spec, variable)
            default = spec.type.parse(spec.default) if spec.default else None
            if self._is_set(variable) and values[spec.field] != default:
                set_by[spec.field] = variable
        if any(item.name == "set_by" for item in light_dataclasses.fields(cls)):
            values["set_by"] = set_by
        return cls(**values) if not self.problems else None

    def _is_set(self, variable: str) -> bool:
        return variable in self.environ or f"{variable}_FILE" in self.environ

    def _value(self, spec: Spec, variable: str) -> Any:
        """The parsed value of one variable; None, and a problem noted, where it is wrong."""
        from_file, raw = f"{variable}_FILE", self.environ.get(variable)
        filename = self.environ.get(from_file)
        if any(other.variable == from_file for other in self.specs):
            filename = None  # a setting of its own that happens to end so
        if raw is not None and filename is not None:
            self.problems[variable] = f"{variable} and {from_file} are both set: keep one"
            return None
        if filename is not None:
            return self._value_by_file(spec, from_file, filename)
        if raw is None:
            if spec.default is None:
                self.problems[variable] = f"{variable} is not set: {_plain(spec.help)}"
            return spec.type.parse(spec.default) if spec.default else None
        return self._parsed(spec.type, variable, raw)

    def _value_by_file(self, spec: Spec, from_file: str, filename: str) -> Any:
        def read() -> str:
            return self.read_file(filename).rstrip("\r\n")

        try:
            raw = read()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            self.problems[from_file] = f"{from_file}={filename}: the file cannot be read: {reason}"
            return None
        if not raw:
            self.problems[from_file] = f"{from_file}={filename}: the file is empty"
            return None
        if spec.type.secret:
            return Secret(read)
        value = self._parsed(spec.type, from_file, raw)
        return spec.type.from_file(value, filename) if spec.type.from_file and value is not None else value

    def _parsed(self, setting_type: SettingType[Any], variable: str, raw: str) -> Any:
        try:
            return setting_type.parse(raw)
        except ValueError as error:
            shown = "***" if setting_type.secret else redact_credentials(raw)
            self.problems[variable] = f"{variable}={truncate(shown, _SHOWN)}: {error}"
            return None


def _plain(text: str) -> str:
    """A setting's help without the marks that are for Markdown."""
    return text.replace("`", "")


def _closest(variable: str, known: set[str], cutoff: float) -> str:
    """Return the known variable that is most like this one, or the only one that it begins; "" if there is none."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    longer = [name for name in known if name.startswith(f"{variable.upper()}_")]
    return next(iter(longer if len(longer) == 1 else get_close_matches(variable.upper(), sorted(known), 1, cutoff)), "")


# -- showing ------------------------------------------------------------------------------------------------------


def effective(settings: Settings) -> dict[str, str]:
    """Every variable with the value in force, secrets redacted; "" is unset. As an env file it means the same."""
    shown: dict[str, str] = {}
    for spec in specs(type(settings)):
        holders: Mapping[str, Any] = {DEFAULT_NAME: settings}
        if spec.group:
            holders = getattr(settings, spec.group)
        for name, holder in holders.items():
            value = getattr(holder, spec.field)
            shown[spec.named(settings.PREFIX, name)] = "" if value is None else spec.type.show(value)
    return shown


def variable(cls: type[Settings], field_name: str, name: str = DEFAULT_NAME) -> str:
    """The environment variable behind a field, for a message at run time."""
    spec = next(spec for spec in specs(cls) if spec.field == field_name)
    return spec.named(cls.PREFIX, name)

"""The library chart `sidecars`: named templates for the chart of an app, and values that a schema checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools import names
from tools.manifests import settings_schema
from tools.manifests.chart_values import (
    ANY_OBJECT,
    BOOLEAN,
    DIGEST,
    DNS_NAME,
    HOST_AND_PATH,
    REFERENCE,
    TAG,
    Value,
    listed,
    readme,
    schema,
    schema_text,
    text,
    values_yaml,
)
from tools.manifests.containers import FS_GROUP, SIDECARS, Parameter, Sidecar, container, resolved
from tools.manifests.yaml_text import Raw, block, flow

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "deploy/helm/sidecars"
COMMON = Path(__file__).parent / "templates" / "library.tpl"
KUBERNETES = ">=1.29.0-0"  # native sidecars
OWN_IMAGE = "warcopier"  # its image has the WAR, so it is never one of ours


def chart_yaml(name: str, kind: str, description: str) -> str:
    """Return a Chart.yaml. The version of a chart is that of the images: one release has both."""
    lines = ["# Rendered by `make docs`; the version is that of pyproject.toml.", "apiVersion: v2", f"name: {name}"]
    lines += [f"description: {description}", f"type: {kind}", f"version: {names.VERSION}"]
    lines += [f'appVersion: "{names.VERSION}"', f'kubeVersion: "{KUBERNETES}"']
    return "\n".join(lines) + "\n"


def own_values(sidecar: Sidecar) -> tuple[Value, ...]:
    """Return the values of one sidecar, with paths that begin at the sidecar."""
    probes = (Value("probes", True, BOOLEAN, "the three probes of the container"),) if sidecar.admin else ()
    chosen = tuple(Value(each.name, each.default, text(DNS_NAME), each.meaning) for each in sidecar.parameters)
    own = " (required: the image that has your WAR)" if sidecar.name == OWN_IMAGE else ""
    resources = f"resources in place of `{flow(container(sidecar)['resources'])}`"
    return (
        Value("enabled", False, BOOLEAN, f"add the {sidecar.name}: {sidecar.purpose}"),
        Value("image", "", text(REFERENCE), f"whole reference of another image{own}"),
        Value("tag", "", text(TAG), "tag in place of the chart's `tag`"),
        Value("digest", "", text(DIGEST), "digest of the image, `sha256:…`; it is used in place of the tag"),
        Value(
            "settings", {}, settings_schema.schema(sidecar), "settings; `sidecars.configMap` makes a ConfigMap of them"
        ),
        Value("configMap", sidecar.name, text(DNS_NAME), "ConfigMap with the settings, if `settings` is empty"),
        *chosen,
        Value("env", [], listed(), "further `env` of the container"),
        Value("envFrom", [], listed(), "further `envFrom` of the container"),
        Value("resources", {}, ANY_OBJECT, resources),
        Value("volumeMounts", [], listed(), "further `volumeMounts` of the container"),
        *probes,
    )


def values() -> tuple[Value, ...]:
    """Return all values of the chart, in the order of values.yaml."""
    found = [
        Value(
            "registry",
            "",
            text(HOST_AND_PATH),
            "registry and path of the images, such as `registry.example/sidecars`; required",
        ),
        Value("tag", "", text(TAG), f"tag of the images; empty is the chart's version, {names.VERSION}"),
    ]
    for sidecar in SIDECARS:
        found += [
            Value(f"{sidecar.name}.{value.path}", value.default, value.schema, value.meaning)
            for value in own_values(sidecar)
        ]
    return tuple(found)


def values_schema() -> dict[str, Any]:
    """Return the schema of the values. A workload has the values of a sidecar again: it differs in what it names."""
    found = schema(values(), "values of the library chart sidecars")
    each = {sidecar.name: {"$ref": f"#/properties/{sidecar.name}"} for sidecar in SIDECARS}
    workload = {"type": "object", "properties": each, "additionalProperties": False}
    found["properties"]["workloads"] = {
        "type": "object",
        "propertyNames": {"pattern": DNS_NAME},
        "additionalProperties": workload,
        "description": "values of one workload each, by its name: what it says takes the place of the chart-wide value",
    }
    return found


# -- the templates ----------------------------------------------------------------------------------------------------


def _action(name: str) -> Raw:
    return Raw(f"{{{{ .own.{name} }}}}")


def _filled(value: Any) -> Any:
    def choose(parameter: Parameter) -> Raw:
        return _action(parameter.name)

    return resolved(value, choose)


def container_template(sidecar: Sidecar) -> str:
    """Return the named template of one container. Its context: root, name, sidecar, and its values as `own`."""
    made = _filled(container(sidecar, Raw('{{ include "sidecars.image" . }}')))
    parts = {
        "envFrom": _env_from(made.get("envFrom")),
        "env": _env(sidecar, made.get("env", [])),
        "resources": ["resources:", "  {{- toYaml (.own.resources | default $resources) | nindent 4 }}"],
        "volumeMounts": _extended("volumeMounts", made.get("volumeMounts", [])),
    }
    made.setdefault("env", [])
    made.setdefault("volumeMounts", [])
    lines: list[str] = []
    probes = [key for key in made if key.endswith("Probe")]
    for key, value in made.items():
        if probes and key == probes[0]:
            lines.append("{{- if .own.probes }}")
        lines += parts.get(key) or block({key: value}).split("\n")
        if probes and key == probes[-1]:
            lines.append("{{- end }}")
    first, *rest = lines
    body = "\n".join([f"- {first}", *(line if line.startswith("{{-") else f"  {line}" for line in rest)])
    resources = f"{{{{- $resources := fromJson `{json.dumps(made['resources'])}` }}}}"
    return f'{{{{- define "sidecars.{sidecar.name}.container" -}}}}\n{resources}\n{body}\n{{{{- end }}}}\n'


def _env_from(items: Any) -> list[str]:
    ((_, config),) = items[0].items()
    return [
        "envFrom:",
        "  {{- if .own.settings }}",
        '  - configMapRef: {name: {{ include "sidecars.configMapName" . }}}',
        "  {{- else }}",
        f"  - configMapRef: {flow(config)}",
        "  {{- end }}",
        "  {{- with .own.envFrom }}",
        "  {{- toYaml . | nindent 4 }}",
        "  {{- end }}",
    ]


def _env(sidecar: Sidecar, items: list[dict[str, Any]]) -> list[str]:
    always = [item for item in items if item["name"] not in sidecar.environ]
    lines = [] if always else ["{{- if .own.env }}"]
    lines.append("env:")
    for name in sidecar.environ:
        (item,) = [each for each in items if each["name"] == name]
        lines.append(f'  {{{{- if not (include "sidecars.given" (dict "own" .own "variable" "{name}")) }}}}')
        lines += [*block([item], 2).split("\n"), "  {{- end }}"]
    lines += block(always, 2).split("\n") if always else []
    lines += ["  {{- with .own.env }}", "  {{- toYaml . | nindent 4 }}", "  {{- end }}"]
    return lines if always else [*lines, "{{- end }}"]


def _extended(key: str, items: list[Any]) -> list[str]:
    with_more = [f"  {{{{- with .own.{key} }}}}", "  {{- toYaml . | nindent 4 }}", "  {{- end }}"]
    if items:
        return [f"{key}:", *block(items, 2).split("\n"), *with_more]
    return [f"{{{{- with .own.{key} }}}}", f"{key}:", "  {{- toYaml . | nindent 4 }}", "{{- end }}"]


def volumes_template(sidecar: Sidecar) -> str:
    items = block(_filled(list(sidecar.volumes))) if sidecar.volumes else ""
    return f'{{{{- define "sidecars.{sidecar.name}.volumes" -}}}}\n{items}\n{{{{- end }}}}\n'


def check_template(sidecar: Sidecar) -> str:
    """Return the template that refuses a name in the middle of a setting if no member has it, as the program does."""
    anchors = settings_schema.anchors(sidecar)
    known = " ".join(settings_schema.variables(sidecar))
    suffixes = " ".join(f"{suffix}={anchors[group]}" for suffix, group in settings_schema.suffixes(sidecar).items())
    return (
        f'{{{{- define "sidecars.{sidecar.name}.check" -}}}}\n'
        f'{{{{- $known := "{known}" }}}}\n{{{{- $suffixes := "{suffixes}" }}}}\n'
        f'{{{{- include "sidecars.checkNames" (dict "own" .own "prefix" "{sidecar.prefix}"'
        ' "known" (splitList " " $known) "suffixes" (splitList " " $suffixes)) }}\n'
        "{{- end }}\n"
    )


def templates() -> str:
    """Return the text of `_sidecars.tpl`: the common templates, and three for each sidecar."""
    grouped = [sidecar.name for sidecar in SIDECARS if sidecar.fs_group]
    places = {
        "NAMES": " ".join(f'"{sidecar.name}"' for sidecar in SIDECARS),
        "FS_GROUP_NAMES": " ".join(f'"{name}"' for name in grouped),
        "FS_GROUP": str(FS_GROUP),
        "VERSION": names.VERSION,
        "OWN_IMAGE": OWN_IMAGE,
    }
    common = COMMON.read_text()
    for name, text_of in places.items():
        common = common.replace(f"@{name}@", text_of)
    parts = [common]
    for sidecar in SIDECARS:
        parts += [container_template(sidecar), volumes_template(sidecar), check_template(sidecar)]
    return "\n".join(parts)


def render() -> dict[str, str]:
    """Return the text of each generated file of the chart, by its path below the repository's root."""
    description = "Named templates that add the sidecars to the Pods of your own chart"
    head = "# Rendered by `make docs` from tools/manifests; do not edit. A chart that depends on this one sets these\n"
    head += "# below `sidecars:`; `sidecars.workloads.<name>` has the same values again, for one workload.\n"
    return {
        f"{FOLDER}/Chart.yaml": chart_yaml("sidecars", "library", description),
        f"{FOLDER}/values.yaml": head
        + values_yaml((*values(), Value("workloads", {}, {}, "values of single workloads"))),
        f"{FOLDER}/values.schema.json": schema_text(values_schema()),
        f"{FOLDER}/templates/_sidecars.tpl": templates(),
        f"{FOLDER}/README.md": readme(ROOT / FOLDER / "README.md", values()),
    }
